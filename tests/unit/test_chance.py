"""Limits that are derived for batches: what is refused by chance, and what is still refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fashion.arrays import LabelledImages
from fashion.images.corruptions import CORRUPTIONS, corrupt
from fashion.images.labels import label_support
from fashion.images.synthetic import draw
from fashion.intake.chance import FEWEST_IN_BATCH, divergence_by_chance, least_support, least_support_of_a_class
from fashion.intake.suites import DIVERGENCE_OF_BATCH, derive_suites, measure
from fashion.intake.support import SEVERITY, UNCHANGED

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
        support = {UNCHANGED: support_of([0.9] * 3, [40] * 3), "blur": support_of([chance] * 3, [40] * 3)}
        suite = derive_suites(replace(measured, support=support), "a test")["batch"]
        asked[name] = [one["kwargs"].get("column") for one in suite]
    assert "class_label_support" in asked["known"]
    assert "class_label_support" not in asked["unknown"]
    assert all("label_support" in columns for columns in asked.values())


def test_labels_that_were_dealt_out_at_random_are_below_what_is_asked_on_average():
    support = support_of([0.9, 0.8], [500, 500])
    assert least_support(support, [0.5, 0.5]) == pytest.approx((0.5 + support["label_support"].mean()) / 2, abs=0.001)
    # Where right labels have hardly more than random ones, a small batch is not refused for chance.
    weak = support_of([0.52, 0.52], [500, 500])
    draws = [weak["label_support"].sample(FEWEST_IN_BATCH, random_state=seed).mean() for seed in range(300)]
    assert np.mean(np.array(draws) < least_support(weak, [0.5, 0.5])) <= 0.05


@pytest.fixture(scope="module")
def derived():
    """What is asked of a batch for drawn garments, and 100 others with their known images."""
    images, labels = draw(1200, 10, (28, 28), 0, 1)
    train, test = LabelledImages(images[:800], labels[:800]), LabelledImages(images[800:1100], labels[800:1100])
    suite = derive_suites(measure(train, test, 10), "a test")["batch"]
    least = {
        one["kwargs"]["column"]: one["kwargs"]["min_value"]
        for one in suite
        if "support" in str(one["kwargs"].get("column"))
    }
    return least, train, LabelledImages(images[1100:], labels[1100:])


def refused(derived, images, labels):
    least, train, _ = derived
    support = label_support(images, labels, train.images, train.labels)
    mean, of_class = support["label_support"].mean(), support["class_label_support"].min()
    return mean < least["label_support"] or of_class < least["class_label_support"]


@pytest.mark.parametrize("kind", [UNCHANGED, *CORRUPTIONS])
def test_right_labels_of_images_that_have_changed_are_not_refused(derived, kind):
    _, _, new = derived
    changed = new.images if kind == UNCHANGED else corrupt(kind, SEVERITY, new.images, np.random.default_rng(1))
    assert not refused(derived, changed, new.labels)


def test_labels_that_were_mixed_up_or_of_which_two_classes_were_exchanged_are_refused(derived):
    _, _, new = derived
    assert refused(derived, new.images, np.random.default_rng(2).permutation(new.labels))
    exchanged = np.array([*range(5), 8, 6, 7, 5, 9], np.uint8)[new.labels]  # No two that look alike.
    assert refused(derived, new.images, exchanged)
