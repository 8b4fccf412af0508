"""How often the rule for promotion errs.

Test sets are drawn of two models whose true difference is known, and judged by the code that judges real models. The
model of the draws: ten classes of equally many images; on a share of them, the same in every class, just one of the two
models is right; a true difference is the same in every class, unless one class is named. Calibration and latency are
equal. Each test set is judged twice: with files of the same size, so that only accuracy can be won, and with a
candidate of half the size, so that an objective is won beforehand and only the margins can refuse.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion.evaluation.gates import Gate
from fashion.evaluation.judgement import LOST, Evidence, Outcome, compare, judge
from fashion.evaluation.paired import Pairs, exact_difference
from fashion.evaluation.survey import Survey
from fashion.params import JudgementParams

CLASSES = tuple(f"class {number}" for number in range(10))
ACCURACY = 0.93
"""Of the champion; the rule does not depend on it."""
DISCORDANT = (0.04, 0.08)
"""Share of the images on which just one model is right."""
FROZEN = 10_000
"""Images of the frozen test set, beside a recent one."""
PREDICTIONS = 20_000
"""Predictions that are waiting for labels."""
TESTED = 0.3
"""Share of the labelled images that are tested on; prepare.recent_test_fraction."""
CHANGED = 0.4
"""Share of the recent images on which just one model is right, where the world has changed."""
ALL_CAME = Survey(1, 1)
ELSEWHERE: Mapping[str, Any] = {"slices": True, "margins": {"corrupted_accuracy", "accuracy_of_a_slice"}}
"""What these draws do not depend on, to leave out of the rule; `fashion.evaluation.error_rates.robustness` does."""


@dataclass(frozen=True)
class Case:
    """A truth to draw from: the true difference in recall of each class."""

    truth: str
    images: int
    discordant: float
    effects: tuple[float, ...]


@dataclass(frozen=True)
class Way:
    """How labels come: for which share of the predictions they are asked, and who answers."""

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


@dataclass(frozen=True)
class RecentRates:
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


def describe(effect: float) -> str:
    if not effect:
        return "equal"
    return f"{'better' if effect > 0 else 'worse'} by {abs(100 * effect):.1f} points"


def measure(case: Case, rule: JudgementParams, trials: int, seed: int) -> Rates:
    """Judge `trials` test sets drawn from one truth."""
    rng = np.random.default_rng(seed)
    judgements = [_judge_twice(pairs, rule) for pairs in (_draw(case, rng) for _ in range(trials))]
    smaller = [judgement for _, judgement in judgements]
    return Rates(
        case.truth,
        case.images,
        case.discordant,
        trials,
        promoted=float(np.mean([judgement.promoted for judgement, _ in judgements])),
        promoted_smaller=float(np.mean([judgement.promoted for judgement in smaller])),
        refused_for_accuracy=float(np.mean([any("accuracy" in name for name in _lost(one)) for one in smaller])),
        refused_for_a_class=float(np.mean([any("recall of" in name for name in _lost(one)) for one in smaller])),
    )


def _lost(outcome: Outcome) -> list[str]:
    """Return the figures for which a candidate is refused."""
    return [finding.figure for finding in outcome.findings if finding.verdict in LOST]


def measure_recent(case: tuple[Way, float, float], rule: JudgementParams, trials: int, seed: int) -> RecentRates:
    """Judge `trials` pairs of test sets of two models with one true difference, labels coming in one way."""
    way, discordant, effect = case
    rng = np.random.default_rng(seed)
    effects = (effect,) * len(CLASSES)
    found = []
    for _ in range(trials):
        recent, survey = _draw_recent(Case("", PREDICTIONS, discordant, effects), way, rng)
        frozen = _draw(Case("", FROZEN, discordant, effects), rng)
        found.append((int(recent.images.sum()), *_judge_twice(frozen, rule, recent, survey)))
    return RecentRates(
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
    """Return how often a gain on so many recent images is seen, if that is not too few for it to count."""
    images, gain = case
    rng = np.random.default_rng(seed)
    counts = rule.recent.model_copy(update={"images_at_least": 1})
    free = rule.model_copy(update={"recent": counts})
    effects = (gain,) * len(CLASSES)
    promoted = []
    for _ in range(trials):
        recent = _draw(Case("", images, CHANGED, effects), rng, accuracy=(1 - gain) / 2)
        frozen = _draw(Case("", FROZEN, DISCORDANT[0], (0.0,) * len(CLASSES)), rng)
        promoted.append(_judge_twice(frozen, free, recent, ALL_CAME)[0].promoted)
    return float(np.mean(promoted))


def _draw(case: Case, rng: np.random.Generator, accuracy: float = ACCURACY) -> Pairs:
    """Draw one test set: how often which model is right, class by class."""
    return _as_pairs(_draw_outcomes(case, rng, accuracy))


def _as_pairs(outcomes: NDArray[np.int64]) -> Pairs:
    candidate_only, champion_only, both, _ = outcomes
    return Pairs(outcomes.sum(axis=0), both, candidate_only, champion_only)


def _draw_outcomes(case: Case, rng: np.random.Generator, accuracy: float = ACCURACY) -> NDArray[np.int64]:
    """Draw how often the candidate alone, the champion alone, both and neither are right, (4, classes)."""
    effects = np.array(case.effects)
    discordant = np.maximum(case.discordant, np.abs(effects))
    candidate_only, champion_only = (discordant + effects) / 2, (discordant - effects) / 2
    shares = np.column_stack([candidate_only, champion_only, accuracy - champion_only])
    shares = np.column_stack([shares, 1 - shares.sum(axis=1)])
    images = np.full(len(effects), case.images // len(effects))
    return rng.multinomial(images, shares).T


def _draw_recent(case: Case, way: Way, rng: np.random.Generator) -> tuple[Pairs, Survey]:
    """Draw the recent test set, and what the judgement knows of how it came about."""
    told = np.array([way.told_mistake, way.told_right, way.told_right, way.told_mistake])[:, None]
    asked = rng.binomial(_draw_outcomes(case, rng), way.asked)
    answered = rng.binomial(asked, told)
    survey = Survey(int(asked.sum()), int(answered.sum())) if way.knows_asked else ALL_CAME
    return _as_pairs(rng.binomial(answered, TESTED)), survey


def _judge_twice(
    pairs: Pairs, rule: JudgementParams, recent: Pairs | None = None, survey: Survey = ALL_CAME
) -> tuple[Outcome, Outcome]:
    """Judge with files of the same size, and with a candidate of half the size."""
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
