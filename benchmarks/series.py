"""What a series of judgements on one test set adds up to; writes benchmarks/series.json and benchmarks/series.md.

    python -m benchmarks.series                  # about ten minutes on two cores

Single judgements err as benchmarks/judgement.md says. Here candidates come one after the other, are judged with the
code and the numbers that judge real models, and each that wins is the next one's champion; all of them answer the same
frozen test set. The model of the draws: every image of the test set has a chance of its own to be answered right, and a
model that is trained anew draws for each. The chances are such that two models of the same recipe have the accuracy and
are as often discordant as was measured (`FACTS`): the deviation that follows over trainings, the square root of half
the discordant share over the number of images, is 0.12 points, and 20 seeds on one test set have 0.13
(benchmarks/seeds.json). What a candidate is truly better or worse by moves all chances. Calibration, latency and size
are equal.
"""

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.judgement import ALL_CAME, CLASSES
from fashion.evaluation.estimates import proportion_of
from fashion.evaluation.gates import Gate, at_least
from fashion.evaluation.judgement import Evidence, compare, judge
from fashion.evaluation.paired import Booleans, Pairs, count_pairs, exact_difference
from fashion.params import JudgementParams, load_params
from fashion.storage import write_json, write_text

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_suffix(".json")
TABLE = Path(__file__).with_suffix(".md")
ACCURACY, DISCORDANT = 0.935, 0.028
FACTS = (
    "compact, seeds 1 to 20: 93.50% (benchmarks/seeds.json); seed 2 against seed 1: 281 of 10,000 images discordant "
    "(benchmarks/promotion.json); three retrainings on new images against their champions: 275 to 292 "
    "(benchmarks/demo.json, by the widths of the intervals)"
)
IMAGES = 10_000
LOOKS, WEEKS = 10, 52
CORRECTED = 0.995
"""Confidence that would bring ten looks together to 95 %, by Bonferroni."""
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
    write_json(RESULTS, {"rule": rule.model_dump(), "accuracy_at_least": least, "facts": FACTS, **content})
    write_text(TABLE, render(looks, outcomes, rule))
    print(TABLE.read_text(encoding="utf-8"))


def look(case: tuple[float, float], rule: JudgementParams, least: float, series: int, seed: int = 0) -> Looks:
    """Judge ten candidates in a row, many times over."""
    effect, confidence = case
    rule = rule.model_copy(update={"confidence": confidence})
    rng = np.random.default_rng(seed)
    moves, flattered = [], []
    for _ in range(series):
        chances = draw_chances(rng)
        models = [answer(chances, effect if number else 0.0, rng) for number in range(LOOKS + 1)]
        champions = succeed(models, FROZEN, rule, least, (WITH_BEST,))[WITH_BEST]
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
        chances, effects = draw_chances(rng), draw_effects(year, rng)
        models = [answer(chances, effect, rng) for effect in effects]
        for name, champions in succeed(models, year.wins_by, rule, least).items():
            true, measured = np.array(effects)[champions], np.array([models[one].mean() for one in champions])
            seen[name].append((len(champions) - 1, true.max() - true[-1], measured.max() - measured[-1]))
    return [summarise(year, name, np.array(rows)) for name, rows in seen.items()]


def summarise(year: Year, name: str, rows: NDArray[np.float64]) -> Outcome:
    promotions, *losses = rows.T
    true, measured = ((float(np.median(one)), float(np.quantile(one, 0.95)), float(one.max())) for one in losses)
    return Outcome(year.truth, year.wins_by, name, len(rows), float(promotions.mean()), true, measured)


def draw_chances(rng: np.random.Generator) -> NDArray[np.float64]:
    """How likely a model of the recipe is right on each image: of the accuracy, and as often discordant, as measured.

    Of a beta distribution with mean m and the sum s of its parameters, two draws differ with 2 m (1 - m) s / (s + 1).
    """
    kept = DISCORDANT / (2 * ACCURACY * (1 - ACCURACY))
    total = kept / (1 - kept)
    return rng.beta(ACCURACY * total, (1 - ACCURACY) * total, IMAGES)


def draw_effects(year: Year, rng: np.random.Generator) -> list[float]:
    """What the first champion and each candidate are truly better by than the recipe."""
    own = rng.normal(0, year.own, WEEKS + 1) if year.own else np.zeros(WEEKS + 1)
    effects = own - year.decline * np.arange(WEEKS + 1) - year.lower
    return [float(own[0]), *map(float, effects[1:])]


def move(chances: NDArray[np.float64], effect: float) -> NDArray[np.float64]:
    """The chances of a model that is truly better by `effect`; all images gain or lose alike."""
    if effect < 0:
        return chances * (1 + effect / ACCURACY)
    return chances + (1 - chances) * effect / (1 - ACCURACY)


def answer(chances: NDArray[np.float64], effect: float, rng: np.random.Generator) -> Booleans:
    """On which images a model is right."""
    return rng.random(IMAGES) < move(chances, effect)


def succeed(
    models: Sequence[Booleans],
    wins_by: str,
    rule: JudgementParams,
    least: float,
    names: Sequence[str] = (ALONE, WITH_BEST),
) -> dict[str, list[int]]:
    """The champions, by their place among the models, under each rule; the first model is the first champion."""
    found: dict[str, list[int]] = {}
    accuracies = [float(model.mean()) for model in models]

    @cache
    def wins(number: int, champion: int, best: int) -> bool:
        former = models[best] if best != champion else None
        return is_promoted(models[number], models[champion], former, wins_by, rule, least)

    for name in names:
        champions = [0]
        for number in range(1, len(models)):
            best = max(champions, key=accuracies.__getitem__) if name == WITH_BEST else champions[-1]
            if wins(number, champions[-1], best):
                champions.append(number)
        found[name] = champions
    return found


def is_promoted(
    candidate: Booleans,
    champion: Booleans,
    best: Booleans | None,
    wins_by: str,
    rule: JudgementParams,
    least: float,
) -> bool:
    equal = exact_difference(0.0, 0.0)
    size = exact_difference(50.0 if wins_by == OTHER else 100.0, 100.0)
    test = compare("the champion", count(candidate, champion), CLASSES, rule.confidence)
    recent = compare("the champion", WINS, CLASSES, rule.confidence) if wins_by == RECENT else None
    former = compare("the best one", count(candidate, best), CLASSES, rule.confidence) if best is not None else None
    gate = Gate((at_least("accuracy", proportion_of(int(candidate.sum()), IMAGES), least),))
    evidence = Evidence(test, equal, size, equal, recent, ALL_CAME, former)
    return judge(gate, evidence, rule).promoted


def count(candidate: Booleans, champion: Booleans) -> Pairs:
    """The classes take turns among the images."""
    return count_pairs(np.arange(IMAGES) % len(CLASSES), candidate, champion, len(CLASSES))


def render(looks: list[Looks], outcomes: list[Outcome], rule: JudgementParams) -> str:
    margins = rule.margins
    parts = [
        f"{IMAGES:,} test images, {DISCORDANT:.1%} of them discordant between two models; margins of "
        f"{100 * margins.accuracy:g} points, {100 * margins.accuracy_for_recent:g} for a candidate that wins on recent "
        "images.",
        f"{LOOKS} candidates in a row, with nothing but accuracy on the frozen test set to win; {looks[0].series:,} "
        "series a row:",
        "\n".join(_looks_table(looks)),
        f"A year of {WEEKS} candidates; what the last champion has lost of the frozen accuracy against the best "
        f"champion of the year, in points: median, 95th percentile, largest of {outcomes[0].years} years:",
        "\n".join(_years_table(outcomes)),
    ]
    return "\n\n".join(parts) + "\n"


def _looks_table(looks: list[Looks]) -> Iterator[str]:
    heads = ("champion replaced at least once", "promoted, of the candidates", "the last champion looks better by")
    yield f"| confidence | the candidates are truly | {' | '.join(heads)} |"
    yield "|---|---|---|---|---|"
    for one in looks:
        truth = f"better by {100 * one.effect:.1f} points" if one.effect else "equal"
        yield (
            f"| {100 * one.confidence:g}% | {truth} | {one.moved:.1%} | {one.each:.1%} | "
            f"{100 * one.flattered:.2f} points |"
        )


def _years_table(outcomes: list[Outcome]) -> Iterator[str]:
    yield "| the candidates win by | and are truly | held against | promotions | true loss | measured loss |"
    yield "|---|---|---|---|---|---|"
    for one in outcomes:
        true, measured = (
            " / ".join(f"{100 * loss:.2f}" for loss in found) for found in (one.true_loss, one.measured_loss)
        )
        yield f"| {one.wins_by} | {one.truth} | {one.rule} | {one.promotions:.1f} | {true} | {measured} |"


if __name__ == "__main__":
    main()
