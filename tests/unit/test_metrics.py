import numpy as np
import pytest

from fashion.evaluation import metrics


def test_class_figures_count_what_is_right_for_each_class():
    first, second, third = metrics.class_figures(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), classes=3)
    assert (first.precision, first.recall, first.support) == (1.0, 0.5, 2)
    assert (second.precision, second.recall) == (pytest.approx(2 / 3), 1.0)
    assert (third.precision, third.recall, third.support) == (0.0, 0.0, 0)


def test_full_confidence_falls_into_the_last_bin():
    table = metrics.calibration_bins(np.array([1.0, 0.999]), np.array([True, False]), bins=10)
    assert table["share"].tolist() == [1.0]


def test_agreement_is_the_share_of_equal_classes():
    some = np.array([[0.9, 0.1], [0.2, 0.8]])
    others = np.array([[0.6, 0.4], [0.7, 0.3]])
    assert metrics.agreement(some, others) == 0.5


def test_mistakes_come_with_the_most_confident_first():
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.8, 0.2]])
    labels = np.array([1, 1, 1, 1])
    assert metrics.most_confident_mistakes(probabilities, labels, count=2).tolist() == [1, 3]
