"""What a series of judgements on one test set adds up to; writes benchmarks/series.json and benchmarks/series.md.

    python -m benchmarks.series                  # about ten minutes on two cores

Single judgements err as benchmarks/judgement.md says. Here candidates come one after the other, with the rule and the
numbers of params.yaml; how they are drawn and judged, `fashion.evaluation.error_rates.series` says. The draws agree
with what was measured (`FACTS`): the deviation that follows over trainings, the square root of half the discordant
share over the number of images, is 0.12 points, and 20 seeds on one test set have 0.13 (benchmarks/seeds.json).
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial

from benchmarks.results import ROOT, paragraphs, save, table
from fashion.evaluation.error_rates.judgement import ELSEWHERE
from fashion.evaluation.error_rates.series import (
    DISCORDANT,
    FROZEN,
    IMAGES,
    LOOKS,
    OTHER,
    RECENT,
    WEEKS,
    Looks,
    Outcome,
    Year,
    live,
    look,
)
from fashion.params import JudgementParams, load_params

FACTS = (
    "compact, seeds 1 to 20: 93.50% (benchmarks/seeds.json); seed 2 against seed 1: 281 of 10,000 images discordant "
    "(benchmarks/promotion.json); three retrainings on new images against their champions: 275 to 292 "
    "(benchmarks/demo.json, by the widths of the intervals)"
)
CORRECTED = 0.995
"""Confidence that would bring ten looks together to 95 %, by Bonferroni."""
YEARS = (
    Year("equal", FROZEN),
    Year("up and down by 0.1 points", FROZEN, own=0.001),
    Year("equal", OTHER),
    Year("up and down by 0.1 points", OTHER, own=0.001),
    Year("0.02 points lower each week", OTHER, decline=0.0002),
    Year("equal", RECENT),
    Year("up and down by 0.1 points", RECENT, own=0.001),
    Year("0.02 points lower each week", RECENT, decline=0.0002),
    Year("0.05 points lower each week", RECENT, decline=0.0005),
    Year("0.1 points lower each week", RECENT, decline=0.001),
    Year("all 0.8 points lower than the first", RECENT, lower=0.008),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=500, help="series of ten candidates a row")
    parser.add_argument("--years", type=int, default=100, help="years a row")
    arguments = parser.parse_args()
    params = load_params(ROOT / "params.yaml")
    rule, least = params.register_.judgement, params.evaluate.gates.accuracy_at_least
    cases = [(effect, confidence) for confidence in (rule.confidence, CORRECTED) for effect in (0.0, 0.005)]
    with ProcessPoolExecutor() as pool:
        looks = list(pool.map(partial(look, rule=rule, least=least, series=arguments.series), cases))
        chunks = pool.map(partial(live, rule=rule, least=least, years=arguments.years), YEARS, range(len(YEARS)))
        outcomes = [outcome for chunk in chunks for outcome in chunk]
    content = {"looks": [asdict(one) for one in looks], "years": [asdict(one) for one in outcomes]}
    figures = {"rule": rule.model_dump(exclude=ELSEWHERE), "accuracy_at_least": least, "facts": FACTS, **content}
    save(__file__, figures, render(looks, outcomes, rule))


def render(looks: list[Looks], outcomes: list[Outcome], rule: JudgementParams) -> str:
    margins = rule.margins
    heads = ("champion replaced at least once", "promoted, of the candidates", "the last champion looks better by")
    return paragraphs(
        f"{IMAGES:,} test images, {DISCORDANT:.1%} of them discordant between two models; margins of "
        f"{100 * margins.accuracy:g} points, {100 * margins.accuracy_for_recent:g} for a candidate that wins on recent "
        "images.",
        f"{LOOKS} candidates in a row, with nothing but accuracy on the frozen test set to win; {looks[0].series:,} "
        "series a row:",
        table(["confidence", "the candidates are truly", *heads], map(cells_of_looks, looks)),
        f"A year of {WEEKS} candidates; what the last champion has lost of the frozen accuracy against the best "
        f"champion of the year, in points: median, 95th percentile, largest of {outcomes[0].years} years:",
        table(
            ["the candidates win by", "and are truly", "held against", "promotions", "true loss", "measured loss"],
            map(cells_of_a_year, outcomes),
        ),
    )


def cells_of_looks(one: Looks) -> Iterator[str]:
    yield f"{100 * one.confidence:g}%"
    yield f"better by {100 * one.effect:.1f} points" if one.effect else "equal"
    yield from (f"{one.moved:.1%}", f"{one.each:.1%}", f"{100 * one.flattered:.2f} points")


def cells_of_a_year(one: Outcome) -> Iterator[str]:
    yield from (one.wins_by, one.truth, one.rule, f"{one.promotions:.1f}")
    for losses in (one.true_loss, one.measured_loss):
        yield " / ".join(f"{100 * loss:.2f}" for loss in losses)


if __name__ == "__main__":
    main()
