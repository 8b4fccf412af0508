import numpy as np
import pytest

from fashion.images.corruptions import (
    CORRUPTIONS,
    LABEL_NOISE,
    MIX_CHANGES,
    SEVERITIES,
    add_label_noise,
    change_mix,
    corrupt,
)

COLOURS = np.zeros((40, 20, 24, 3), np.uint8)
COLOURS[:, 5:15, 6:18] = np.random.default_rng(0).integers(60, 200, (40, 10, 12, 3), np.uint8)
IMAGES = COLOURS[..., :1]
SHARES = np.array([0.1, 0.2, 0.3, 0.15, 0.25])


def random():
    return np.random.default_rng(1)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("images", [IMAGES, COLOURS], ids=["grey", "colour"])
def test_images_stay_images_and_the_originals_what_they_were(name, severity, images):
    before = images.copy()
    changed = corrupt(name, severity, images, random())
    assert changed.shape == images.shape
    assert changed.dtype == np.uint8
    assert (changed != images).any()
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(changed, corrupt(name, severity, images, random()))


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - {"noise", "contrast"}))
def test_the_colours_of_a_pixel_move_and_change_together(name):
    alike = np.repeat(IMAGES, 3, axis=3)
    changed = corrupt(name, 3, alike, random())
    np.testing.assert_array_equal(changed, np.repeat(corrupt(name, 3, IMAGES, random()), 3, axis=3))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_higher_severity_changes_more(name):
    distances = [np.abs(corrupt(name, severity, IMAGES, random()) - IMAGES.astype(float)).mean() for severity in (1, 5)]
    assert distances[0] < distances[1]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_no_image_is_corrupted_to_no_image(name):
    assert corrupt(name, 3, IMAGES[:0], random()).shape == (0, 20, 24, 1)


def test_full_inversion_is_the_negative():
    np.testing.assert_array_equal(corrupt("inversion", 5, IMAGES, random()), 255 - IMAGES)


def test_a_shift_moves_by_a_share_of_the_side_along_both():
    point = np.zeros((60, 28, 56, 1), np.uint8)
    point[:, 14, 28] = 255
    rows, columns = np.nonzero(corrupt("shift", 3, point, random()))[1:3]
    assert set(rows) == {11, 17}
    assert set(columns) == {22, 34}


def test_a_shrunk_object_stays_in_the_middle():
    shrunk = corrupt("scale", 5, np.full((1, 21, 21, 1), 255, np.uint8), random())[0, ..., 0] > 127
    np.testing.assert_array_equal(np.flatnonzero(shrunk.any(axis=0)), np.arange(5, 16))
    np.testing.assert_array_equal(shrunk, shrunk[::-1, ::-1])


def test_a_turned_bar_has_the_angle_of_its_severity():
    bar = np.zeros((30, 41, 41, 1), np.uint8)
    bar[:, 20, 5:36] = 255
    for turned in corrupt("rotation", 2, bar, random()):
        rows, columns = np.nonzero(turned[..., 0] > 100)
        slope = np.polyfit(columns, rows, 1)[0]
        assert abs(np.arctan(slope)) == pytest.approx(0.4, abs=0.03)


def test_an_occlusion_is_a_black_rectangle():
    white = np.full((10, 20, 30, 1), 255, np.uint8)
    for image in corrupt("occlusion", 5, white, random()):
        rows, columns = np.nonzero(image[..., 0] == 0)
        assert len(rows) == 10 * 15
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (10, 15)


@pytest.mark.parametrize("name", MIX_CHANGES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_changed_shares_are_shares(name, severity):
    changed = change_mix(name, severity, SHARES, random())
    assert changed.sum() == pytest.approx(1)
    assert (changed >= 0).all()


def test_a_class_mix_is_changed_by_the_distance_of_its_severity():
    distances = [
        np.abs(change_mix("class mix", severity, SHARES, random()) - SHARES).sum() / 2 for severity in SEVERITIES
    ]
    np.testing.assert_allclose(distances, MIX_CHANGES["class mix"].strengths)


def test_at_the_highest_severity_a_class_is_gone_and_the_others_keep_their_proportions():
    changed = change_mix("vanishing class", 5, SHARES, random())
    kept = changed > 0
    assert kept.sum() == len(SHARES) - 1
    np.testing.assert_allclose(changed[kept] / SHARES[kept], 1 / SHARES[kept].sum())


def test_label_noise_makes_that_share_of_the_labels_wrong():
    labels = np.random.default_rng(2).integers(0, 5, 20_000)
    for severity, share in zip(SEVERITIES, LABEL_NOISE, strict=True):
        noisy = add_label_noise(labels, severity, 5, random())
        assert (noisy != labels).mean() == pytest.approx(share, abs=0.01)
        assert set(noisy) == set(range(5))
