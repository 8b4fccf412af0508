"""Limits that are derived for batches: what is refused by chance, and what is still refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fashion.arrays import LabelledImages
from fashion.images.synthetic import draw
from fashion.intake.chance import FEWEST_IN_BATCH, divergence_by_chance, least_support_of_a_class
from fashion.intake.suites import DIVERGENCE_OF_BATCH, derive_suites, measure

DRAWN = 2000


def support_of(chances, counts, seed=0):
    """Test images of classes whose neighbours have the same label with these chances."""
    labels = np.repeat(range(len(counts)), counts)
    found = np.random.default_rng(seed).binomial(10, np.array(chances)[labels]) / 10
    table = pd.DataFrame({"label": labels, "label_support": found})
    return table.assign(class_label_support=table.groupby("label")["label_support"].transform("mean"))


@pytest.mark.parametrize(
    ("chances", "counts"),
    [([0.9] * 10, [100] * 10), ([0.5, 0.8, 0.9], [40, 60, 900]), ([0.3, 0.7], [300, 700])],
    ids=["equal classes", "a rare class", "a class that is hard to tell"],
)
def test_batches_that_are_as_the_test_images_are_seldom_refused(chances, counts):
    support = support_of(chances, counts)
    least = least_support_of_a_class(support, 0.5)
    random = np.random.default_rng(7)
    refused = sum(
        support.iloc[random.integers(len(support), size=FEWEST_IN_BATCH)].groupby("label")["label_support"].mean().min()
        < least
        for _ in range(DRAWN)
    )
    # Two in a hundred at most; five more than that would be far beyond chance in 2,000 draws.
    assert refused <= 0.03 * DRAWN


def test_well_known_classes_must_keep_half_of_their_support():
    support = support_of([0.9] * 10, [100] * 10)
    assert least_support_of_a_class(support, 0.5) == pytest.approx(
        0.5 * support["class_label_support"].min(), abs=0.001
    )


def test_nothing_is_asked_where_a_class_often_has_no_support():
    assert least_support_of_a_class(support_of([0.07, 0.5, 0.9], [20, 40, 440]), 0.5) == 0


@pytest.mark.parametrize("classes", [2, 9, 50, 256])
def test_the_shares_of_a_small_batch_are_seldom_refused(classes):
    random = np.random.default_rng(classes)
    shares = random.dirichlet([5] * classes)
    found = random.multinomial(FEWEST_IN_BATCH, shares, DRAWN) / FEWEST_IN_BATCH
    divergences = np.where(found > 0, found * np.log(np.maximum(found, 1e-9) / shares), 0).sum(axis=1)
    assert (divergences > max(DIVERGENCE_OF_BATCH, divergence_by_chance(shares))).mean() <= 0.03


def test_a_batch_without_one_of_ten_equal_classes_is_refused():
    assert -np.log(0.9) > max(DIVERGENCE_OF_BATCH, divergence_by_chance([0.1] * 10))


def test_the_suite_asks_for_the_support_of_each_class_where_that_tells_something():
    images, labels = draw(60, 3, (16, 16), 0, 1)
    split = LabelledImages(images, labels)
    measured = measure(split, split, 3)
    asked = {}
    for name, chance in (("known", 0.9), ("unknown", 0.0)):
        suite = derive_suites(replace(measured, support=support_of([chance] * 3, [40] * 3)), "a test")["batch"]
        asked[name] = [one["kwargs"].get("column") for one in suite]
    assert "class_label_support" in asked["known"]
    assert "class_label_support" not in asked["unknown"]
    assert all("label_support" in columns for columns in asked.values())
