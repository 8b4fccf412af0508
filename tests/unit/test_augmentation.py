import numpy as np
import pytest

from fashion.images.augmentation import (
    augment,
    brighten_randomly,
    contrast_randomly,
    crop_randomly,
    mirror_randomly,
    move,
    shift_randomly,
)
from fashion.params import Augmentation


def images(count=6, channels=3):
    return np.random.default_rng(0).integers(1, 256, (count, 5, 7, channels), dtype=np.uint8)


def test_a_moved_image_leaves_black_behind():
    original = images(2)
    moved = move(original, down=np.array([1, 0]), right=np.array([-2, 0]))
    assert np.array_equal(moved[0, 1:, :-2], original[0, :-1, 2:])
    assert not moved[0, 0].any()
    assert not moved[0, :, -2:].any()
    assert np.array_equal(moved[1], original[1])


def test_shifting_leaves_its_argument_alone_and_keeps_type_and_shape():
    original = images()
    kept = original.copy()
    changed = shift_randomly(original, 1, np.random.default_rng(1))
    assert np.array_equal(original, kept)
    assert (changed.shape, changed.dtype) == (original.shape, np.uint8)
    assert not np.array_equal(changed, original)


def test_a_reach_of_nothing_changes_nothing():
    assert np.array_equal(shift_randomly(images(), 0, np.random.default_rng(1)), images())


def test_the_same_seed_gives_the_same_images():
    first, second = (shift_randomly(images(), 2, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)


def test_every_shift_within_reach_is_about_equally_likely():
    dots = np.zeros((9000, 5, 5, 1), np.uint8)
    dots[:, 2, 2] = 255
    places = shift_randomly(dots, 1, np.random.default_rng(5)).sum(axis=(0, 3), dtype=np.int64) / 255
    assert places[1:4, 1:4].min() > 850
    assert places.sum() == 9000


def every_form():
    """Grey and colour, square or not, as small as an image may be."""
    random = np.random.default_rng(7)
    return [random.integers(0, 256, (40, *shape), dtype=np.uint8) for shape in ((8, 8, 1), (9, 16, 3), (28, 20, 1))]


WAYS = {"shift": 2, "mirror": True, "crop": 0.4, "brightness": 0.5, "contrast": 0.5}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_changes_images_of_any_form_into_others_of_that_form(way):
    for original in every_form():
        kept = original.copy()
        wanted = Augmentation(**{way: WAYS[way]})
        changed, again = (augment(original, wanted, np.random.default_rng(1)) for _ in range(2))
        assert (changed.shape, changed.dtype) == (original.shape, np.uint8)
        assert not np.array_equal(changed, original)
        assert np.array_equal(changed, again)
        assert np.array_equal(original, kept)


@pytest.mark.parametrize("way", WAYS)
def test_a_way_that_is_off_draws_no_random_number(way):
    alone, beside = np.random.default_rng(1), np.random.default_rng(1)
    off = {name: type(value)(0) for name, value in WAYS.items()}
    augment(images(), Augmentation(**off), alone)
    assert alone.bit_generator.state == beside.bit_generator.state
    augment(images(), Augmentation(**(off | {way: WAYS[way]})), alone)
    assert alone.bit_generator.state != beside.bit_generator.state


def test_the_mirror_flips_about_half_of_the_images_left_to_right_and_none_upside_down():
    original = images(400)
    mirrored = mirror_randomly(original, np.random.default_rng(1))
    flipped = [not np.array_equal(*pair) for pair in zip(original, mirrored, strict=True)]
    assert np.array_equal(mirrored[flipped], original[flipped, :, ::-1])
    assert 150 < sum(flipped) < 250


def test_a_crop_shows_a_part_of_the_image_enlarged_and_nothing_from_outside_it():
    rows = np.arange(10, 50, dtype=np.uint8)
    ramp = np.tile(rows[None, :, None, None], (200, 1, 40, 1))  # Brighter from top to bottom alone.
    cropped = crop_randomly(ramp, 0.4, np.random.default_rng(1)).astype(int)
    assert (cropped.min(), cropped.max()) == (10, 49)
    assert np.array_equal(cropped, np.tile(cropped[:, :, :1], (1, 1, 40, 1)))
    seen = cropped[:, -1, 0, 0] - cropped[:, 0, 0, 0]
    assert 0.6 * 39 - 1 <= seen.min() < 0.65 * 39
    assert 0.95 * 39 < seen.max() <= 39
    assert cropped[:, 0, 0, 0].max() > 20  # It is not always the top that is seen.
    assert (np.diff(cropped[:, :, 0, 0], axis=1) >= 0).all()


def test_brightness_multiplies_and_stays_between_black_and_white():
    original = np.tile(np.array([0, 100, 250], np.uint8)[None, None, :, None], (300, 2, 1, 1))
    brightened = brighten_randomly(original, 0.3, np.random.default_rng(1))
    assert not brightened[:, :, 0].any()
    assert 70 <= brightened[:, :, 1].min() < 75
    assert 125 < brightened[:, :, 1].max() <= 130
    assert brightened[:, :, 2].max() == 255
    assert brightened[:, :, 2].min() >= 175


def test_contrast_moves_pixels_from_their_mean_and_stays_between_black_and_white():
    original = np.tile(np.array([0, 80, 250], np.uint8)[None, None, :, None], (300, 2, 1, 1))  # The mean is 110.
    changed = contrast_randomly(original, 0.5, np.random.default_rng(1))
    assert 95 <= changed[:, :, 1].max() <= 96
    assert 65 <= changed[:, :, 1].min() <= 66
    assert changed[:, :, 0].min() == 0
    assert changed[:, :, 0].max() <= 55
    assert changed[:, :, 2].max() == 255
    uniform = np.full((5, 8, 8, 3), 90, np.uint8)
    assert np.array_equal(contrast_randomly(uniform, 0.5, np.random.default_rng(1)), uniform)
