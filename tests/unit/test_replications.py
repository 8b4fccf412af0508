"""Two recipes with several seeds each: the interval covers what it should."""

import numpy as np
import pytest

from fashion.evaluation.replications import accuracy_over_seeds, difference_over_seeds, macro_recall_over_seeds

SEEDS, IMAGES = 5, 400


def draw(random, gain, spread_of_seeds):
    """Which images two recipes get right: images differ in how hard they are, seeds in how well they went."""
    hardness = random.uniform(0.5, 1, IMAGES)
    luck = random.normal(0, spread_of_seeds, (2, SEEDS, 1))
    ours = random.random((SEEDS, IMAGES)) < np.clip(hardness + gain + luck[0], 0, 1)
    theirs = random.random((SEEDS, IMAGES)) < np.clip(hardness + luck[1], 0, 1)
    return ours, theirs


@pytest.mark.parametrize("spread_of_seeds", [0.0, 0.02])
def test_equal_recipes_are_told_apart_no_more_often_than_the_confidence_allows(spread_of_seeds):
    random = np.random.default_rng(1)
    found = [difference_over_seeds(*draw(random, 0.0, spread_of_seeds), 0.95) for _ in range(600)]
    wrong = sum(one.low > 0 or one.high < 0 for one in found)
    # Of 600 at 5 % each, 30; more than 45 would be three standard deviations.
    assert wrong <= 45
    assert wrong >= 1, "an interval that is never wrong says nothing"


def test_a_better_recipe_is_found_and_the_difference_is_that_of_the_means():
    ours, theirs = draw(np.random.default_rng(2), 0.1, 0.01)
    found = difference_over_seeds(ours, theirs, 0.95)
    assert found.low > 0
    assert found.value == pytest.approx(ours.mean() - theirs.mean())
    assert (found.candidate, found.champion) == (ours.mean(), theirs.mean())


def test_recipes_that_get_the_same_right_differ_by_nothing():
    same = np.random.default_rng(3).random((2, 10)) < 0.5
    assert (difference_over_seeds(same, same, 0.95).low, difference_over_seeds(same, same, 0.95).high) == (0, 0)


@pytest.mark.parametrize("spread_of_seeds", [0.0, 0.03])
def test_the_interval_of_an_accuracy_holds_for_other_seeds_and_other_images(spread_of_seeds):
    random = np.random.default_rng(4)
    missed = 0
    for _ in range(400):
        hardness, luck = random.uniform(0.5, 1, IMAGES), random.normal(0, spread_of_seeds, (SEEDS, 1))
        found = accuracy_over_seeds(random.random((SEEDS, IMAGES)) < np.clip(hardness + luck, 0, 1), 0.95)
        missed += not found.low < 0.75 < found.high
    # Of 400 at 5 % each, 20; more than 34 would be three standard deviations. Clipping moves the truth by 0.0003.
    assert 1 <= missed <= 34


@pytest.mark.parametrize("value", [0, 1])
def test_an_accuracy_without_a_mistake_is_no_surer_than_so_many_images_allow(value):
    found = accuracy_over_seeds(np.full((3, 100), bool(value)), 0.95)
    assert (found.value, found.n) == (value, 100)
    assert (found.low, found.high)[value] == value
    assert found.high - found.low == pytest.approx(0.037, abs=0.001)


def test_the_interval_of_an_accuracy_stays_within_0_and_1():
    nearly_all = np.ones((2, 20), bool)
    nearly_all[0, 0] = False
    found = accuracy_over_seeds(nearly_all, 0.95)
    assert 0 < found.low < found.value < found.high == 1


@pytest.mark.parametrize("spread_of_seeds", [0.0, 0.03])
def test_the_interval_of_a_macro_recall_holds_for_other_seeds_and_other_images_of_unequal_classes(spread_of_seeds):
    random = np.random.default_rng(5)
    labels = np.repeat([0, 1, 2], [300, 70, 30])
    recalls = np.array([0.9, 0.7, 0.5])
    missed = 0
    for _ in range(400):
        hardness, luck = random.uniform(-0.1, 0.1, len(labels)), random.normal(0, spread_of_seeds, (SEEDS, 1))
        right = random.random((SEEDS, len(labels))) < np.clip(recalls[labels] + hardness + luck, 0, 1)
        found = macro_recall_over_seeds(right, labels, 0.95)
        missed += not found.low < 0.7 < found.high
    # Of 400 at 5 % each, 20; more than 33 would be three standard deviations.
    assert 1 <= missed <= 33


def test_a_macro_recall_is_the_mean_of_the_classes_recalls():
    right = np.array([[1, 1, 1, 0, 0], [1, 1, 0, 1, 0]], bool)
    found = macro_recall_over_seeds(right, np.array([0, 0, 0, 0, 1]), 0.95)
    assert (found.value, found.n) == (0.375, 5)
