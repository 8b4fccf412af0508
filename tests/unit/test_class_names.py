"""Models that know different classes, side by side."""

import numpy as np

from fashion.evaluation.class_names import align_columns, find_shared
from fashion.evaluation.robustness import OnCopies


def test_classes_are_told_apart_by_name_whatever_their_order():
    found = find_shared(("boot", "hat", "shirt"), ("shirt", "boot", "glove"))
    assert (found.shared, found.new, found.lost) == (("boot", "shirt"), ("hat",), ("glove",))


def test_each_probability_follows_its_name_and_a_class_that_is_not_known_has_none():
    probabilities = np.array([[0.1, 0.2, 0.7]], np.float32)
    aligned = align_columns(probabilities, ("shirt", "boot", "glove"), ("boot", "hat", "shirt"))
    np.testing.assert_array_equal(aligned, np.array([[0.2, 0, 0.1, 0.7]], np.float32))


def test_what_a_model_takes_for_a_class_that_the_other_does_not_know_is_wrong():
    aligned = align_columns(np.array([[0.1, 0.2, 0.7]], np.float32), ("shirt", "boot", "glove"), ("boot", "shirt"))
    assert aligned.argmax() == 2  # None of the two labels.


def test_the_same_classes_leave_the_probabilities_as_they_are():
    probabilities = np.random.default_rng(0).random((5, 3)).astype(np.float32)
    assert align_columns(probabilities, ("a", "b", "c"), ("a", "b", "c")) is probabilities


def test_copies_of_images_that_are_not_compared_are_left_out_with_their_answers():
    correct = np.array([[True, False, True], [False, False, True]])
    found = OnCopies({"noise": np.array([0, 2, 3])}, {"noise": correct}).among(np.array([True, True, False, True]))
    np.testing.assert_array_equal(found.rows["noise"], [0, 3])
    np.testing.assert_array_equal(found.correct["noise"], [[True, True], [False, True]])
