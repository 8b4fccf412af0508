import numpy as np
import pytest

from fashion.evaluation.judgement import compare


def test_the_comparison_counts_image_by_image():
    candidate = np.array([True, True, False, True])
    champion = np.array([True, False, False, False])
    comparison = compare(candidate, champion)
    assert (comparison.only_candidate_right, comparison.only_champion_right) == (2, 0)
    assert (comparison.candidate_accuracy, comparison.champion_accuracy) == (0.75, 0.25)
    assert not comparison.champion_is_better


def test_mcnemars_p_value_is_the_exact_binomial_one():
    candidate = np.repeat([True, False, True], [1, 9, 90])
    champion = np.repeat([False, True, True], [1, 9, 90])
    # Two-sided: 2 * (C(10,0) + C(10,1)) / 2**10.
    assert compare(candidate, champion).p_value == pytest.approx(2 * 11 / 1024)
    assert compare(candidate, champion).champion_is_better


def test_two_equal_models_are_a_tie():
    correct = np.array([True, False, True])
    comparison = compare(correct, correct)
    assert comparison.p_value == 1.0
    assert not comparison.champion_is_better
