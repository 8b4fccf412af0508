import numpy as np
import pytest

from fashion.images import near_copies
from fashion.images.copies import ALIKE, AT_ONCE, signatures
from fashion.images.near_copies import group_near_copies
from fashion.images.synthetic import draw
from tests.traffic import frames

IMAGES, LABELS = draw(400, 10, (28, 28), seed=3)


@pytest.mark.parametrize("number", range(5))
def test_frames_of_one_object_are_one_group(number):
    assert len(set(group_near_copies(frames(IMAGES[number], 20, seed=number)))) == 1


def test_groups_are_found_among_other_images_in_whatever_order():
    images = np.concatenate([IMAGES[:50], frames(IMAGES[60], 20, seed=1), frames(IMAGES[70], 20, seed=2)])
    order = np.random.default_rng(0).permutation(len(images))
    groups = group_near_copies(images[order])[np.argsort(order)]
    assert len(set(groups[50:70])) == len(set(groups[70:])) == 1
    assert not set(groups[50:70]) & set(groups[70:])


def test_copies_far_apart_are_found():
    images = np.concatenate([IMAGES[:1], np.zeros((AT_ONCE + 5, 28, 28, 1), np.uint8), IMAGES[:1]])
    images[1:-1] = np.random.default_rng(0).integers(0, 256, (AT_ONCE + 5, 28, 28, 1))
    groups = group_near_copies(images)
    assert groups[0] == groups[-1]
    assert len(set(groups)) == len(images) - 1


def test_images_of_one_shade_are_like_nothing():
    assert len(set(group_near_copies(np.full((3, 28, 28, 1), 7, np.uint8)))) == 3
    assert group_near_copies(np.empty((0, 28, 28, 1), np.uint8)).shape == (0,)


def test_the_object_may_be_moved_on_a_ground_of_any_shade():
    dark = np.pad(IMAGES[:5], ((0, 0), (2, 2), (2, 2), (0, 0)))
    for images in (dark, 255 - dark, 255 - np.repeat(dark, 3, axis=3) // 2):
        groups = group_near_copies(np.concatenate([images, np.roll(images, (1, -1), axis=(1, 2))]))
        assert groups[:5].tolist() == groups[5:].tolist()
        assert len(set(groups)) == 5


def test_in_colour_another_hue_is_another_picture_and_another_complexion_is_not():
    image = np.repeat(IMAGES[:1], 3, axis=3).astype(np.float64)
    # All as bright as each other; the second and the third have opposite hues.
    tints = np.array([[1, 0.75, 0.6], [1.15, 0.68, 0.6], [0.55, 0.88, 1.2]])
    same, paler, other = (image * tint * 0.8 for tint in tints)
    groups = group_near_copies(np.concatenate([same, paler, other]).clip(0, 255).astype(np.uint8))
    assert groups[0] == groups[1] != groups[2]


def test_in_grey_garments_of_one_outline_with_other_details_are_not_near_copies():
    plain = np.zeros((1, 28, 28, 1), np.uint8)
    plain[:, 3:25, 8:20] = 200
    printed = plain.copy()
    printed[:, 6:9, 9:19] = 150
    assert (signatures(plain) @ signatures(printed).T).item() > ALIKE
    assert len(set(group_near_copies(np.concatenate([plain, printed])))) == 2


def test_groups_that_are_known_stay():
    images = np.concatenate([IMAGES[:3], IMAGES[:1] // 2])
    groups = group_near_copies(images, np.array([0, 1, 1, 3]))
    assert groups[0] == groups[3] != groups[1] == groups[2]


def test_images_before_a_stationary_camera_are_joined_some_at_once(monkeypatch):
    monkeypatch.setattr(near_copies, "JOINED_AT_ONCE", 10)
    images = np.concatenate([frames(IMAGES[number], 30, seed=number) for number in range(3)])
    assert np.bincount(group_near_copies(images)).tolist() == [30, 30, 30]
