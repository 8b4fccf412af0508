"""How many images of each class are taken where one comes too often."""

import numpy as np
import pytest
from scipy.stats import entropy

from fashion.images.mix import Mix, choose_balanced

TEN = Mix(np.arange(10), np.full(10, 0.1), 0.1)


def labels_of(counts, seed=0):
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))


def divergence(labels, mix):
    return entropy(np.bincount(labels, minlength=len(mix.shares)), mix.shares)


def test_labels_within_the_mix_are_taken_whole_and_of_too_many_the_last_ones():
    labels = labels_of([30] * 10)
    assert list(choose_balanced(labels, TEN, 1000)) == list(range(300))
    assert list(choose_balanced(labels, TEN, 250)) == list(range(50, 300))


def test_of_a_class_that_comes_too_often_as_many_are_taken_as_the_mix_allows_the_last_ones():
    labels = labels_of([200, *[16] * 9])
    chosen = choose_balanced(labels, TEN, 1000)
    counts = np.bincount(labels[chosen])
    assert list(counts) == [49, *[16] * 9]
    assert divergence(labels[chosen], TEN) <= TEN.divergence < entropy([50, *[16] * 9], TEN.shares)
    assert list(chosen[labels[chosen] == 0]) == list(np.flatnonzero(labels == 0)[-49:])
    assert list(chosen) == sorted(chosen)


def test_what_the_last_ones_lack_is_taken_from_those_before():
    labels = np.concatenate([labels_of([20] * 10), np.zeros(500, int)])
    chosen = choose_balanced(labels, TEN, 300)
    assert len(chosen) <= 300
    assert divergence(labels[chosen], TEN) <= TEN.divergence
    assert set(labels[chosen]) == set(range(10))


@pytest.mark.parametrize("counts", [[0, *[50] * 9], [500, *[0] * 9], [0] * 10])
def test_where_no_number_would_do_none_is_taken(counts):
    assert len(choose_balanced(labels_of(counts), TEN, 1000)) == 0


def test_the_shares_need_not_be_equal():
    mix = Mix(np.arange(3), np.array([0.6, 0.3, 0.1]), 0.02)
    labels = labels_of([60, 300, 100])
    chosen = choose_balanced(labels, mix, 1000)
    assert divergence(labels[chosen], mix) <= mix.divergence
    assert len(chosen) >= 60


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_the_mix_is_kept_and_as_much_is_taken_as_can_be(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 200, 10)
    labels = labels_of(counts, seed)
    chosen = choose_balanced(labels, TEN, 700)
    assert len(set(chosen)) == len(chosen) <= 700
    if len(chosen):
        assert divergence(labels[chosen], TEN) <= TEN.divergence
    caps = [np.minimum(counts, cap) for cap in range(1, 201)]
    fitting = [cap.sum() for cap in caps if 0 < cap.sum() <= 700 and entropy(cap, TEN.shares) <= TEN.divergence]
    assert len(chosen) >= max(fitting, default=0)
