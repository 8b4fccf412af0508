"""How often the rule for promotion errs; writes benchmarks/judgement.json and benchmarks/judgement.md.

    python -m benchmarks.judgement               # about a minute on two cores

Test sets are drawn of two models whose true difference is known, and judged by the rule and the numbers of
params.yaml, with the code that judges real models. The model of the draws: ten classes of equally many images; on
DISCORDANT of them, the same share in every class, just one of the two models is right; a true difference is the same in
every class, unless one class is named. Calibration and latency are equal. Each test set is judged twice: with files of
the same size, so that only accuracy can be won, and with a candidate of half the size, so that an objective is won
beforehand and only the margins can refuse.
"""

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from fashion.evaluation.gates import Gate
from fashion.evaluation.judgement import Judgement, compare, judge
from fashion.evaluation.paired import Pairs, exact_difference
from fashion.params import JudgementParams, load_params
from fashion.storage import write_json, write_text

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_suffix(".json")
TABLE = Path(__file__).with_suffix(".md")
CLASSES = tuple(f"class {number}" for number in range(10))
ACCURACY = 0.93
"""Of the champion; the rule does not depend on it."""
DISCORDANT = (0.04, 0.08)
"""Share of the images on which just one model is right."""
IMAGES = (1_000, 10_000)
EFFECTS = (-0.02, -0.01, -0.005, 0.0, 0.005, 0.01)
ONE_CLASS = (-0.05, -0.1)
"""Of one class; the other nine make up for it, so that overall the models are equal."""


@dataclass(frozen=True)
class Case:
    """A truth to draw from: the true difference in recall of each class."""

    truth: str
    images: int
    discordant: float
    effects: tuple[float, ...]


@dataclass(frozen=True)
class Rates:
    """Shares of the drawn test sets."""

    truth: str
    images: int
    discordant: float
    trials: int
    promoted: float
    """With nothing but accuracy to win."""
    promoted_smaller: float
    """With a candidate of half the size."""
    refused_for_accuracy: float
    refused_for_a_class: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1_000, help="test sets a row")
    trials = parser.parse_args().trials
    rule = load_params(ROOT / "params.yaml").register_.judgement
    cases = list(make_cases())
    with ProcessPoolExecutor() as pool:
        rates = list(pool.map(measure, cases, [rule] * len(cases), [trials] * len(cases), range(len(cases))))
    write_json(RESULTS, {"rule": rule.model_dump(), "rates": [asdict(one) for one in rates]})
    write_text(TABLE, render(rates, rule))
    print(TABLE.read_text(encoding="utf-8"))


def make_cases() -> Iterator[Case]:
    for images in IMAGES:
        for discordant in DISCORDANT:
            for effect in EFFECTS:
                yield Case(describe(effect), images, discordant, (effect,) * len(CLASSES))
            for effect in ONE_CLASS:
                others = -effect / (len(CLASSES) - 1)
                truth = f"equal, but one class {describe(effect)}"
                yield Case(truth, images, discordant, (effect, *(others,) * (len(CLASSES) - 1)))


def describe(effect: float) -> str:
    if not effect:
        return "equal"
    return f"{'better' if effect > 0 else 'worse'} by {abs(100 * effect):.1f} points"


def measure(case: Case, rule: JudgementParams, trials: int, seed: int) -> Rates:
    """Judge `trials` test sets drawn from one truth."""
    rng = np.random.default_rng(seed)
    judgements = [judge_twice(pairs, rule) for pairs in (draw(case, rng) for _ in range(trials))]
    smaller = [judgement for _, judgement in judgements]
    return Rates(
        case.truth,
        case.images,
        case.discordant,
        trials,
        promoted=float(np.mean([judgement.promoted for judgement, _ in judgements])),
        promoted_smaller=float(np.mean([judgement.promoted for judgement in smaller])),
        refused_for_accuracy=float(np.mean(["accuracy" in judgement.reason for judgement in smaller])),
        refused_for_a_class=float(np.mean(["recall of" in judgement.reason for judgement in smaller])),
    )


def draw(case: Case, rng: np.random.Generator) -> Pairs:
    """One test set: how often which model is right, class by class."""
    effects = np.array(case.effects)
    discordant = np.maximum(case.discordant, np.abs(effects))
    candidate_only, champion_only = (discordant + effects) / 2, (discordant - effects) / 2
    shares = np.column_stack([candidate_only, champion_only, ACCURACY - champion_only])
    shares = np.column_stack([shares, 1 - shares.sum(axis=1)])
    images = np.full(len(effects), case.images // len(effects))
    more, fewer, both, _ = rng.multinomial(images, shares).T
    return Pairs(images, both, more, fewer)


def judge_twice(pairs: Pairs, rule: JudgementParams) -> tuple[Judgement, Judgement]:
    """With files of the same size, and with a candidate of half the size."""
    equal = exact_difference(0.0, 0.0)
    same = compare("the champion", pairs, CLASSES, equal, exact_difference(100.0, 100.0), equal, rule.confidence)
    smaller = replace(same, size=exact_difference(50.0, 100.0))
    return judge(Gate(()), same, rule), judge(Gate(()), smaller, rule)


def render(rates: list[Rates], rule: JudgementParams) -> str:
    """The rates as the tables that the documents quote."""
    margins = rule.margins
    parts = [
        f"Margins: {100 * margins.accuracy:g} points of accuracy, {100 * margins.recall_of_a_class:g} points of a "
        f"class's recall; confidence {rule.confidence:.0%}; {rates[0].trials:,} test sets a row."
    ]
    for images in IMAGES:
        parts += [
            f"Promoted, of candidates that are truly so, on {images:,} test images:",
            "\n".join(_table(rates, images)),
        ]
    return "\n\n".join(parts) + "\n"


def _table(rates: list[Rates], images: int) -> Iterator[str]:
    heads = [
        f"{what}, {share:.0%} discordant" for what in ("only accuracy to win", "half the size") for share in DISCORDANT
    ]
    yield f"| the candidate is truly | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 1) + "|"
    chosen = [one for one in rates if one.images == images]
    for truth in dict.fromkeys(one.truth for one in chosen):
        row = [one for one in chosen if one.truth == truth]
        shares = [one.promoted for one in row] + [one.promoted_smaller for one in row]
        yield f"| {truth} | {' | '.join(f'{share:.1%}' for share in shares)} |"


if __name__ == "__main__":
    main()
