"""How often the absolute gates err; writes benchmarks/gates.json and benchmarks/gates.md.

    python -m benchmarks.gates               # a minute or two on two cores

A model's true value is known, its test sets are drawn, and each is held against the limits of params.yaml by the code
that judges real models. A gate errs if it fails a model whose true value meets the limit, or passes one whose true
value misses it; undecided is neither.

- Accuracy: so many images are right with the model's true accuracy.
- Recalls: ten classes with equally many images, all with the same true recall. The gates fail if any of them does.
- Calibration: confidences are drawn like those of a classifier that is right on 93 % of the images: 1 - 0.7 b, with b
  from the beta distribution (0.25, 2.25). The answer is right with that probability, less what makes the true error:
  either in every bin, by a multiple of c (1 - c), as a wrong temperature would do it, or only where the confidence is
  between 12/15 and 14/15, two bins of the fifteen. The second is the harder case: in the other bins all is noise.
- Latency: so many calls as are timed, from a lognormal distribution of deviation 0.3, with the model's true median.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from fashion.evaluation.estimates import (
    CALLS,
    CONFIDENCE,
    CalibrationError,
    calibration_error,
    median,
    proportion_of,
    raise_confidence,
)
from fashion.evaluation.gates import FAILED, PASSED, UNDECIDED, Gate, at_least, at_most
from fashion.params import EvaluateParams, EvaluationGates, load_params
from fashion.storage import write_json, write_text

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_suffix(".json")
TABLE = Path(__file__).with_suffix(".md")
IMAGES = (200, 1_000, 10_000)
TIMED = 50
"""Calls, as in the stage `evaluate`, which takes seconds to import."""
ALIKE = "abstention_on_nonsense_at_least"
"""Not drawn for itself: a share with Wilson's interval errs as the accuracy does."""
CLASSES = 10
OFFSETS = (0.02, 0.01, 0.005, 0.0, -0.005, -0.01, -0.02)
"""Of the true value from the limit."""
ERRORS = (0.01, 0.015, 0.02, 0.025, 0.03)
FACTORS = (0.8, 0.9, 1.0, 1.1, 1.25)
"""Of the true median of the latency to the limit."""
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
    """The same of one calibration error, and how its estimates and its interval did."""

    where: str
    error: float
    images: int
    rates: Rates
    plug_in_bias: float
    corrected_bias: float
    covered: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1_000, help="test sets a row")
    trials = parser.parse_args().trials
    params = load_params(ROOT / "params.yaml").evaluate
    limits, rng = params.gates, np.random.default_rng(0)
    accuracy = [measure_accuracy(limits, n, offset, trials, rng) for n in IMAGES for offset in OFFSETS]
    recalls = [measure_recalls(limits, n, offset, trials, rng) for n in IMAGES for offset in OFFSETS]
    latency = [measure_latency(limits, factor, trials, rng) for factor in FACTORS]
    cases = [CalibrationCase(where, error, n) for where in (SPREAD, CONCENTRATED) for n in IMAGES for error in ERRORS]
    with ProcessPoolExecutor() as pool:
        several = len(cases)
        calibration = list(pool.map(measure_calibration, cases, [params] * several, [trials] * several, range(several)))
    results = {"accuracy": accuracy, "recalls": recalls, "calibration": calibration, "latency": latency}
    content = {name: [asdict(one) for one in rows] for name, rows in results.items()}
    rule = {"confidence": CONFIDENCE, "calls": TIMED, "limits": limits.model_dump(exclude={ALIKE})}
    write_json(RESULTS, {"rule": rule, "trials": trials, **content})
    write_text(TABLE, render(limits, trials, accuracy, recalls, calibration, latency))
    print(TABLE.read_text(encoding="utf-8"))


def measure_accuracy(
    limits: EvaluationGates, images: int, offset: float, trials: int, rng: np.random.Generator
) -> Rates:
    limit = limits.accuracy_at_least
    right = rng.binomial(images, limit + offset, trials)
    gates = [Gate((at_least("accuracy", proportion_of(int(count), images), limit),)) for count in right]
    return count_verdicts(describe(offset), images, gates)


def measure_recalls(
    limits: EvaluationGates, images: int, offset: float, trials: int, rng: np.random.Generator
) -> Rates:
    limit, each = limits.recall_of_every_class_at_least, images // CLASSES
    confidence = raise_confidence(CONFIDENCE, CLASSES)
    known = [at_least("recall", proportion_of(count, each, confidence), limit) for count in range(each + 1)]
    drawn = rng.binomial(each, limit + offset, (trials, CLASSES))
    return count_verdicts(describe(offset), images, [Gate(tuple(known[count] for count in row)) for row in drawn])


def measure_latency(limits: EvaluationGates, factor: float, trials: int, rng: np.random.Generator) -> Rates:
    limit = limits.latency_milliseconds_at_most
    drawn = factor * limit * rng.lognormal(0, 0.3, (trials, TIMED))
    gates = [Gate((at_most("latency", median(times, CALLS), limit),)) for times in drawn]
    return count_verdicts(f"{factor:g} times the limit", TIMED, gates)


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
        count_verdicts(f"{case.error:g}", case.images, gates),
        plug_in_bias=float(np.mean([one.plug_in for one in found])) - case.error,
        corrected_bias=float(np.mean([one.corrected.value for one in found])) - case.error,
        covered=float(np.mean([covers(one, case.error) for one in found])),
    )


def covers(found: CalibrationError, error: float) -> bool:
    return found.corrected.low <= error <= found.corrected.high


def draw_answers(
    images: int, excess: float, rng: np.random.Generator, where: str = SPREAD
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return confidences and whether the answers are right, both (images,)."""
    confidences = 1 - 0.7 * rng.beta(*SHARPNESS, images)
    return confidences, rng.random(images) < confidences - excess * shape(confidences, where)


def find_excess(error: float, where: str = SPREAD) -> float:
    """Return the factor of `shape` that makes the true calibration error."""
    unsure = 0.7 * beta(*SHARPNESS).ppf(np.linspace(0, 1, 200_001)[1::2])
    return float(error / shape(1 - unsure, where).mean())


def shape(confidences: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    """Return how a model's overconfidence depends on its confidence."""
    low, high = BETWEEN
    inside = (confidences >= low) & (confidences < high)
    return inside.astype(float) if where == CONCENTRATED else confidences * (1 - confidences)


def count_verdicts(truth: str, images: int, gates: Sequence[Gate]) -> Rates:
    verdicts = [gate.verdict for gate in gates]
    shares = [verdicts.count(verdict) / len(verdicts) for verdict in (PASSED, FAILED, UNDECIDED)]
    return Rates(truth, images, *shares)


def describe(offset: float) -> str:
    if not offset:
        return "at the limit"
    return f"{'above' if offset > 0 else 'below'} by {abs(100 * offset):.1f} points"


def render(
    limits: EvaluationGates,
    trials: int,
    accuracy: Sequence[Rates],
    recalls: Sequence[Rates],
    calibration: Sequence[CalibrationRates],
    latency: Sequence[Rates],
) -> str:
    """Return the rates as the tables that the documents quote."""
    parts = [
        f"Confidence {CONFIDENCE:.0%}; {trials:,} test sets a row.",
        f"Accuracy, limit {limits.accuracy_at_least:g}:",
        "\n".join(share_table("true accuracy", accuracy)),
        f"Recalls of {CLASSES} classes, all with the same true recall, limit "
        f"{limits.recall_of_every_class_at_least:g}; failed if any class fails, passed if all pass:",
        "\n".join(share_table("true recall", recalls)),
        f"Calibration error, limit {limits.expected_calibration_error_at_most:g}:",
        "\n".join(calibration_table(calibration)),
        f"Latency, median of {TIMED} calls:",
        "\n".join(rows(["true median", "passed", "failed", "undecided"], map(latency_cells, latency))),
    ]
    return "\n\n".join(parts) + "\n"


def share_table(head: str, rates: Sequence[Rates]) -> Iterator[str]:
    heads = [f"{verdict}, {images:,} images" for images in IMAGES for verdict in (PASSED, FAILED, UNDECIDED)]
    truths = dict.fromkeys(one.truth for one in rates)
    cells = ([truth, *(cell for one in rates if one.truth == truth for cell in percentages(one))] for truth in truths)
    yield from rows([head, *heads], cells)


def calibration_table(rates: Sequence[CalibrationRates]) -> Iterator[str]:
    heads = ["images", "error in", "true error", "passed", "failed", "undecided"]
    heads += ["bias of the plug-in estimate", "bias of the corrected one", "interval covers the truth"]
    cells = (
        [
            f"{one.images:,}",
            one.where,
            f"{one.error:g}",
            *percentages(one.rates),
            f"{one.plug_in_bias:+.4f}",
            f"{one.corrected_bias:+.4f}",
            f"{one.covered:.1%}",
        ]
        for one in rates
    )
    yield from rows(heads, cells)


def latency_cells(one: Rates) -> list[str]:
    return [one.truth, *percentages(one)]


def percentages(one: Rates) -> list[str]:
    return [f"{share:.1%}" for share in (one.passed, one.failed, one.undecided)]


def rows(heads: Sequence[str], cells: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    yield from (f"| {' | '.join(row)} |" for row in cells)


if __name__ == "__main__":
    main()
