import numpy as np
import pytest

from fashion.evaluation.reproduction import Figure, compare_figures, compare_weights


def weights(**changes):
    return {"dense/kernel": np.ones((2, 3), np.float32), "dense/bias": np.zeros(3, np.float32), **changes}


def test_equal_weights_are_identical():
    found = compare_weights(weights(), weights())
    assert (found.identical, found.parts, found.largest_difference) == (True, 2, 0.0)


def test_one_bit_is_a_difference():
    nudged = np.nextafter(np.ones((2, 3), np.float32), np.float32(2))
    found = compare_weights(weights(), weights(**{"dense/kernel": nudged}))
    assert found.different == ("dense/kernel",)
    assert found.largest_difference == pytest.approx(1.19e-7, rel=0.01)


def test_minus_zero_is_not_zero_but_a_nan_is_itself():
    assert not compare_weights(weights(), weights(**{"dense/bias": np.full(3, -0.0, np.float32)})).identical
    broken = weights(**{"dense/bias": np.full(3, np.nan, np.float32)})
    assert compare_weights(broken, broken).identical


@pytest.mark.parametrize(
    "other",
    [weights(extra=np.ones(1)), {"dense/bias": np.zeros(3, np.float32)}, weights(**{"dense/bias": np.zeros(4)})],
    ids=["one more", "one less", "another shape and type"],
)
def test_other_arrays_are_a_difference_without_a_size(other):
    found = compare_weights(weights(), other)
    assert (found.identical, found.largest_difference) == (False, 0.0)


def test_figures_stand_side_by_side_even_if_one_has_none():
    assert compare_figures({"accuracy": 0.9, "old": 1}, {"accuracy": 0.8, "new": 2}) == (
        Figure("accuracy", 0.9, 0.8),
        Figure("old", 1, None),
        Figure("new", None, 2),
    )
