"""How often the rule for promotion errs; writes benchmarks/judgement.json and benchmarks/judgement.md.

    python -m benchmarks.judgement               # about two minutes on two cores

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
from fashion.evaluation.judgement import LOST, Evidence, Outcome, compare, judge
from fashion.evaluation.paired import Pairs, exact_difference
from fashion.evaluation.survey import Survey
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
FROZEN = 10_000
PREDICTIONS = 20_000
"""Of which labels come."""
TESTED = 0.3
"""Of the labelled images; prepare.recent_test_fraction."""
WORSE = (0.0, -0.004, -0.01)
GAINS = (0.05, 0.1, 0.2, 0.3)
"""On recent images."""
CHANGED = 0.4
"""Share of them on which just one model is right, where the world has changed."""
RECENT_IMAGES = (50, 100, 200, 400)
ALL_CAME = Survey(1, 1)


@dataclass(frozen=True)
class Case:
    """A truth to draw from: the true difference in recall of each class."""

    truth: str
    images: int
    discordant: float
    effects: tuple[float, ...]


@dataclass(frozen=True)
class Way:
    """How labels come: of how many predictions they are asked for, and who answers."""

    name: str
    asked: float
    told_mistake: float
    """Share of the labels that come where the champion is wrong."""
    told_right: float
    """And where it is right."""
    knows_asked: bool = True
    """Whether the judgement knows what was asked for; before, every label counted as if it had been."""


WAYS = (
    Way("all labels", 1, 1, 1),
    Way("as people give them, all of them count (before)", 1, 0.5, 0.02, knows_asked=False),
    Way("2 % asked for at random, all answered (now)", 0.02, 1, 1),
    Way("10 % asked for at random, all answered (now)", 0.1, 1, 1),
    Way("10 % asked for at random, all mistakes and 90 % of the rest answered (now)", 0.1, 1, 0.9),
    Way("10 % asked for at random, answered as people give labels (now)", 0.1, 0.5, 0.02),
)


@dataclass(frozen=True)
class Recently:
    """Shares of the drawn pairs of test sets, a frozen and a recent one."""

    truth: str
    way: str
    discordant: float
    trials: int
    tested: float
    """Recent images, on average."""
    judges: float
    """How often the recent test set judged."""
    promoted: float
    promoted_smaller: float


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
        ways = [(way, discordant, effect) for way in WAYS for discordant in DISCORDANT for effect in WORSE]
        recently = list(pool.map(measure_recent, ways, [rule] * len(ways), [trials] * len(ways), range(len(ways))))
        gains = [(images, gain) for images in RECENT_IMAGES for gain in GAINS]
        seen = list(pool.map(measure_gain, gains, [rule] * len(gains), [trials] * len(gains), range(len(gains))))
    results = {
        "rule": rule.model_dump(),
        "rates": [asdict(one) for one in rates],
        "recently": [asdict(one) for one in recently],
        "gains": [[*case, share] for case, share in zip(gains, seen, strict=True)],
    }
    write_json(RESULTS, results)
    write_text(TABLE, "\n".join([render(rates, rule), render_recent(recently, results["gains"], rule)]))
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
        refused_for_accuracy=float(np.mean([any("accuracy" in name for name in lost(one)) for one in smaller])),
        refused_for_a_class=float(np.mean([any("recall of" in name for name in lost(one)) for one in smaller])),
    )


def lost(outcome: Outcome) -> list[str]:
    """Return the figures for which a candidate is refused."""
    return [finding.figure for finding in outcome.findings if finding.verdict in LOST]


def measure_recent(case: tuple[Way, float, float], rule: JudgementParams, trials: int, seed: int) -> Recently:
    """Judge `trials` pairs of test sets of two models with one true difference, labels coming in one way."""
    way, discordant, effect = case
    rng = np.random.default_rng(seed)
    effects = (effect,) * len(CLASSES)
    found = []
    for _ in range(trials):
        recent, survey = draw_recent(Case("", PREDICTIONS, discordant, effects), way, rng)
        frozen = draw(Case("", FROZEN, discordant, effects), rng)
        found.append((int(recent.images.sum()), *judge_twice(frozen, rule, recent, survey)))
    return Recently(
        describe(effect),
        way.name,
        discordant,
        trials,
        tested=float(np.mean([images for images, _, _ in found])),
        judges=float(np.mean([images > 0 and same.obstacle is None for images, same, _ in found])),
        promoted=float(np.mean([same.promoted for _, same, _ in found])),
        promoted_smaller=float(np.mean([smaller.promoted for _, _, smaller in found])),
    )


def measure_gain(case: tuple[int, float], rule: JudgementParams, trials: int, seed: int) -> float:
    """How often a gain on so many recent images is seen, if that is not too few for it to count."""
    images, gain = case
    rng = np.random.default_rng(seed)
    counts = rule.recent.model_copy(update={"images_at_least": 1})
    free = rule.model_copy(update={"recent": counts})
    effects = (gain,) * len(CLASSES)
    promoted = []
    for _ in range(trials):
        recent = draw(Case("", images, CHANGED, effects), rng, accuracy=(1 - gain) / 2)
        frozen = draw(Case("", FROZEN, DISCORDANT[0], (0.0,) * len(CLASSES)), rng)
        promoted.append(judge_twice(frozen, free, recent, ALL_CAME)[0].promoted)
    return float(np.mean(promoted))


def draw(case: Case, rng: np.random.Generator, accuracy: float = ACCURACY) -> Pairs:
    """One test set: how often which model is right, class by class."""
    more, fewer, both, neither = draw_outcomes(case, rng, accuracy)
    return Pairs(more + fewer + both + neither, both, more, fewer)


def draw_outcomes(case: Case, rng: np.random.Generator, accuracy: float = ACCURACY) -> np.ndarray:
    """How often the candidate alone, the champion alone, both and neither are right, (4, classes)."""
    effects = np.array(case.effects)
    discordant = np.maximum(case.discordant, np.abs(effects))
    candidate_only, champion_only = (discordant + effects) / 2, (discordant - effects) / 2
    shares = np.column_stack([candidate_only, champion_only, accuracy - champion_only])
    shares = np.column_stack([shares, 1 - shares.sum(axis=1)])
    images = np.full(len(effects), case.images // len(effects))
    return rng.multinomial(images, shares).T


def draw_recent(case: Case, way: Way, rng: np.random.Generator) -> tuple[Pairs, Survey]:
    """The recent test set, and what the judgement knows of how it came about."""
    told = np.array([way.told_mistake, way.told_right, way.told_right, way.told_mistake])[:, None]
    asked = rng.binomial(draw_outcomes(case, rng), way.asked)
    answered = rng.binomial(asked, told)
    more, fewer, both, neither = rng.binomial(answered, TESTED)
    survey = Survey(int(asked.sum()), int(answered.sum())) if way.knows_asked else ALL_CAME
    return Pairs(more + fewer + both + neither, both, more, fewer), survey


def judge_twice(
    pairs: Pairs, rule: JudgementParams, recent: Pairs | None = None, survey: Survey = ALL_CAME
) -> tuple[Outcome, Outcome]:
    """With files of the same size, and with a candidate of half the size."""
    equal = exact_difference(0.0, 0.0)
    kept = recent if recent is not None and recent.images.sum() else None
    same = Evidence(
        test=compare("the champion", pairs, CLASSES, rule.confidence),
        calibration_error=equal,
        size=exact_difference(100.0, 100.0),
        latency=equal,
        recent=compare("the champion", kept, CLASSES, rule.confidence) if kept else None,
        survey=survey,
    )
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


def render_recent(rates: list[Recently], gains: list[list[float]], rule: JudgementParams) -> str:
    heads = [f"{what}, {share:.0%} discordant" for what in ("promoted", "half the size") for share in DISCORDANT]
    lines = [
        f"Labels of {PREDICTIONS:,} predictions, {TESTED:.0%} of the labelled images tested on, beside {FROZEN:,} "
        f"frozen test images. The recent test set judges from {rule.recent.images_at_least:,} images on, if "
        f"{rule.recent.response_at_least:.0%} of the labels asked for have come. Promoted, of candidates that are "
        "truly so:",
        "",
        f"| labels | recent images | judges | the candidate is truly | {' | '.join(heads)} |",
        "|---" * (len(heads) + 4) + "|",
    ]
    for way in WAYS:
        for effect in WORSE:
            row = [one for one in rates if (one.way, one.truth) == (way.name, describe(effect))]
            shares = [one.promoted for one in row] + [one.promoted_smaller for one in row]
            cells = [way.name, f"{row[0].tested:,.0f}", f"{row[0].judges:.0%}", describe(effect)]
            lines.append(f"| {' | '.join([*cells, *(f'{share:.1%}' for share in shares)])} |")
    return "\n".join([*lines, "", *_gain_table(gains), ""])


def _gain_table(gains: list[list[float]]) -> Iterator[str]:
    yield (
        f"Promoted, of candidates that are better on recent images alone, with {CHANGED:.0%} discordant there, by the "
        "number of recent images:"
    )
    yield ""
    yield f"| better by | {' | '.join(f'{images} images' for images in RECENT_IMAGES)} |"
    yield "|---" * (len(RECENT_IMAGES) + 1) + "|"
    for gain in GAINS:
        shares = [share for images in RECENT_IMAGES for found, one, share in gains if (found, one) == (images, gain)]
        yield f"| {100 * gain:.0f} points | {' | '.join(f'{share:.1%}' for share in shares)} |"


if __name__ == "__main__":
    main()
