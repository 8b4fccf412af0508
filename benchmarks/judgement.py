"""How often the rule for promotion errs; writes benchmarks/judgement.json and benchmarks/judgement.md.

    python -m benchmarks.judgement               # about two minutes on two cores

The rule and its numbers are those of params.yaml; how test sets are drawn and judged,
`fashion.evaluation.error_rates.judgement` says.
"""

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict

from benchmarks.results import ROOT, paragraphs, save, table
from fashion.evaluation.error_rates.judgement import (
    CHANGED,
    CLASSES,
    DISCORDANT,
    ELSEWHERE,
    FROZEN,
    PREDICTIONS,
    TESTED,
    WAYS,
    Case,
    Rates,
    RecentRates,
    describe,
    measure,
    measure_gain,
    measure_recent,
)
from fashion.params import JudgementParams, load_params

IMAGES = (1_000, 10_000)
EFFECTS = (-0.02, -0.01, -0.005, 0.0, 0.005, 0.01)
ONE_CLASS = (-0.05, -0.1)
"""Of one class; the other nine make up for it, so that overall the models are equal."""
WORSE = (0.0, -0.004, -0.01)
GAINS = (0.05, 0.1, 0.2, 0.3)
"""On recent images."""
RECENT_IMAGES = (50, 100, 200, 400)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1_000, help="test sets a row")
    trials = parser.parse_args().trials
    rule = load_params(ROOT / "params.yaml").register_.judgement
    cases = list(make_cases())
    with ProcessPoolExecutor() as pool:
        rates = list(pool.map(measure, cases, [rule] * len(cases), [trials] * len(cases), range(len(cases))))
        ways = [(way, discordant, effect) for way in WAYS for discordant in DISCORDANT for effect in WORSE]
        recently = list(pool.map(measure_recent, ways, [rule] * len(ways), [trials] * len(ways), range(len(ways))))
        gains = [(images, gain) for images in RECENT_IMAGES for gain in GAINS]
        seen = list(pool.map(measure_gain, gains, [rule] * len(gains), [trials] * len(gains), range(len(gains))))
    results = {
        "rule": rule.model_dump(exclude=ELSEWHERE),
        "rates": [asdict(one) for one in rates],
        "recently": [asdict(one) for one in recently],
        "gains": [[*case, share] for case, share in zip(gains, seen, strict=True)],
    }
    shares = dict(zip(gains, seen, strict=True))
    save(__file__, results, paragraphs(*describe_rates(rates, rule), *describe_recent(recently, shares, rule)))


def make_cases() -> Iterator[Case]:
    for images in IMAGES:
        for discordant in DISCORDANT:
            for effect in EFFECTS:
                yield Case(describe(effect), images, discordant, (effect,) * len(CLASSES))
            for effect in ONE_CLASS:
                others = -effect / (len(CLASSES) - 1)
                truth = f"equal, but one class {describe(effect)}"
                yield Case(truth, images, discordant, (effect, *(others,) * (len(CLASSES) - 1)))


def describe_rates(rates: list[Rates], rule: JudgementParams) -> Iterator[str]:
    margins = rule.margins
    yield (
        f"Margins: {100 * margins.accuracy:g} points of accuracy, {100 * margins.recall_of_a_class:g} points of a "
        f"class's recall; confidence {rule.confidence:.0%}; {rates[0].trials:,} test sets a row."
    )
    heads = ["the candidate is truly", *heads_of_shares("only accuracy to win", "half the size")]
    for images in IMAGES:
        yield f"Promoted, of candidates that are truly so, on {images:,} test images:"
        chosen = [one for one in rates if one.images == images]
        truths = dict.fromkeys(one.truth for one in chosen)
        yield table(heads, ([truth, *shares([one for one in chosen if one.truth == truth])] for truth in truths))


def describe_recent(
    rates: list[RecentRates], gains: dict[tuple[int, float], float], rule: JudgementParams
) -> Iterator[str]:
    yield (
        f"Labels of {PREDICTIONS:,} predictions, {TESTED:.0%} of the labelled images tested on, beside {FROZEN:,} "
        f"frozen test images. The recent test set judges from {rule.recent.images_at_least:,} images on, if "
        f"{rule.recent.response_at_least:.0%} of the labels asked for have come. Promoted, of candidates that are "
        "truly so:"
    )
    heads = ["labels", "recent images", "judges", "the candidate is truly"]
    yield table([*heads, *heads_of_shares("promoted", "half the size")], recent_rows(rates))
    yield (
        f"Promoted, of candidates that are better on recent images alone, with {CHANGED:.0%} discordant there, by the "
        "number of recent images:"
    )
    rows = ([f"{100 * gain:.0f} points", *(f"{gains[images, gain]:.1%}" for images in RECENT_IMAGES)] for gain in GAINS)
    yield table(["better by", *(f"{images} images" for images in RECENT_IMAGES)], rows)


def recent_rows(rates: list[RecentRates]) -> Iterator[list[str]]:
    for way in WAYS:
        for effect in WORSE:
            row = [one for one in rates if (one.way, one.truth) == (way.name, describe(effect))]
            yield [way.name, f"{row[0].tested:,.0f}", f"{row[0].judges:.0%}", describe(effect), *shares(row)]


def heads_of_shares(*kinds: str) -> list[str]:
    return [f"{kind}, {share:.0%} discordant" for kind in kinds for share in DISCORDANT]


def shares(row: Sequence[Rates] | Sequence[RecentRates]) -> list[str]:
    """Return the cells below `heads_of_shares`; the row holds the rates of each share of discordant images."""
    return [f"{share:.1%}" for share in (*(one.promoted for one in row), *(one.promoted_smaller for one in row))]


if __name__ == "__main__":
    main()
