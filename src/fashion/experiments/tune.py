"""`fashion tune`: a search among recipes, then a comparison of the best with the recipe in use.

Selection looks at validation images alone: the test set stays what it is for, the judgement of what is registered.
"""

import math
import re
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from fashion.adapters.studies import ABOUT, Place, Study, forget_study, open_study
from fashion.adapters.tracking.address import TUNING, check, registry_of
from fashion.adapters.tracking.runs import LiveRun, end_below, live_run
from fashion.errors import ParamsError
from fashion.experiments.duration import SECONDS_PER_MINUTE, seconds_of_last_training
from fashion.experiments.finals import Tuned, compare, seconds_spent
from fashion.experiments.results import WINNER, write_results
from fashion.experiments.search import Budget, Limits, Search, Watch, run_trials
from fashion.experiments.space import check_space
from fashion.experiments.trainers import trainers
from fashion.params import Params
from fashion.paths import Project
from fashion.settings import load_settings
from fashion.stages.dataset import load_split
from fashion.storage import folder_digest

NAME = re.compile(r"(?!\.{1,2}$)[\w.-]{1,64}")
"""Of a study, which is a folder below artifacts/tuning: `.` and `..` are others."""
PARTS = {
    "dataset": "other data",
    "space": "another space (tune.space)",
    "recipe": "another recipe in use (train.recipe)",
    "seed": "another seed (train.seed)",
    "start": "another start, or one that an earlier release did not note (train.start_from)",
}
RUN = "run"


def place_of(project: Project, name: str) -> Place:
    """Return where the study of that name is kept.

    Raises:
        ParamsError: it cannot be a name.
    """
    if not NAME.fullmatch(name):
        raise ParamsError(
            f"--study {name}: expected up to 64 letters, digits, dots, dashes and underscores, and neither . nor .."
        )
    return Place(name, load_settings().studies_url, project.studies)


def tune(project: Project, params: Params, name: str, budget: Budget, watch: Watch) -> Tuned:
    """Search until the budget is used, compare the best with the recipe in use, and write artifacts/tuning/NAME/.

    A search that was stopped goes on where it was.

    Args:
        name: of the study.

    Raises:
        ArtifactError: the dataset is missing or damaged, or the study is.
        ParamsError: the space holds recipes that cannot be trained; or the study was begun with another one, or other
            data.
        ServiceError: MLflow, the cluster or the database of the studies is away, or another process goes on with the
            study.
        TrainingError: nothing but failures.
    """
    check_space(params.train.chosen, params.tune.space, params.data.image_size)
    images = len(load_split(project, "validation").labels)
    registry = replace(registry_of(project, params), experiment=TUNING)
    check(registry.uri)
    with ExitStack() as stack:
        study = stack.enter_context(open_study(place_of(project, name), params.train.seed, params.tune.pruned_before))
        _begin(study, _about(project, params), name)
        found_trainers = stack.enter_context(trainers(project))
        run = stack.enter_context(live_run(registry, name, _parameters(params), {}, study.notes.get(RUN)))
        study.note(RUN, run.run_id)
        end_below(registry, run.run_id)
        rounds = math.ceil(_trainings(params) / found_trainers.places)
        limits = Limits(budget, seconds_spent(study), rounds, time.monotonic())
        search = Search(project, params, study, watch, registry, run.run_id, found_trainers)
        run_trials(search, limits)
        finalists = compare(search)
        found = Tuned(name, params.train.recipe, study.trials, finalists, params.tune.seeds, images)
        _close(project, study, found, run)
    return found


def restart(project: Project, name: str) -> None:
    """Forget a study: its trials, not what it left in MLflow."""
    forget_study(place_of(project, name))


def forecast(project: Project, params: Params, budget: Budget) -> str:
    """Return what the budget is likely to be enough for, from the last training where it is known.

    Raises:
        ParamsError: there would be no time for a single trial.
    """
    tune, seconds, trainings = params.tune, seconds_of_last_training(project, params.train.recipe), _trainings(params)
    after = f"{tune.seeds} seeds compare {params.train.recipe} and the best {tune.finalists}: {trainings} trainings"
    if budget.minutes is None:
        allowed = f"At most {budget.trials} trials, then {after}"
        minutes = ((budget.trials or 0) + trainings) * (seconds or 0) / SECONDS_PER_MINUTE
        return f"{allowed}; about {minutes:.0f} minutes at most." if seconds else f"{allowed}."
    if not seconds:
        return f"{budget.minutes:g} minutes for trials, and then for the comparison: {after}."
    left = budget.minutes * SECONDS_PER_MINUTE - trainings * seconds
    if left < seconds:
        raise ParamsError(
            f"--minutes {budget.minutes:g} is not enough: a training takes about {seconds:.0f} s, and after the search "
            f"{after}. Give at least {(trainings + 1) * seconds / SECONDS_PER_MINUTE:.0f} minutes, or lower "
            "tune.finalists or tune.seeds in params.yaml."
        )
    return (
        f"{budget.minutes:g} minutes: trials for {left / SECONDS_PER_MINUTE:.0f} of them, each of about {seconds:.0f} "
        f"s unless it is stopped early; then {after}."
    )


def _trainings(params: Params) -> int:
    """Return how many trainings the comparison takes."""
    return (params.tune.finalists + 1) * params.tune.seeds


def _about(project: Project, params: Params) -> dict[str, Any]:
    """Return what the trials of a study must have in common."""
    return {
        "dataset": folder_digest(project.dataset),
        "space": {key: knob.model_dump(mode="json") for key, knob in params.tune.space.items()},
        "recipe": in_use(params),
        "seed": params.train.seed,
        "start": start_of(params),
    }


def in_use(params: Params) -> dict[str, Any]:
    """Return the recipe in use, with its name."""
    return {"name": params.train.recipe, **params.train.chosen.model_dump(mode="json")}


def start_of(params: Params) -> str | None:
    """Return the digest of the model that trainings start from; None if from nothing. Old studies do not note it."""
    return params.train.start_from.sha256 if params.train.start_from else None


def _begin(study: Study, about: dict[str, Any], name: str) -> None:
    if study.about is None:
        study.note(ABOUT, about)
        return
    changed = [words for part, words in PARTS.items() if study.about.get(part) != about[part]]
    if changed:
        raise ParamsError(
            f"The study {name} was begun with {' and '.join(changed)}, so its trials do not compare with new ones. "
            "Begin another one: fashion tune --study NAME; or this one anew, without its trials: fashion tune --restart"
        )


def _parameters(params: Params) -> dict[str, Any]:
    space = {f"space.{key}": str(knob.model_dump(exclude_none=True)) for key, knob in params.tune.space.items()}
    return {"recipe": params.train.recipe, "seed": params.train.seed} | space


def _close(project: Project, study: Study, found: Tuned, run: LiveRun) -> None:
    """Write down what was found, for people and for `--apply`."""
    winner = found.winner
    kept = {"trial": winner.trial.number, "recipe": winner.recipe.model_dump(mode="json")} if winner else None
    study.note(WINNER, kept)  # Also none, where an earlier comparison found one that no longer is.
    best = max((trial.accuracy or 0 for trial in found.trials), default=0)
    run.log_figures({"validation/best_accuracy": best, "trials": len(found.trials)})
    run.log_folder(write_results(project, study, found))
