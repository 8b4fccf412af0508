"""The gates' error rates, by few draws; `python -m benchmarks.gates` makes many."""

from pathlib import Path

import numpy as np
import pytest

from fashion.evaluation.error_rates.gates import (
    CONCENTRATED,
    SPREAD,
    CalibrationCase,
    measure_accuracy,
    measure_calibration,
    measure_latency,
    measure_recalls,
)
from fashion.params import load_params

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml").evaluate
LIMITS = PARAMS.gates


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.mark.parametrize("images", [200, 1_000, 10_000])
def test_a_model_at_the_limit_is_hardly_ever_failed_or_passed(images, rng):
    rates = measure_accuracy(LIMITS, images, 0.0, 300, rng)
    assert rates.failed < 0.06
    assert rates.passed < 0.06


@pytest.mark.parametrize("images", [200, 1_000, 10_000])
def test_ten_classes_at_the_limit_fail_together_as_seldom_as_one(images, rng):
    assert measure_recalls(LIMITS, images, 0.0, 300, rng).failed < 0.08


def test_a_model_a_point_from_the_limit_is_told_on_ten_thousand_images(rng):
    below, above = (measure_accuracy(LIMITS, 10_000, offset, 300, rng) for offset in (-0.01, 0.01))
    assert below.failed > 0.85
    assert below.passed == 0
    assert above.passed > 0.85
    assert above.failed == 0


@pytest.mark.parametrize("where", [SPREAD, CONCENTRATED])
def test_a_calibration_error_at_the_limit_is_hardly_ever_failed_or_passed(where):
    found = measure_calibration(CalibrationCase(where, 0.02, 1_000), PARAMS, 300, seed=2)
    assert found.rates.failed < 0.1
    assert found.rates.passed < 0.1
    assert found.covered > 0.9
    assert found.plug_in_bias > max(found.corrected_bias, 0)


def test_a_slow_model_fails_and_a_fast_one_passes(rng):
    assert measure_latency(LIMITS, 1.25, 200, rng).failed > 0.9
    assert measure_latency(LIMITS, 0.8, 200, rng).passed > 0.9
    assert measure_latency(LIMITS, 1.0, 200, rng).failed < 0.06
