"""Corrupted copies of test images, and what a model's answers to them are worth."""

import json

import numpy as np
import pytest

from fashion.arrays import LabelledImages
from fashion.evaluation.estimates import clustered_interval
from fashion.evaluation.paired import score_interval
from fashion.evaluation.robustness import (
    OnCopies,
    answer_copies,
    copies_difference,
    describe_copies,
    describe_slices,
    mean_accuracy,
    slice_differences,
)
from fashion.images.corrupted import FEWEST, IMAGES, count_copied, make_copies
from fashion.images.corruptions import CORRUPTIONS, SEVERITIES
from fashion.images.slices import Slice

SEVERITY = len(SEVERITIES)


def make_test(count, shape=(8, 9, 1), seed=0):
    random = np.random.default_rng(seed)
    return LabelledImages(random.integers(0, 256, (count, *shape), np.uint8), random.integers(0, 2, count))


@pytest.mark.parametrize("shape", [(8, 9, 1), (8, 9, 3)], ids=["grey", "colour"])
def test_every_model_meets_the_same_copies_of_every_corruption_and_severity(shape):
    test = make_test(120, shape)
    first, second = list(make_copies(test.images)), list(make_copies(test.images))
    assert [one.corruption for one in first] == list(CORRUPTIONS)
    for one, again in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.images, again.images)
        assert one.images.shape == (SEVERITY * 24, *shape)
        assert len(np.unique(one.rows)) == 24
    assert len({tuple(one.rows) for one in first}) == len(CORRUPTIONS)


def test_a_corruption_that_is_added_leaves_the_copies_of_the_others_as_they_were(monkeypatch):
    test = make_test(100)
    before = {one.corruption: one.images for one in make_copies(test.images)}
    monkeypatch.setitem(CORRUPTIONS, "new", CORRUPTIONS["blur"])
    after = {one.corruption: one.images for one in make_copies(test.images)}
    assert set(after) - set(before) == {"new"}
    assert all((after[name] == images).all() for name, images in before.items())


def test_the_number_of_copies_is_bounded_by_the_test_set_and_by_the_size_of_an_image():
    def count(images, shape):
        return count_copied(np.empty((images, *shape), np.uint8))

    assert count(10_000, (28, 28, 1)) == IMAGES
    assert count(500, (28, 28, 1)) == 100
    assert count(40, (8, 8, 1)) == FEWEST
    assert count(7, (8, 8, 1)) == 7
    assert count(100, (512, 512, 3)) == FEWEST


def perfect(test):
    """A model that looks at nothing: class 0, always."""
    return answer_copies(lambda images: np.zeros(len(images), np.intp), test)


def test_each_copy_is_compared_with_the_label_of_its_image():
    test = make_test(100)
    found = perfect(test)
    for name, correct in found.correct.items():
        assert correct.shape == (SEVERITY, FEWEST)
        np.testing.assert_array_equal(correct, np.tile(test.labels[found.rows[name]] == 0, (SEVERITY, 1)))
    told = describe_copies(found)
    assert len(told["rows"]) == len(CORRUPTIONS) * SEVERITY
    assert told["mean"]["accuracy"] == pytest.approx(np.mean([row["accuracy"] for row in told["rows"]]))
    assert told["mean"]["images"] == len(np.unique(found.images)) < FEWEST * len(CORRUPTIONS)
    assert {row["images"] for row in told["rows"]} == {FEWEST}
    json.dumps(told, allow_nan=False)


def test_a_model_that_is_always_right_is_not_certain_to_be():
    test = make_test(50)
    always = OnCopies(perfect(test).rows, {name: np.ones_like(one) for name, one in perfect(test).correct.items()})
    mean = mean_accuracy(always)
    assert mean.value == mean.high == 1
    assert 0.8 < mean.low < 0.99


def test_of_single_images_the_interval_is_that_of_agresti_and_min():
    """Their formula for counts b, c of n pairs: Wald's, after half a pair is added to each of the four cells."""
    b, c, n = 12, 5, 80
    values = np.concatenate([np.ones(b), -np.ones(c), np.zeros(n - b - c)])
    difference = (b - c) / (n + 2)
    deviation = np.sqrt(((b + 0.5) + (c + 0.5)) / (n + 2) - difference**2) / np.sqrt(n + 2)
    ends = clustered_interval(values, np.arange(n), 0.95)
    assert ends == pytest.approx((difference - 1.959964 * deviation, difference + 1.959964 * deviation))


def test_copies_that_only_repeat_their_image_add_no_certainty():
    values = np.random.default_rng(0).choice([-1, 0, 0, 0, 1], 200).astype(float)
    once = clustered_interval(values, np.arange(200), 0.95)
    repeated = clustered_interval(np.tile(values, 45), np.tile(np.arange(200), 45), 0.95)
    assert repeated == pytest.approx(once)
    taken_for_images = clustered_interval(np.tile(values, 45), np.arange(9_000), 0.95)
    assert np.diff(taken_for_images) < np.diff(once) / 5


@pytest.mark.parametrize("clusters", [1, 2, 3])
def test_a_few_images_prove_nothing_however_many_copies_they_have(clusters):
    low, high = clustered_interval(-np.ones(45 * clusters), np.repeat(np.arange(clusters), 45), 0.95)
    assert low == -1
    assert high > -0.5


def test_the_difference_on_copies_is_that_of_the_means():
    test = make_test(100)
    ours = perfect(test)
    theirs = OnCopies(ours.rows, {name: ~correct for name, correct in ours.correct.items()})
    found = copies_difference(ours, theirs, 0.95)
    assert found.candidate + found.champion == pytest.approx(1)
    assert found.low < found.value < found.high
    same = copies_difference(ours, ours, 0.95)
    assert same.value == 0
    assert same.low < 0 < same.high


MEMBERS = {
    "dark": np.arange(100) < 40,
    "blurred": np.arange(100) == 99,
    "pale": np.zeros(100, bool),
}


def test_slices_are_judged_by_score_intervals_that_hold_jointly():
    champion, candidate = np.ones(100, bool), np.arange(100) >= 20
    found = slice_differences(MEMBERS, candidate, champion, 0.95)
    assert list(found) == ["dark", "blurred"]
    assert (found["dark"].candidate, found["dark"].champion) == (0.5, 1.0)
    (low,), (high,) = score_interval(np.array([0]), np.array([20]), np.array([40]), 0.975)
    assert (found["dark"].low, found["dark"].high) == (low, high)


def test_a_slice_of_one_image_proves_nothing_and_an_empty_one_is_no_error():
    found = slice_differences(MEMBERS, np.zeros(100, bool), np.ones(100, bool), 0.95)["blurred"]
    assert found.value == -1
    assert found.high > -0.2
    assert slice_differences({"pale": MEMBERS["pale"]}, np.ones(100, bool), np.ones(100, bool), 0.95) == {}
    assert slice_differences({}, np.ones(100, bool), np.ones(100, bool), 0.95) == {}


def test_the_table_of_slices_says_where_there_is_no_image():
    slices = [Slice(name, f"what is {name}", "mean", 3.0) for name in MEMBERS]
    dark, blurred, pale = describe_slices(slices, MEMBERS, np.arange(100) >= 20)
    assert (dark["images"], dark["accuracy"]) == (40, 0.5)
    assert (blurred["images"], blurred["accuracy"]) == (1, 1.0)
    assert blurred["low"] < 0.3
    assert pale == {"name": "pale", "definition": "what is pale", "column": "mean", "below": 3.0, "labels": ()} | {
        "images": 0,
        "accuracy": None,
        "low": None,
        "high": None,
    }
