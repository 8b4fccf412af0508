"""The search: trial after trial, each stopped early if it is not worth its time, until the budget is used."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fashion.adapters.studies import COMPLETE, FAILED, PRUNED, RUNNING, Study, Trial
from fashion.adapters.tracking.address import Registry
from fashion.adapters.tracking.runs import PARENT, live_run
from fashion.errors import ParamsError, TrainingError
from fashion.experiments.duration import SECONDS_PER_MINUTE
from fashion.experiments.space import flatten, holds
from fashion.experiments.trainers import Trainers
from fashion.experiments.trial import Job, OnEpoch, Outcome, Progress, StoppedError
from fashion.params import Params, Recipe, recipe_with
from fashion.paths import Project

USUAL_TRIALS = 20
MOST_FAILURES = 5
"""Trials of a call that may fail one after another: more of the same are not going to succeed."""
TIME_WAS_OVER = "the time was over"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entrant:
    """A recipe to be trained, and what is different in it."""

    name: str
    values: Mapping[str, Any]
    recipe: Recipe


@dataclass(frozen=True)
class Watch:
    """Callbacks of whoever watches a search."""

    on_epoch: Callable[[Entrant, Progress], None]
    """Called after each epoch of any training."""
    on_trial: Callable[[list[Trial]], None]
    """Called with all trials when one has begun or ended."""


@dataclass(frozen=True)
class Search:
    """A search at work: its subject, where it is kept, and who watches it."""

    project: Project
    params: Params
    study: Study
    watch: Watch
    registry: Registry
    run_id: str
    """MLflow's run of the search."""
    trainers: Trainers

    @property
    def in_use(self) -> Recipe:
        return self.params.train.chosen

    def entrant(self, trial: Trial) -> Entrant:
        """Return what a trial trains.

        Raises:
            ParamsError: its values cannot go together.
        """
        return Entrant(f"trial {trial.number}", trial.values, recipe_with(self.in_use, trial.values))

    def train(self, entrant: Entrant, seed: int, on_epoch: OnEpoch) -> Outcome:
        """Train, watched, and shown in MLflow below the search's run.

        Raises:
            TrainingError: it failed.
            StoppedError: `on_epoch` ended it.
        """
        classes, start_from = len(self.params.data.classes), self.params.train.start_from
        job = Job(self.project.root, entrant.recipe, classes, seed, start_from=start_from)
        parameters = flatten(entrant.recipe.model_dump()) | {"seed": seed}
        with live_run(self.registry, entrant.name, parameters, {PARENT: self.run_id}) as run:

            def report(progress: Progress) -> bool:
                run.log_metrics(progress.figures, progress.epoch)
                self.watch.on_epoch(entrant, progress)
                return on_epoch(progress)

            try:
                outcome = self.trainers.train(job, report)
            except StoppedError as error:
                stopped = error  # Raised outside: a run that was stopped for being worse has not failed.
            else:
                run.log_figures({"validation/accuracy": outcome.accuracy, "seconds": outcome.seconds})
                return outcome
        raise stopped


@dataclass(frozen=True)
class Budget:
    """How much a search may cost; what an earlier call of it has used counts."""

    trials: int | None = None
    minutes: float | None = None
    """For everything: the trials, and the comparison of the best after them."""


def budget_of(trials: int | None, minutes: float | None) -> Budget:
    """Return the budget that somebody asked for, or the usual one.

    Raises:
        ParamsError: it is no budget.
    """
    if trials is None and minutes is None:
        return Budget(USUAL_TRIALS)
    if (trials is not None and trials < 1) or (minutes is not None and not minutes > 0):
        raise ParamsError(f"{trials} trials and {minutes} minutes: expected at least one trial and more than 0 minutes")
    return Budget(trials, minutes)


@dataclass(frozen=True)
class Limits:
    """A budget while it is used up."""

    budget: Budget
    spent: float
    """Seconds that the study had taken before this call."""
    trainings: int
    """Of the comparison after the search, one after another, for which time is left."""
    start: float

    def allow_another(self, trials: list[Trial]) -> bool:
        """Return whether there is time, and a trial left, to begin one more."""
        tried = sum(trial.state != FAILED for trial in trials)
        if self.budget.trials is not None and tried >= self.budget.trials:
            return False
        return self._seconds_left(trials) > mean_seconds(trials)

    def are_over(self, trials: list[Trial]) -> bool:
        """Return whether a trial must end, so that there is time to compare the best."""
        return self._seconds_left(trials) <= 0

    def _seconds_left(self, trials: list[Trial]) -> float:
        if self.budget.minutes is None:
            return math.inf
        used = self.spent + time.monotonic() - self.start + self.trainings * mean_seconds(trials)
        return self.budget.minutes * SECONDS_PER_MINUTE - used


def mean_seconds(trials: list[Trial]) -> float:
    """Return what a whole training takes; 0 as long as none was seen."""
    seconds = [trial.seconds for trial in trials if trial.state == COMPLETE]
    return sum(seconds) / len(seconds) if seconds else 0.0


def run_trials(search: Search, limits: Limits) -> None:
    """Try values from the space until the budget is used.

    Raises:
        TrainingError: nothing but failures.
    """
    study, space = search.study, search.params.tune.space
    study.restart_stopped()
    in_use = flatten(search.in_use.model_dump())
    own = {key: in_use.get(key) for key in space}  # None where a section is missing.
    if not study.trials and all(holds(space[key], value) for key, value in own.items()):
        study.suggest_first(own)
    before = len(study.trials)
    with search.trainers.side_by_side() as trainings:
        while limits.allow_another(study.trials) and not _do_nothing_but_fail(study.trials[before:]):
            trial = study.ask(space)
            search.watch.on_trial(study.trials)
            trainings.begin(_try, search, trial, limits)
            if not limits.allow_another(study.trials):
                trainings.wait_for_all()  # One that fails leaves its place in the budget to another.
    if _do_nothing_but_fail(study.trials[before:]):
        _end_failing(study.trials)


def _try(search: Search, trial: Trial, limits: Limits) -> None:
    """Train a trial, and record what came of it."""
    study, stopped = search.study, list[str]()

    def on_epoch(progress: Progress) -> bool:
        is_worse = study.report(trial.number, progress.epoch / progress.epochs, progress.accuracy)
        if progress.epoch == progress.epochs:
            return False
        if limits.are_over(study.trials):
            stopped.append(TIME_WAS_OVER)
        elif is_worse:
            stopped.append(f"after epoch {progress.epoch} it was worse than half of the others")
        return bool(stopped)

    try:
        outcome = search.train(search.entrant(trial), search.params.train.seed, on_epoch)
    except StoppedError:
        study.prune(trial.number, stopped[-1])
    except (ParamsError, TrainingError) as error:  # Of a large space not every recipe was checked beforehand.
        logger.warning("trial %d failed: %s", trial.number, error)
        study.fail(trial.number, str(error))
    else:
        study.complete(trial.number, outcome.accuracy)
    search.watch.on_trial(study.trials)


def _do_nothing_but_fail(trials: list[Trial]) -> bool:
    ended = [trial for trial in trials if trial.state != RUNNING]
    return len(ended) >= MOST_FAILURES and all(trial.has_failed for trial in ended[-MOST_FAILURES:])


def _end_failing(trials: list[Trial]) -> None:
    """Raise a TrainingError where nothing has succeeded; otherwise there is something to compare."""
    failed = [trial for trial in trials if trial.has_failed]
    if any(trial.state in (COMPLETE, PRUNED) for trial in trials):
        logger.warning(
            "The last %d trials failed, the last one with: %s. The search ends with what it has",
            MOST_FAILURES,
            failed[-1].reason,
        )
        return
    raise TrainingError(
        f"All {len(failed)} trials failed, the last one with: {failed[-1].reason}\nNarrow tune.space in "
        "params.yaml, and begin anew with: fashion tune --restart"
    )
