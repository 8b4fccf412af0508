"""How often the judgement errs about corrupted images and slices; writes benchmarks/robustness.json and .md.

    python -m benchmarks.robustness              # about a minute on two cores

The rule and its numbers are those of params.yaml; how test sets are drawn and judged,
`fashion.evaluation.error_rates.robustness` says.
"""

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict

from benchmarks.results import ROOT, paragraphs, save, table
from fashion.evaluation.error_rates.judgement import ELSEWHERE, describe
from fashion.evaluation.error_rates.robustness import (
    ALIKE,
    DISCORDANT,
    Copied,
    CopiedRates,
    Sliced,
    measure_copied,
    measure_sliced,
)
from fashion.params import JudgementParams, load_params

IMAGES = (200, 1_000, 10_000)
LOSSES = (0.0, -0.02, -0.03, -0.04, -0.06)
"""Of accuracy on corrupted images."""
ON_SLICE = (20, 100, 1_000)
"""Images of each slice."""
SLICE_LOSSES = (0.0, -0.02, -0.05, -0.1)
ON_ALL = (0.0, -0.02)
"""Losses that all slices have alike; the others are on one slice, and the candidate is equal on the rest."""
SLICES = 4
DISCORDANT_ON_SLICES = (0.04, 0.08)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1_000, help="test sets a row")
    trials = parser.parse_args().trials
    rule = load_params(ROOT / "params.yaml").register_.judgement
    copied = [Copied(images, alike, loss) for images in IMAGES for alike in ALIKE for loss in LOSSES]
    sliced = list(_slice_cases())
    with ProcessPoolExecutor() as pool:
        rates = list(pool.map(measure_copied, copied, [rule] * len(copied), [trials] * len(copied), range(len(copied))))
        shares = list(
            pool.map(measure_sliced, sliced, [rule] * len(sliced), [trials] * len(sliced), range(len(sliced)))
        )
    results = {
        "rule": {
            "confidence": rule.confidence,
            "slices": list(rule.slices),
            "margins": rule.margins.model_dump(include=ELSEWHERE["margins"]),
        },
        "corrupted": [asdict(one) for one in rates],
        "slices": [asdict(case) | {"refused": share} for case, share in zip(sliced, shares, strict=True)],
    }
    refused = dict(zip(sliced, shares, strict=True))
    save(__file__, results, paragraphs(*describe_copied(rates, rule), *describe_sliced(refused, rule)))


def _slice_cases() -> Iterator[Sliced]:
    for images in ON_SLICE:
        for discordant in DISCORDANT_ON_SLICES:
            for loss in SLICE_LOSSES:
                yield Sliced(images, discordant, _effects(loss))


def _effects(loss: float) -> tuple[float, ...]:
    return (loss,) * SLICES if loss in ON_ALL else (loss, *(0.0,) * (SLICES - 1))


def describe_copied(rates: Sequence[CopiedRates], rule: JudgementParams) -> Iterator[str]:
    yield (
        f"Margin: {100 * rule.margins.corrupted_accuracy:g} points of accuracy on corrupted images; confidence "
        f"{rule.confidence:.0%}; {DISCORDANT:.0%} of the copies discordant; {rates[0].trials:,} test sets a row. "
        "Refused for that alone, of candidates that are truly so:"
    )
    heads = ["test images", "copies of an image alike", *(describe(loss) for loss in LOSSES)]
    heads += ["interval covers the truth", "worse by the margin, if copies counted as images"]
    margin = -rule.margins.corrupted_accuracy
    yield table(heads, (_copied_row(rates, images, alike, margin) for images in IMAGES for alike in ALIKE))


def _copied_row(rates: Sequence[CopiedRates], images: int, alike: float, margin: float) -> list[str]:
    row = [one for one in rates if (one.case.images, one.case.alike) == (images, alike)]
    at_margin = next(one for one in row if one.case.effect == margin)
    lowest = min(one.covered for one in row)
    return [
        f"{images:,}",
        f"{alike:.0%}",
        *(f"{one.refused:.1%}" for one in row),
        f"{lowest:.1%} or more",
        f"{at_margin.refused_by_copies:.1%}",
    ]


def describe_sliced(refused: dict[Sliced, float], rule: JudgementParams) -> Iterator[str]:
    yield (
        f"{SLICES} slices, each with images of its own; margin {100 * rule.margins.accuracy_of_a_slice:g} points. "
        "Refused for a slice, of candidates that are truly so:"
    )
    heads = ["the candidate is truly"]
    heads += [
        f"{images:,} images a slice, {share:.0%} discordant" for images in ON_SLICE for share in DISCORDANT_ON_SLICES
    ]
    rows = (
        [_truth(loss), *(f"{refused[case]:.1%}" for case in refused if case.effects == _effects(loss))]
        for loss in SLICE_LOSSES
    )
    yield table(heads, rows)


def _truth(loss: float) -> str:
    if not loss:
        return "equal"
    on = "on all slices" if loss in ON_ALL else "on one slice"
    return f"{describe(loss)} {on}"


if __name__ == "__main__":
    main()
