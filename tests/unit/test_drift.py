"""The alarm on drawn predictions whose truth is known; few windows, so the limits here are generous."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fashion.evaluation.drift import Detector, Sample, build_detector, descriptor_values, draw_labels, measure
from fashion.evaluation.limits import _resample, calibrate, score
from fashion.images.descriptors import WATCHED

CLASSES, AXES, SIZE, WINDOWS, RATE = 4, 12, 200, 300, 0.05
RANDOM = np.random.default_rng(0)
CENTRES = RANDOM.normal(0, 2, (CLASSES, AXES))


def draw(count, random, shares=None, moved=0.0, spread=1.0, wrong=0.0, by_design=False):
    """Images of a world of four classes, each a Gaussian, seen by the classifier that is best for it.

    Their shares are by chance, as in a stream, or by design, as in a split.
    """
    truth = np.arange(count) % CLASSES if by_design else random.choice(CLASSES, count, p=shares)
    embeddings = CENTRES[truth] + random.normal(0, spread, (count, AXES)) + moved
    distances = ((embeddings[:, None] - CENTRES) ** 2).sum(axis=2)
    probabilities = np.exp(-(distances - distances.min(axis=1, keepdims=True)) / 2)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels = np.where(random.random(count) < wrong, (truth + 1) % CLASSES, truth)
    descriptors = np.column_stack([embeddings[:, : len(WATCHED) - 1], np.zeros(count)])
    return Sample(descriptors, embeddings, probabilities, labels)


@pytest.fixture(scope="module")
def detector():
    return build_detector(draw(2000, np.random.default_rng(1), by_design=True), tolerance=0.01)


@pytest.fixture(scope="module")
def limits(detector):
    return calibrate(detector, SIZE, SIZE, RATE)


def drifted(detector, limits, sample, size=SIZE):
    """By statistic, the share of windows of a sample that are beyond the threshold."""
    windows = np.random.default_rng(2).integers(0, len(sample), (WINDOWS, size))
    scores = score(limits, measure(detector, sample), windows)
    return {name: (values > 1).mean() for name, values in scores.items()} | {
        "any": np.any([values > 1 for values in scores.values()], axis=0).mean()
    }


def test_clean_windows_drift_no_more_often_than_allowed(detector, limits):
    assert drifted(detector, limits, draw(20_000, np.random.default_rng(3)))["any"] <= RATE


def test_the_rate_is_used_and_not_just_undercut(detector):
    """A detector that never speaks would pass the test above."""
    sample = draw(20_000, np.random.default_rng(3))
    assert drifted(detector, calibrate(detector, SIZE, SIZE, 0.5), sample)["any"] >= 0.1


@pytest.mark.parametrize(
    ("statistic", "change"),
    [
        ("embeddings", {"moved": 0.5}),
        ("descriptors", {"moved": 0.5}),
        ("descriptors", {"spread": 1.3}),
        ("class mix", {"shares": [0.1, 0.2, 0.3, 0.4]}),
        ("vanishing class", {"shares": [0.05, 0.35, 0.3, 0.3]}),
        ("labels", {"wrong": 0.15}),
    ],
)
def test_a_change_is_seen_by_the_statistic_that_is_meant_for_it(detector, limits, statistic, change):
    assert drifted(detector, limits, draw(5_000, np.random.default_rng(4), **change))[statistic] >= 0.95


def test_wrong_labels_are_seen_by_no_other_statistic(detector, limits):
    found = drifted(detector, limits, draw(20_000, np.random.default_rng(3), wrong=0.15))
    assert all(rate <= RATE for name, rate in found.items() if name not in ("labels", "any"))


def test_without_labels_nothing_is_said_about_them(detector):
    assert "labels" not in calibrate(detector, SIZE, 0, RATE)


def test_a_few_labels_among_many_images_count_as_few(detector):
    """Images without a label must neither help nor harm: the score is that of the labelled ones alone."""
    sample = draw(SIZE, np.random.default_rng(5), wrong=0.5)
    known = np.arange(SIZE) < 20
    partly = Sample(sample.descriptors, sample.embeddings, sample.probabilities, np.where(known, sample.labels, -1))
    limits = {"labels": calibrate(detector, SIZE, 20, RATE)["labels"]}
    ours = score(limits, measure(detector, partly), np.arange(SIZE)[None])
    theirs = score(limits, measure(detector, sample.rows(np.flatnonzero(known))), np.arange(20)[None])
    np.testing.assert_allclose(ours["labels"], theirs["labels"])


def test_an_accuracy_short_of_the_confidence_within_the_tolerance_is_clean():
    reference = draw(2000, np.random.default_rng(1))
    sample = draw(20_000, np.random.default_rng(6), wrong=0.03)
    rates = []
    for tolerance in (0.0, 0.05):
        detector = build_detector(reference, tolerance)
        rates.append(drifted(detector, calibrate(detector, SIZE, SIZE, RATE), sample)["labels"])
    assert rates[1] <= RATE < rates[0]


def test_the_same_reference_gives_the_same_limits(detector, limits):
    assert calibrate(detector, SIZE, SIZE, RATE) == limits


def test_a_lower_rate_has_higher_thresholds(detector, limits):
    strict = calibrate(detector, SIZE, SIZE, RATE / 5)
    assert all(strict[name].threshold > limits[name].threshold for name in limits)


def test_a_small_reference_with_constant_features_gives_finite_scores():
    reference = draw(40, np.random.default_rng(7))
    constant = Sample(np.zeros((40, 5)), np.zeros((40, AXES)), reference.probabilities, reference.labels)
    detector = build_detector(constant, 0.0)
    moved = Sample(np.ones((30, 5)), np.ones((30, AXES)), reference.probabilities[:30], reference.labels[:30])
    scores = score(calibrate(detector, 30, 30, RATE), measure(detector, moved), np.arange(30)[None])
    assert all(np.isfinite(values).all() for values in scores.values())
    assert scores["embeddings"] > 1


def test_clean_windows_are_drawn_with_the_mix_of_the_reference():
    classes = np.repeat([0, 1, 2], [10, 30, 60])
    windows = _resample(Detector({}, classes, 0.0, {}, classes), 1000, np.random.default_rng(8))
    np.testing.assert_allclose(windows.sum(axis=1), 1)
    shares = [windows[:, classes == label].sum(axis=1).mean() for label in range(3)]
    np.testing.assert_allclose(shares, [0.1, 0.3, 0.6], atol=0.01)


def test_descriptors_are_taken_by_name():
    table = pd.DataFrame({"height": [28], **{name: [number] for number, name in enumerate(WATCHED)}})
    assert descriptor_values(table).tolist() == [[0, 1, 2, 3, 4]]


def test_a_reference_that_nobody_has_labelled_is_as_good():
    """400 predictions of a world that has moved; clean windows of that world are clean, others are not."""
    first = draw(400, np.random.default_rng(11), moved=1.0)
    detector = build_detector(replace(first, labels=draw_labels(first.probabilities)), 0.01, mix_by_chance=True)
    limits = calibrate(detector, SIZE, SIZE, RATE)
    assert drifted(detector, limits, draw(20_000, np.random.default_rng(12), moved=1.0))["any"] <= RATE
    assert drifted(detector, limits, draw(20_000, np.random.default_rng(13), moved=1.5))["embeddings"] == 1
    wrong = draw(20_000, np.random.default_rng(14), moved=1.0, wrong=0.2)
    assert drifted(detector, limits, wrong)["labels"] > 0.9


def test_a_mix_by_chance_is_as_uncertain_as_that_of_both_halves_together():
    classes = np.repeat([0, 1, 2], [10, 30, 60])
    windows = _resample(Detector({}, classes, 0.0, {}, classes, mix_by_chance=True), 1000, np.random.default_rng(8))
    shares = np.array([windows[:, classes == label].sum(axis=1) for label in range(3)])
    np.testing.assert_allclose(shares.mean(axis=1), [0.1, 0.3, 0.6], atol=0.01)
    expected = [np.sqrt(share * (1 - share) * (1 / 1000 + 1 / 200)) for share in (0.1, 0.3, 0.6)]
    np.testing.assert_allclose(shares.std(axis=1), expected, rtol=0.1)


def test_clean_windows_rarely_drift_from_first_predictions_whose_mix_is_by_chance():
    """Of 400 predictions the shares of four classes are two points off; windows of 2,000 see that in every look."""
    world = draw(20_000, np.random.default_rng(15))
    rates = []
    for seed in range(8):
        first = draw(400, np.random.default_rng(100 + seed))
        detector = build_detector(replace(first, labels=draw_labels(first.probabilities)), 0.01, mix_by_chance=True)
        rates.append(drifted(detector, calibrate(detector, 2000, 0, RATE), world, 2000)["any"])
    assert np.mean(rates) <= RATE


def test_labels_are_drawn_as_the_probabilities_say():
    probabilities = np.tile(np.array([[0.0, 0.7, 0.3]], np.float32), (10_000, 1))
    shares = np.bincount(draw_labels(probabilities), minlength=3) / 10_000
    np.testing.assert_allclose(shares, [0, 0.7, 0.3], atol=0.02)
    np.testing.assert_array_equal(draw_labels(probabilities), draw_labels(probabilities))
