"""Intervals against independent calculations, and their coverage on drawn test sets."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from fashion.evaluation.error_rates.gates import draw_answers, find_excess
from fashion.evaluation.estimates import (
    CALLS,
    CONFIDENCE,
    Estimate,
    calibration_error,
    exact,
    median,
    median_interval,
    percentage,
    proportion,
    proportion_of,
    raise_confidence,
)


def test_the_interval_of_a_proportion_is_wilsons():
    # Worked example of Newcombe (1998), table I: 81 of 263.
    found = proportion(np.arange(263) < 81)
    assert found.value == pytest.approx(81 / 263)
    assert (found.low, found.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))
    assert found.n == 263
    assert percentage(found) == "30.80% (95 % interval 25.53% to 36.62%, n = 263)"


@pytest.mark.parametrize(
    ("successes", "trials"), [(0, 1), (1, 1), (7, 9), (50, 100), (9_310, 10_000), (10_000, 10_000)]
)
@pytest.mark.parametrize("confidence", [0.9, CONFIDENCE, 0.9995])
def test_the_interval_of_a_proportion_is_the_one_that_scipy_gives(successes, trials, confidence):
    found = proportion_of(successes, trials, confidence)
    expected = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12, abs=1e-15)


def test_a_perfect_score_still_has_an_interval():
    found = proportion(np.ones(50, bool))
    assert found.high == 1.0
    assert 0.9 < found.low < 1.0


def test_of_no_trials_nothing_is_known():
    found = proportion_of(0, 0)
    assert (found.low, found.high, found.n) == (0, 1, 0)


def test_wilsons_interval_covers_the_truth_about_as_often_as_it_says():
    counts = np.arange(201)
    intervals = [proportion_of(int(count), 200) for count in counts]
    for truth in (0.6, 0.7, 0.8, 0.9):
        covered = [one.low <= truth <= one.high for one in intervals]
        assert binom.pmf(counts, 200, truth)[covered].sum() == pytest.approx(0.95, abs=0.02)


def test_ten_intervals_at_the_raised_confidence_hold_together():
    confidence = raise_confidence(0.95, 10)
    assert confidence == pytest.approx(0.995)
    counts = np.arange(1_001)
    covered = [one.low <= 0.7 <= one.high for one in (proportion_of(int(n), 1_000, confidence) for n in counts)]
    assert binom.pmf(counts, 1_000, 0.7)[covered].sum() ** 10 == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(("successes", "trials", "limit"), [(184, 200, 0.9), (8_950, 10_000, 0.9), (66, 100, 0.7)])
def test_the_images_needed_are_the_fewest_that_keep_the_limit_out_of_wilsons_interval(successes, trials, limit):
    found = proportion_of(successes, trials)
    needed = found.needed(limit)

    def holds(images, rounded):
        larger = proportion_of(int(rounded(found.value * images)), images)
        return larger.low <= limit <= larger.high

    away, towards = (np.ceil, np.floor) if found.value > limit else (np.floor, np.ceil)
    assert holds(trials, towards)
    assert not holds(needed, away)
    assert holds(int(0.88 * needed), towards)
    assert len(str(needed).rstrip("0")) <= 2


def test_other_intervals_are_taken_to_shrink_with_the_square_root_of_n():
    assert Estimate(10.0, 8.0, 14.0, 50).needed(12.0) == 200
    assert Estimate(10.0, 8.0, 14.0, 50).needed(9.0) == 200
    assert Estimate(10.0, 8.0, 14.0, 12_345).needed(12.0) == 50_000


def test_no_number_of_images_decides_where_the_value_is_the_limit_or_exact():
    assert proportion_of(90, 100).needed(0.9) is None
    assert exact(0.9).needed(0.8) is None


def test_the_interval_of_a_median_is_the_sign_tests():
    # Of 50 values the 18th and the 33rd: the table of Conover, or 2 * P(Binomial(50, 1/2) <= 17) = 0.033 < 0.05.
    found = median(np.random.default_rng(1).permutation(50) + 1.0, CALLS)
    assert (found.low, found.value, found.high, found.n, found.unit) == (18, 25.5, 33, 50, CALLS)
    assert 2 * binom.cdf(17, 50, 0.5) < 0.05 < 2 * binom.cdf(18, 50, 0.5)


@pytest.mark.parametrize("calls", [6, 7, 50, 51, 200, 999])
@pytest.mark.parametrize("confidence", [0.5, CONFIDENCE, 0.999])
def test_the_interval_of_a_median_takes_the_quantile_of_the_binomial_distribution(calls, confidence):
    skipped = max(int(binom.ppf((1 - confidence) / 2, calls, 0.5)) - 1, 0)
    assert median_interval(np.arange(calls), confidence) == (skipped, calls - 1 - skipped)


def test_confidence_that_equals_accuracy_has_no_calibration_error():
    found = calibration_error(np.full(10, 0.7), np.arange(10) < 7, 15)
    assert found.plug_in == pytest.approx(0)
    assert found.corrected.low == 0


def test_the_calibration_error_weighs_bins_by_their_images():
    confidences = np.array([0.95] * 8 + [0.55] * 2)
    correct = np.array([True] * 8 + [False] * 2)
    assert calibration_error(confidences, correct, 10).plug_in == pytest.approx(0.8 * 0.05 + 0.2 * 0.55)


def test_the_corrected_error_is_the_plug_in_estimate_without_its_bias():
    found = calibration_error(*draw_answers(1_000, 0.05, np.random.default_rng(2)), 15)
    assert found.bias > 0
    assert found.corrected.value == pytest.approx(found.plug_in - found.bias)


def test_the_bias_is_what_resampling_the_gaps_adds():
    rng = np.random.default_rng(3)
    confidences, correct = draw_answers(10_000, 0.1, rng)
    members = np.minimum((confidences * 15).astype(int), 14)
    gaps = np.zeros((10_000, 15))
    gaps[np.arange(10_000), members] = confidences - correct
    draws = rng.normal(gaps.mean(axis=0), gaps.std(axis=0) / 100, (100_000, 15))
    found = calibration_error(confidences, correct, 15)
    assert found.bias == pytest.approx(np.abs(draws).sum(axis=1).mean() - found.plug_in, rel=0.1)


@pytest.mark.parametrize("truth", [0.0, 0.01, 0.02, 0.03])
@pytest.mark.parametrize("images", [1_000, 10_000])
def test_the_interval_of_the_calibration_error_errs_at_each_end_hardly_more_often_than_it_says(images, truth):
    rng, excess = np.random.default_rng(4), find_excess(truth)
    found = [calibration_error(*draw_answers(images, excess, rng), 15) for _ in range(150)]
    low, value, high = np.array([(one.corrected.low, one.corrected.value, one.corrected.high) for one in found]).T
    assert np.mean(low > truth + 1e-9) < 0.065
    assert np.mean(high < truth) < 0.065
    assert ((low >= 0) & (low <= value) & (value <= high)).all()
    assert abs(value.mean() - truth) <= abs(np.mean([one.plug_in for one in found]) - truth) + 0.001


def test_a_model_that_is_always_right_and_sure_is_not_certain_to_be_so_for_ever():
    found = calibration_error(np.ones(100), np.ones(100, bool), 15).corrected
    assert found.value == found.low == 0
    assert 0.005 < found.high < 0.05


def test_a_calibration_error_beyond_doubt_has_a_narrow_interval():
    found = calibration_error(np.full(10_000, 0.99), np.arange(10_000) < 7_000, 15)
    assert found.plug_in == pytest.approx(0.29)
    assert found.bias == pytest.approx(0, abs=1e-6)
    assert (found.corrected.low, found.corrected.high) == pytest.approx((0.281, 0.299), abs=5e-4)
