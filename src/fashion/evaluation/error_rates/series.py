"""What a series of judgements on one test set adds up to.

Candidates come one after the other, are judged with the code that judges real models, and each that wins is the next
one's champion; all of them answer the same frozen test set. The model of the draws: every image of the test set has a
chance of its own to be answered right, and a model that is trained anew draws for each. The chances are such that two
models of the same recipe have the accuracy and are as often discordant as was measured. What a candidate is truly
better or worse by moves all chances. Calibration, latency and size are equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from fashion.arrays import Booleans, Floats
from fashion.evaluation.error_rates.judgement import ALL_CAME, CLASSES
from fashion.evaluation.estimates import proportion
from fashion.evaluation.gates import Gate, at_least
from fashion.evaluation.judgement import Evidence, compare, judge
from fashion.evaluation.paired import Pairs, count_pairs, exact_difference
from fashion.params import JudgementParams

ACCURACY, DISCORDANT = 0.935, 0.028
IMAGES = 10_000
LOOKS, WEEKS = 10, 52
FROZEN, OTHER, RECENT = "accuracy on the frozen test set", "another objective", "accuracy on recent images"
WINS = Pairs(np.full(10, 30), np.full(10, 12), np.full(10, 15), np.full(10, 2))
"""300 recent images on which a candidate is better beyond doubt, as after a change of the images."""
ALONE, WITH_BEST = "the champion alone", "the champion and the best one before"


@dataclass(frozen=True)
class Year:
    """What the candidates of a year are truly like, and what they win by."""

    truth: str
    wins_by: str
    own: float = 0.0
    """Standard deviation of what each is truly better or worse by, for itself."""
    decline: float = 0.0
    """What each is truly worse by than the one before it."""
    lower: float = 0.0
    """What all but the first champion are truly worse by."""


@dataclass(frozen=True)
class Contest:
    """What it takes to be promoted."""

    wins_by: str
    rule: JudgementParams
    least_accuracy: float


@dataclass(frozen=True)
class Outcome:
    """Of many years, by one rule; losses are shares of the images, of the last champion against the best one."""

    truth: str
    wins_by: str
    rule: str
    years: int
    promotions: float
    """A year, on average."""
    true_loss: tuple[float, float, float]
    """Median, 95th percentile, largest."""
    measured_loss: tuple[float, float, float]


@dataclass(frozen=True)
class Looks:
    """Of many series of ten candidates, all truly better than the first champion by the same."""

    effect: float
    confidence: float
    series: int
    moved: float
    """Share of the series in which a candidate took the champion's place."""
    each: float
    """Promotions a candidate."""
    flattered: float
    """By how much the last champion's accuracy on the test set exceeds the mean of all models like it."""


def look(case: tuple[float, float], rule: JudgementParams, least: float, series: int) -> Looks:
    """Judge ten candidates in a row, many times over."""
    effect, confidence = case
    rule = rule.model_copy(update={"confidence": confidence})
    rng = np.random.default_rng(0)
    moves, flattered = [], []
    for _ in range(series):
        chances = draw_chances(rng)
        models = [answer(chances, effect if number else 0.0, rng) for number in range(LOOKS + 1)]
        champions = _succeed(models, Contest(FROZEN, rule, least), (WITH_BEST,))[WITH_BEST]
        moves.append(len(champions) - 1)
        expected = move(chances, effect if champions[-1] else 0.0).mean()
        flattered.append(models[champions[-1]].mean() - expected)
    moved = np.array(moves)
    return Looks(
        effect, confidence, series, float((moved > 0).mean()), float(moved.mean() / LOOKS), float(np.mean(flattered))
    )


def live(year: Year, seed: int, rule: JudgementParams, least: float, years: int) -> list[Outcome]:
    """Live through many years, each once by either rule with the same candidates."""
    rng = np.random.default_rng(1_000 + seed)
    seen: dict[str, list[tuple[int, float, float]]] = {ALONE: [], WITH_BEST: []}
    for _ in range(years):
        chances, effects = draw_chances(rng), _draw_effects(year, rng)
        models = [answer(chances, effect, rng) for effect in effects]
        for name, champions in _succeed(models, Contest(year.wins_by, rule, least)).items():
            true, measured = np.array(effects)[champions], np.array([models[one].mean() for one in champions])
            seen[name].append((len(champions) - 1, true.max() - true[-1], measured.max() - measured[-1]))
    return [_summarise(year, name, np.array(rows)) for name, rows in seen.items()]


def _summarise(year: Year, name: str, rows: Floats) -> Outcome:
    promotions, *losses = rows.T
    true, measured = ((float(np.median(one)), float(np.quantile(one, 0.95)), float(one.max())) for one in losses)
    return Outcome(year.truth, year.wins_by, name, len(rows), float(promotions.mean()), true, measured)


def draw_chances(rng: np.random.Generator) -> Floats:
    """Draw how likely a model of the recipe is right on each image.

    Of a beta distribution with mean m and the sum s of its parameters, two draws differ with 2 m (1 - m) s / (s + 1).
    """
    kept = DISCORDANT / (2 * ACCURACY * (1 - ACCURACY))
    total = kept / (1 - kept)
    return rng.beta(ACCURACY * total, (1 - ACCURACY) * total, IMAGES)


def _draw_effects(year: Year, rng: np.random.Generator) -> list[float]:
    """Draw what the first champion and each candidate are truly better by than the recipe."""
    own = rng.normal(0, year.own, WEEKS + 1) if year.own else np.zeros(WEEKS + 1)
    effects = own - year.decline * np.arange(WEEKS + 1) - year.lower
    return [float(own[0]), *map(float, effects[1:])]


def move(chances: Floats, effect: float) -> Floats:
    """Return the chances of a model that is truly better by `effect`; all images gain or lose alike."""
    if effect < 0:
        return chances * (1 + effect / ACCURACY)
    return chances + (1 - chances) * effect / (1 - ACCURACY)


def answer(chances: Floats, effect: float, rng: np.random.Generator) -> Booleans:
    """Draw on which images a model is right."""
    right: Booleans = rng.random(IMAGES) < move(chances, effect)
    return right


def _succeed(
    models: Sequence[Booleans], contest: Contest, names: Sequence[str] = (ALONE, WITH_BEST)
) -> dict[str, list[int]]:
    """Return the champions under each rule, by their place among the models; the first model is the first champion."""
    found: dict[str, list[int]] = {}
    accuracies = [float(model.mean()) for model in models]

    @cache
    def wins(number: int, champion: int, best: int) -> bool:
        former = models[best] if best != champion else None
        return _is_promoted(models[number], models[champion], former, contest)

    for name in names:
        champions = [0]
        for number in range(1, len(models)):
            best = max(champions, key=accuracies.__getitem__) if name == WITH_BEST else champions[-1]
            if wins(number, champions[-1], best):
                champions.append(number)
        found[name] = champions
    return found


def _is_promoted(candidate: Booleans, champion: Booleans, best: Booleans | None, contest: Contest) -> bool:
    rule, equal = contest.rule, exact_difference(0.0, 0.0)
    size = exact_difference(50.0 if contest.wins_by == OTHER else 100.0, 100.0)
    test = compare("the champion", _count(candidate, champion), CLASSES, rule.confidence)
    recent = compare("the champion", WINS, CLASSES, rule.confidence) if contest.wins_by == RECENT else None
    former = compare("the best one", _count(candidate, best), CLASSES, rule.confidence) if best is not None else None
    gate = Gate((at_least("accuracy", proportion(candidate), contest.least_accuracy),))
    return judge(gate, Evidence(test, equal, size, equal, recent, ALL_CAME, former), rule).promoted


def _count(candidate: Booleans, champion: Booleans) -> Pairs:
    """Count pairs with the classes taking turns among the images."""
    return count_pairs(np.arange(IMAGES) % len(CLASSES), candidate, champion, len(CLASSES))
