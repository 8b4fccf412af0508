import numpy as np
import pytest

from fashion.images.split import class_counts, stratified_split

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(3), [40, 80, 120])).astype(np.uint8)


def test_every_image_is_in_one_of_the_two_parts():
    first, second = stratified_split(LABELS, 0.25, seed=0)
    assert sorted([*first, *second]) == list(range(240))


@pytest.mark.parametrize("seed", range(5))
def test_every_class_has_its_share_in_both_parts(seed):
    first, second = stratified_split(LABELS, 0.25, seed)
    assert class_counts(LABELS[first], 3).tolist() == [30, 60, 90]
    assert class_counts(LABELS[second], 3).tolist() == [10, 20, 30]


def test_the_seed_decides_how_images_are_divided():
    np.testing.assert_array_equal(stratified_split(LABELS, 0.25, 5)[1], stratified_split(LABELS, 0.25, 5)[1])
    assert not np.array_equal(stratified_split(LABELS, 0.25, 5)[1], stratified_split(LABELS, 0.25, 6)[1])


def test_a_class_without_images_is_counted_as_none():
    assert class_counts(np.array([0, 2, 2], np.uint8), 4).tolist() == [1, 0, 2, 0]
