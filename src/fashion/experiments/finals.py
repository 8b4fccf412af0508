"""The comparison after a search: the best few against the recipe in use, with several seeds each.

What comes out best of many trials is partly lucky. These seeds are others than the search's, so the luck of the draw is
left behind; the validation images are the same, and no test image was seen.
"""

import logging
from dataclasses import dataclass, replace

import numpy as np

from fashion.adapters.studies import COMPLETE, Study, Trial
from fashion.arrays import Booleans
from fashion.errors import TrainingError
from fashion.evaluation.estimates import CONFIDENCE, raise_confidence
from fashion.evaluation.paired import Difference
from fashion.evaluation.replications import difference_over_seeds
from fashion.experiments.search import Entrant, Search
from fashion.experiments.trial import pack, unpack
from fashion.params import Recipe

IN_USE = "the recipe in use"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finalist:
    """One of the best trials, compared with the recipe in use on the validation images, seed by seed."""

    trial: Trial
    recipe: Recipe
    difference: Difference | None
    """In mean accuracy; None if one of its trainings failed."""

    @property
    def gain(self) -> float:
        return self.difference.value if self.difference else 0.0

    @property
    def is_better(self) -> bool:
        return self.difference is not None and self.difference.low > 0

    @property
    def verdict(self) -> str:
        """What the interval of the difference shows, in words."""
        if self.difference is None:
            return "a training failed"
        if self.difference.high < 0:
            return "worse"
        return "better" if self.is_better else "not shown to be better"


def choose_finalists(search: Search) -> list[tuple[Trial, Entrant]]:
    """Return the best complete trials, each a recipe of its own, and none the recipe in use."""
    complete = [trial for trial in search.study.trials if trial.state == COMPLETE]
    complete.sort(key=lambda trial: (-(trial.accuracy or 0), trial.number))
    chosen: list[tuple[Trial, Entrant]] = []
    known = [search.in_use]
    for trial in complete:
        entrant = search.entrant(trial)
        if entrant.recipe not in known and len(chosen) < search.params.tune.finalists:
            known.append(entrant.recipe)
            chosen.append((trial, entrant))
    return chosen


def compare(search: Search) -> list[Finalist]:
    """Train each finalist and the recipe in use with the same seeds, and compare them.

    What an earlier call has trained is kept in the study, and not trained again.

    Raises:
        TrainingError: the recipe in use cannot be trained.
    """
    chosen = choose_finalists(search)
    if not chosen:
        return []
    right = _train_all(search, [entrant for _, entrant in chosen])
    base = np.stack(right.pop(IN_USE))
    confidence = raise_confidence(CONFIDENCE, len(chosen))
    found = {name: difference_over_seeds(np.stack(rows), base, confidence) for name, rows in right.items()}
    return [Finalist(trial, entrant.recipe, found.get(entrant.name)) for trial, entrant in chosen]


def _train_all(search: Search, finalists: list[Entrant]) -> dict[str, list[Booleans]]:
    """Return which images the recipe in use and each finalist get right, seed by seed; a finalist that fails is out."""
    first = search.params.train.seed + 1
    seeds = [seed % 2**32 for seed in range(first, first + search.params.tune.seeds)]
    base = Entrant(IN_USE, {}, search.in_use)
    right: dict[str, dict[int, Booleans]] = {entrant.name: {} for entrant in (base, *finalists)}

    def train(entrant: Entrant, seed: int) -> None:
        if (rows := right.get(entrant.name)) is None:
            return
        try:
            rows[seed] = _train(search, entrant, seed)
        except TrainingError as error:
            if entrant is base:
                raise
            logger.warning("%s is out of the comparison: with seed %d, %s", entrant.name, seed, error)
            right.pop(entrant.name, None)

    with search.trainers.side_by_side() as trainings:
        for seed in seeds:
            for entrant in (base, *finalists):
                trainings.begin(train, entrant, seed)
    return {name: [rows[seed] for seed in seeds] for name, rows in right.items()}


def _train(search: Search, entrant: Entrant, seed: int) -> Booleans:
    """Return which validation images the recipe gets right when it is trained with this seed."""
    study, name = search.study, f"{entrant.name}, seed {seed}"
    if kept := study.notes.get(name):
        return unpack(kept["right"], kept["images"])
    outcome = search.train(replace(entrant, name=name), seed, lambda _: False)
    study.note(name, {"right": pack(outcome.right), "images": len(outcome.right), "seconds": outcome.seconds})
    return outcome.right


def seconds_spent(study: Study) -> float:
    """Return what all trainings of the study have taken so far."""
    notes = study.notes.values()
    finals = (float(note["seconds"]) for note in notes if isinstance(note, dict) and "right" in note)
    return sum(trial.seconds for trial in study.trials) + sum(finals)


@dataclass(frozen=True)
class Tuned:
    """What a search came to."""

    study: str
    recipe: str
    """The name of the recipe in use."""
    trials: list[Trial]
    finalists: list[Finalist]
    seeds: int
    images: int
    """Validation images: those by which everything was compared."""

    @property
    def winner(self) -> Finalist | None:
        """The finalist that is shown to be better than the recipe in use by most; None if none is."""
        better = [finalist for finalist in self.finalists if finalist.is_better]
        return max(better, key=lambda finalist: finalist.gain, default=None)

    @property
    def verdict(self) -> str:
        """What came of it, in a sentence."""
        winner = self.winner
        if winner and winner.difference:
            return (
                f"Trial {winner.trial.number} is better than {self.recipe}: by {winner.difference.value:.2%} on the "
                f"validation images, at least by {winner.difference.low:.2%}."
            )
        if not self.finalists:
            return f"There was no complete trial besides {self.recipe}: nothing to compare it with."
        return f"None of the best {len(self.finalists)} is shown to be better than {self.recipe}: keep it."
