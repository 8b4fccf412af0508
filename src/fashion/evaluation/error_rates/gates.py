"""How often the absolute gates err.

A model's true value is known, its test sets are drawn, and each is held against the limits by the code that judges real
models. A gate errs if it fails a model whose true value meets the limit, or passes one whose true value misses it;
undecided is neither.

- Accuracy: so many images are right with the model's true accuracy.
- Recalls: ten classes with equally many images, all with the same true recall. The gates fail if any of them does.
- Calibration: confidences are drawn like those of a classifier that is right on 93 % of the images: 1 - 0.7 b, with b
  from the beta distribution (0.25, 2.25). The answer is right with that probability, less what makes the true error:
  either in every bin, by a multiple of c (1 - c), as a wrong temperature would do it, or only where the confidence is
  between 12/15 and 14/15, two bins of the fifteen. The second is the harder case: in the other bins all is noise.
- Latency: so many calls as are timed, from a lognormal distribution of deviation 0.3, with the model's true median.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from fashion.arrays import Booleans, Floats
from fashion.evaluation.estimates import (
    CALLS,
    CONFIDENCE,
    TIMED_CALLS,
    CalibrationError,
    calibration_error,
    median,
    proportion_of,
    raise_confidence,
)
from fashion.evaluation.gates import FAILED, PASSED, UNDECIDED, Gate, at_least, at_most
from fashion.params import EvaluateParams, EvaluationGates

ALIKE = "abstention_on_nonsense_at_least"
"""The gate that is not drawn for itself: a share with Wilson's interval errs as the accuracy does."""
CLASSES = 10
SHARPNESS = (0.25, 2.25)
SPREAD, CONCENTRATED = "every bin", "two bins"
BETWEEN = (12 / 15, 14 / 15)


@dataclass(frozen=True)
class Rates:
    """How the drawn test sets of one truth were judged, as shares."""

    truth: str
    images: int
    passed: float
    failed: float
    undecided: float


@dataclass(frozen=True)
class CalibrationCase:
    """A truth to draw from."""

    where: str
    error: float
    images: int


@dataclass(frozen=True)
class CalibrationRates:
    """How the test sets of one calibration error were judged, and how well it was estimated."""

    where: str
    error: float
    images: int
    rates: Rates
    plug_in_bias: float
    corrected_bias: float
    covered: float


def measure_accuracy(
    limits: EvaluationGates, images: int, offset: float, trials: int, rng: np.random.Generator
) -> Rates:
    """Judge `trials` test sets of a model whose true accuracy differs from the limit by `offset`."""
    limit = limits.accuracy_at_least
    right = rng.binomial(images, limit + offset, trials)
    gates = [Gate((at_least("accuracy", proportion_of(int(count), images), limit),)) for count in right]
    return _count_verdicts(_describe(offset), images, gates)


def measure_recalls(
    limits: EvaluationGates, images: int, offset: float, trials: int, rng: np.random.Generator
) -> Rates:
    """Judge `trials` test sets of a model whose true recall of every class differs from the limit by `offset`."""
    limit, each = limits.recall_of_every_class_at_least, images // CLASSES
    confidence = raise_confidence(CONFIDENCE, CLASSES)
    known = [at_least("recall", proportion_of(count, each, confidence), limit) for count in range(each + 1)]
    drawn = rng.binomial(each, limit + offset, (trials, CLASSES))
    return _count_verdicts(_describe(offset), images, [Gate(tuple(known[count] for count in row)) for row in drawn])


def measure_latency(limits: EvaluationGates, factor: float, trials: int, rng: np.random.Generator) -> Rates:
    """Judge `trials` timings of a model whose true median latency is `factor` times the limit."""
    limit = limits.latency_milliseconds_at_most
    drawn = factor * limit * rng.lognormal(0, 0.3, (trials, TIMED_CALLS))
    gates = [Gate((at_most("latency", median(times, CALLS), limit),)) for times in drawn]
    return _count_verdicts(f"{factor:g} times the limit", TIMED_CALLS, gates)


def measure_calibration(case: CalibrationCase, params: EvaluateParams, trials: int, seed: int) -> CalibrationRates:
    """Judge `trials` test sets drawn from one truth."""
    rng, excess = np.random.default_rng(seed), find_excess(case.error, case.where)
    drawn = [draw_answers(case.images, excess, rng, case.where) for _ in range(trials)]
    found = [calibration_error(confidences, correct, params.calibration_bins) for confidences, correct in drawn]
    limit = params.gates.expected_calibration_error_at_most
    gates = [Gate((at_most("calibration", one.corrected, limit),)) for one in found]
    return CalibrationRates(
        case.where,
        case.error,
        case.images,
        _count_verdicts(f"{case.error:g}", case.images, gates),
        plug_in_bias=float(np.mean([one.plug_in for one in found])) - case.error,
        corrected_bias=float(np.mean([one.corrected.value for one in found])) - case.error,
        covered=float(np.mean([_covers(one, case.error) for one in found])),
    )


def draw_answers(images: int, excess: float, rng: np.random.Generator, where: str = SPREAD) -> tuple[Floats, Booleans]:
    """Return confidences and whether the answers are right, both (images,)."""
    confidences = 1 - 0.7 * rng.beta(*SHARPNESS, images)
    return confidences, rng.random(images) < confidences - excess * _shape(confidences, where)


def find_excess(error: float, where: str = SPREAD) -> float:
    """Return the factor of the overconfidence that makes the true calibration error."""
    unsure = 0.7 * beta(*SHARPNESS).ppf(np.linspace(0, 1, 200_001)[1::2])
    return float(error / _shape(1 - unsure, where).mean())


def _shape(confidences: Floats, where: str) -> Floats:
    """Return how a model's overconfidence depends on its confidence."""
    low, high = BETWEEN
    inside = (confidences >= low) & (confidences < high)
    return inside.astype(float) if where == CONCENTRATED else confidences * (1 - confidences)


def _covers(found: CalibrationError, error: float) -> bool:
    return found.corrected.low <= error <= found.corrected.high


def _count_verdicts(truth: str, images: int, gates: Sequence[Gate]) -> Rates:
    verdicts = [gate.verdict for gate in gates]
    passed, failed, undecided = (verdicts.count(one) / len(verdicts) for one in (PASSED, FAILED, UNDECIDED))
    return Rates(truth, images, passed, failed, undecided)


def _describe(offset: float) -> str:
    if not offset:
        return "at the limit"
    return f"{'above' if offset > 0 else 'below'} by {abs(100 * offset):.1f} points"
