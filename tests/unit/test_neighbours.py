import numpy as np
import pytest

from fashion.evaluation.neighbours import MOST_ROWS, domain_auc, nearest

RANDOM = np.random.default_rng(0)


def test_the_nearest_are_those_at_the_smallest_angle_whatever_their_length():
    known = np.array([[5.0, 0.0], [0.0, 0.1], [1.0, 1.0]])
    rows, distances = nearest(known, np.array([[0.2, 0.0], [0.0, 7.0]]), 2)
    assert rows.tolist() == [[0, 2], [1, 2]]
    assert distances == pytest.approx(np.array([[0, 1 - 0.5**0.5], [0, 1 - 0.5**0.5]]))


def test_of_fewer_known_ones_than_wanted_all_are_given():
    rows, distances = nearest(np.eye(2), np.eye(2), 3)
    assert rows.shape == distances.shape == (2, 2)


def test_embeddings_of_one_kind_cannot_be_told_apart():
    some, others = RANDOM.normal(size=(300, 8)), RANDOM.normal(size=(2 * MOST_ROWS, 8))
    assert domain_auc(some, others) == pytest.approx(0.5, abs=0.06)


def test_the_farther_apart_the_better_they_are_told_apart():
    base = RANDOM.normal(size=(500, 8))
    areas = [domain_auc(RANDOM.normal(size=(200, 8)) + shift, base) for shift in (0.1, 0.5, 3)]
    assert areas == sorted(areas)
    assert areas[-1] > 0.99


def test_a_dimension_that_never_changes_does_no_harm():
    some = np.column_stack([RANDOM.normal(size=(50, 3)), np.zeros(50)])
    assert 0 <= domain_auc(some, some + 0.0) <= 1
