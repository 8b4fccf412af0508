import time

import numpy as np
import pytest

from fashion.evaluation.estimates import calibration_error
from fashion.evaluation.paired import (
    Pairs,
    accuracy_difference,
    calibration_difference,
    count_pairs,
    exact_difference,
    latency_difference,
    mcnemar,
    recall_differences,
    score_interval,
)


def pairs_of(images, both, candidate_only, champion_only):
    return Pairs(*(np.atleast_1d(counts) for counts in (images, both, candidate_only, champion_only)))


def interval(candidate_only, champion_only, images, confidence=0.95):
    ends = score_interval(np.array([candidate_only]), np.array([champion_only]), np.array([images]), confidence)
    return tuple(float(end[0]) for end in ends)


def test_pairs_are_counted_image_by_image_in_each_class():
    labels = np.array([0, 0, 0, 1, 1], np.uint8)
    candidate = np.array([True, True, False, True, False])
    champion = np.array([True, False, True, False, False])
    pairs = count_pairs(labels, candidate, champion, classes=3)
    assert pairs.images.tolist() == [3, 2, 0]
    assert pairs.both.tolist() == [1, 0, 0]
    assert pairs.candidate_only.tolist() == [1, 1, 0]
    assert pairs.champion_only.tolist() == [1, 0, 0]


def test_mcnemars_p_value_is_the_exact_binomial_one():
    # Two-sided: 2 * (C(10,0) + C(10,1)) / 2**10.
    assert mcnemar(1, 9) == mcnemar(9, 1) == pytest.approx(2 * 11 / 1024)
    assert mcnemar(0, 0) == mcnemar(5, 5) == 1.0


def test_the_bootstrap_interval_is_the_one_of_resampling_images_one_by_one():
    rng = np.random.default_rng(1)
    outcome = np.repeat([1, -1, 0], [30, 12, 358])
    resampled = rng.choice(outcome, size=(10_000, 400)).mean(axis=1)
    difference = accuracy_difference(pairs_of(400, 300, 30, 12), 0.95)
    assert difference.value == pytest.approx(18 / 400)
    assert (difference.candidate, difference.champion) == (330 / 400, 312 / 400)
    assert [difference.low, difference.high] == pytest.approx(np.quantile(resampled, [0.025, 0.975]), abs=0.0026)


def fastest(pairs):
    """Processor time of the fastest of five intervals, in seconds."""
    times = []
    for _ in range(5):
        start = time.process_time()
        accuracy_difference(pairs, 0.95)
        times.append(time.process_time() - start)
    return min(times)


def test_the_bootstrap_of_a_million_images_takes_hardly_longer_than_that_of_a_hundred():
    many, few = pairs_of(1_000_000, 900_000, 30_000, 25_000), pairs_of(100, 90, 3, 2)
    assert fastest(many) < 100 * fastest(few)


def test_the_same_counts_give_the_same_interval():
    pairs = pairs_of([500, 500], [400, 390], [20, 30], [10, 40])
    assert accuracy_difference(pairs, 0.95) == accuracy_difference(pairs, 0.95)


def test_models_that_never_differ_have_no_difference():
    difference = accuracy_difference(pairs_of(100, 90, 0, 0), 0.95)
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_the_bootstrap_interval_holds_its_level():
    rng = np.random.default_rng(2)
    draws = rng.multinomial(2_000, [0.04, 0.03, 0.85, 0.08], size=400)
    covered = [
        difference.low <= 0.01 <= difference.high
        for candidate_only, champion_only, both, _ in draws
        for difference in [accuracy_difference(pairs_of(2_000, both, candidate_only, champion_only), 0.95)]
    ]
    assert 0.92 < np.mean(covered) < 0.98


@pytest.mark.parametrize(
    ("candidate_only", "champion_only", "images", "confidence", "expected"),
    [(20, 60, 1000, 0.95, (-0.0584, -0.0231)), (28, 25, 618, 0.90, (-0.0148, 0.0247))],
)
def test_the_score_interval_is_the_one_of_the_r_package_propcis(
    candidate_only, champion_only, images, confidence, expected
):
    # PropCIs::scoreci.mp(60, 20, 1000, 0.95) turned round, and scoreci.mp(25, 28, 618, 0.90).
    assert interval(candidate_only, champion_only, images, confidence) == pytest.approx(expected, abs=6e-5)


def test_the_score_interval_has_a_width_even_where_no_image_tells_the_models_apart():
    low, high = interval(0, 0, 100)
    # z² / (n + z²), the solution of the score equation there.
    assert (low, high) == pytest.approx((-0.03699, 0.03699), abs=1e-5)


def test_the_score_interval_turns_round_with_the_models_and_stays_within_its_range():
    assert interval(3, 9, 200) == pytest.approx([-end for end in reversed(interval(9, 3, 200))])
    assert interval(50, 0, 50)[1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("candidate_share", "champion_share"), [(0.002, 0.002), (0.01, 0.005), (0.001, 0.02), (0.1, 0.06)]
)
@pytest.mark.parametrize("confidence", [0.95, 0.995])
def test_the_score_interval_holds_its_level_with_few_discordant_images(candidate_share, champion_share, confidence):
    # 200 images with 0.8 to 32 discordant ones, and the confidence of one class among ten.
    rng = np.random.default_rng(3)
    shares = [candidate_share, champion_share, 1 - candidate_share - champion_share]
    more, fewer, _ = rng.multinomial(200, shares, size=20_000).T
    low, high = score_interval(more, fewer, np.full(20_000, 200), confidence)
    truth = candidate_share - champion_share
    coverage = np.mean((low <= truth) & (truth <= high))
    assert coverage > confidence - (0.015 if confidence < 0.99 else 0.005)


def test_the_intervals_of_ten_classes_hold_together():
    rng = np.random.default_rng(4)
    shares, images, both = [0.01, 0.03, 0.96], np.full(10, 300), np.full(10, 200)
    held = 0
    for _ in range(1_000):
        more, fewer, _ = rng.multinomial(300, shares, size=10).T
        recalls = recall_differences(Pairs(images, both, more, fewer), 0.95)
        held += all(recall.low <= -0.02 <= recall.high for recall in recalls.values())
    assert held / 1_000 > 0.94


def test_a_class_without_images_is_left_out():
    recalls = recall_differences(pairs_of([10, 0, 30], [5, 0, 20], [1, 0, 2], [0, 0, 4]), 0.95)
    assert list(recalls) == [0, 2]
    assert (recalls[2].candidate, recalls[2].champion) == pytest.approx((22 / 30, 24 / 30))


def answers(rng, labels, honest):
    """Two classes; the model is right as often as it says, or `honest` less sure of itself than it says."""
    confidences = rng.uniform(0.55, 0.95, len(labels))
    right = rng.uniform(size=len(labels)) < confidences - honest
    stated = np.where(right == labels, confidences, 1 - confidences)
    return np.column_stack([1 - stated, stated])


def test_calibration_errors_are_the_plug_in_estimates():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 1_000)
    candidate, champion = answers(rng, labels, 0.0), answers(rng, labels, 0.1)
    difference = calibration_difference(labels, candidate, champion, 15, 0.95)
    for probabilities, found in ((candidate, difference.candidate), (champion, difference.champion)):
        correct = probabilities.argmax(axis=1) == labels
        assert found == pytest.approx(calibration_error(probabilities.max(axis=1), correct, 15).plug_in)
    assert difference.low <= difference.value <= difference.high < 0


def test_models_that_are_calibrated_alike_are_rarely_told_apart():
    rng = np.random.default_rng(6)
    found = []
    for _ in range(60):
        labels = rng.integers(0, 2, 1_000)
        models = answers(rng, labels, 0.05), answers(rng, labels, 0.05)
        difference = calibration_difference(labels, *models, 15, 0.95)
        found.append(difference.low <= 0 <= difference.high)
    assert np.mean(found) > 0.87


@pytest.mark.parametrize("images", [20, 50, 100, 400])
def test_overconfidence_is_no_better_calibration_where_both_models_are_right_about_nearly_everything(images):
    """Both are right about 99 of 100 images; the candidate says 99.95 %, the champion 98.5 %, which is nearer."""
    rng, won = np.random.default_rng(10), 0
    for _ in range(100):
        labels, right = np.zeros(images, int), rng.uniform(size=images) < 0.99
        models = []
        for mean, deviation in ((0.9995, 0.0003), (0.985, 0.01)):
            stated = rng.normal(mean, deviation, images).clip(0.5, 1)
            models.append(np.where(right, [stated, 1 - stated], [1 - stated, stated]).T)
        won += calibration_difference(labels, *models, 15, 0.95).high < 0
    assert won == 0


def test_a_model_that_is_better_calibrated_on_many_images_is_seen_to_be():
    rng = np.random.default_rng(11)
    labels = rng.integers(0, 2, 10_000)
    difference = calibration_difference(labels, answers(rng, labels, 0.0), answers(rng, labels, 0.03), 15, 0.95)
    assert difference.high < 0


def test_a_slow_moment_that_meets_both_models_is_no_difference():
    rng = np.random.default_rng(7)
    moments = rng.exponential(1.0, 200)
    difference = latency_difference(moments + 0.1, moments + 0.2, 0.95)
    assert [difference.low, difference.high] == pytest.approx([-0.1, -0.1])


def test_the_difference_that_is_shown_lies_within_its_interval():
    """Where most calls of the two take the same time in turns, but a third of one model's are slow."""
    rng = np.random.default_rng(9)
    for slow in (60, 101, 120):
        champion = np.full(200, 0.06) + rng.normal(0, 1e-5, 200)
        candidate = champion + np.where(np.arange(200) < slow, 0.0, 0.015)
        for one in (latency_difference(candidate, champion, 0.95), latency_difference(champion, candidate, 0.95)):
            assert one.low <= one.value <= one.high


def test_the_interval_of_the_latency_holds_its_level():
    rng = np.random.default_rng(8)
    covered = []
    for _ in range(500):
        difference = latency_difference(rng.exponential(1.0, 50), rng.exponential(1.0, 50), 0.95)
        covered.append(difference.low <= 0 <= difference.high)
    assert 0.94 < np.mean(covered) < 0.99


def test_an_exact_difference_has_no_width():
    difference = exact_difference(90, 100)
    assert (difference.low, difference.value, difference.high) == (-10, -10, -10)
