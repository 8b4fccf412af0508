import numpy as np
import pytest

from fashion.images.copies import AT_ONCE
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
