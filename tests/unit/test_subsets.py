"""Parts of a labelled set: nested, with the shares of the classes, repeated."""

import numpy as np
import pytest

from fashion.images.subsets import repeated_part, repeats_of, stratified_order

LABELS = np.repeat(np.arange(4, dtype=np.uint8), [500, 300, 150, 3])


def test_every_beginning_has_the_shares_of_the_classes():
    order = stratified_order(LABELS, seed=1)
    assert sorted(order) == list(range(len(LABELS)))
    shares = np.bincount(LABELS) / len(LABELS)
    for size in (40, 100, 333, 800):
        counts = np.bincount(LABELS[order[:size]], minlength=4)
        assert np.abs(counts - shares * size).max() <= 1.5, size


def test_a_beginning_of_as_many_images_as_classes_has_one_of_each_however_rare():
    for seed in range(20):
        assert sorted(LABELS[stratified_order(LABELS, seed)[:4]]) == [0, 1, 2, 3]


def test_another_seed_draws_other_images_and_the_same_seed_the_same():
    first, again, other = (set(stratified_order(LABELS, seed)[:100]) for seed in (1, 1, 2))
    assert first == again
    assert len(first & other) < 40


@pytest.mark.parametrize(("size", "repeats"), [(953, 1), (500, 1), (476, 2), (100, 9), (4, 238)])
def test_a_part_is_repeated_as_often_as_it_goes_into_the_whole(size, repeats):
    assert repeats_of(len(LABELS), size) == repeats
    part = repeated_part(LABELS, size, seed=3)
    assert list(np.unique(part, return_counts=True)[1]) == [repeats] * size


def test_a_smaller_part_is_in_the_larger_one():
    smaller, larger = (set(repeated_part(np.arange(256, dtype=np.uint8) % 5, size, seed=1)) for size in (20, 40))
    assert smaller < larger
