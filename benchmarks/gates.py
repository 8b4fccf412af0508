"""How often the absolute gates err; writes benchmarks/gates.json and benchmarks/gates.md.

    python -m benchmarks.gates               # a minute or two on two cores

The limits are those of params.yaml; how test sets are drawn and judged, `fashion.evaluation.error_rates.gates` says.
"""

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict

import numpy as np

from benchmarks.results import ROOT, paragraphs, save, table
from fashion.evaluation.error_rates.gates import (
    ALIKE,
    CLASSES,
    CONCENTRATED,
    SPREAD,
    CalibrationCase,
    CalibrationRates,
    Rates,
    measure_accuracy,
    measure_calibration,
    measure_latency,
    measure_recalls,
)
from fashion.evaluation.estimates import CONFIDENCE, TIMED_CALLS
from fashion.evaluation.gates import FAILED, PASSED, UNDECIDED
from fashion.params import EvaluationGates, load_params

IMAGES = (200, 1_000, 10_000)
OFFSETS = (0.02, 0.01, 0.005, 0.0, -0.005, -0.01, -0.02)
"""Of the true value from the limit."""
ERRORS = (0.01, 0.015, 0.02, 0.025, 0.03)
FACTORS = (0.8, 0.9, 1.0, 1.1, 1.25)
"""Of the true median of the latency to the limit."""
VERDICTS = (PASSED, FAILED, UNDECIDED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1_000, help="test sets a row")
    trials = parser.parse_args().trials
    params = load_params(ROOT / "params.yaml").evaluate
    limits, rng = params.gates, np.random.default_rng(0)
    rates = {
        "accuracy": [measure_accuracy(limits, n, offset, trials, rng) for n in IMAGES for offset in OFFSETS],
        "recalls": [measure_recalls(limits, n, offset, trials, rng) for n in IMAGES for offset in OFFSETS],
    }
    latency = [measure_latency(limits, factor, trials, rng) for factor in FACTORS]
    cases = [CalibrationCase(where, error, n) for where in (SPREAD, CONCENTRATED) for n in IMAGES for error in ERRORS]
    with ProcessPoolExecutor() as pool:
        several = len(cases)
        calibration = list(pool.map(measure_calibration, cases, [params] * several, [trials] * several, range(several)))
    content = {name: [asdict(one) for one in rows] for name, rows in rates.items()}
    content |= {"calibration": [asdict(one) for one in calibration], "latency": [asdict(one) for one in latency]}
    rule = {"confidence": CONFIDENCE, "calls": TIMED_CALLS, "limits": limits.model_dump(exclude={ALIKE})}
    page = paragraphs(
        f"Confidence {CONFIDENCE:.0%}; {trials:,} test sets a row.",
        *describe_shares(limits, rates),
        f"Calibration error, limit {limits.expected_calibration_error_at_most:g}:",
        calibration_table(calibration),
        f"Latency, median of {TIMED_CALLS} calls:",
        table(["true median", *VERDICTS], ([one.truth, *percentages(one)] for one in latency)),
    )
    save(__file__, {"rule": rule, "trials": trials, **content}, page)


def describe_shares(limits: EvaluationGates, rates: dict[str, list[Rates]]) -> list[str]:
    return [
        f"Accuracy, limit {limits.accuracy_at_least:g}:",
        share_table("true accuracy", rates["accuracy"]),
        f"Recalls of {CLASSES} classes, all with the same true recall, limit "
        f"{limits.recall_of_every_class_at_least:g}; failed if any class fails, passed if all pass:",
        share_table("true recall", rates["recalls"]),
    ]


def share_table(head: str, rates: Sequence[Rates]) -> str:
    heads = [f"{verdict}, {images:,} images" for images in IMAGES for verdict in VERDICTS]
    truths = dict.fromkeys(one.truth for one in rates)
    rows = ([truth, *(cell for one in rates if one.truth == truth for cell in percentages(one))] for truth in truths)
    return table([head, *heads], rows)


def calibration_table(rates: Sequence[CalibrationRates]) -> str:
    heads = ["images", "error in", "true error", *VERDICTS]
    heads += ["bias of the plug-in estimate", "bias of the corrected one", "interval covers the truth"]
    rows = (
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
    return table(heads, rows)


def percentages(one: Rates) -> list[str]:
    return [f"{share:.1%}" for share in (one.passed, one.failed, one.undecided)]


if __name__ == "__main__":
    main()
