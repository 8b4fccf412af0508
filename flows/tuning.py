"""Flow `tuning`: search for a better recipe, and tell what came of it. By hand: fashion tune does the same."""

from typing import TYPE_CHECKING, Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed

from fashion.params import Params
from fashion.paths import Project
from flows.announcement import announce, announce_failure
from flows.pipeline import check_tracking, dated, fetch, open_project, reproduce, training_turn, unless_stopped

if TYPE_CHECKING:
    from fashion.experiments.finals import Tuned
    from fashion.experiments.search import Budget

BEFORE = ("validate", "prepare")
"""The stages of dvc.yaml without which there are no images to search with."""


@task(name="search", task_run_name="search", cache_policy=NO_CACHE)
def search(project: Project, params: Params, study: str, budget: "Budget") -> "Tuned":
    """Try recipes, compare the best with the one in use, and show what was found."""
    from fashion.experiments.search import Watch
    from fashion.experiments.tune import forecast, tune
    from fashion.experiments.wording import log_trials, summary_of

    logger = get_run_logger()
    logger.info("%s", forecast(project, params, budget))
    found = tune(project, params, study, budget, Watch(lambda *_: None, log_trials(logger.info)))
    create_markdown_artifact(summary_of(found), key="tuning", description=found.verdict)
    return found


def name_of_run() -> str:
    return dated(f"tuning, study {flow_run.parameters['study']}")


@flow(name="tuning", flow_run_name=name_of_run, on_failure=[announce_failure], on_crashed=[announce_failure])
def tuning(study: str = "study", trials: int | None = None, minutes: float | None = None) -> State[Any]:
    """Search for a better recipe on the current data; trainings wait for it, and it for them.

    Args:
        study: the name of the search; one that was stopped goes on.
        trials: how many trials it may have.
        minutes: how long everything may take. Without either, it is 20 trials.
    """
    return unless_stopped(lambda: _tune(study, trials, minutes))


def _tune(study: str, trials: int | None, minutes: float | None) -> State[Any]:
    from fashion.experiments.search import budget_of
    from fashion.stages.restoring import is_synthetic

    project, params = open_project()
    budget = budget_of(trials, minutes)
    check_tracking(project, params)
    with training_turn(project) as params:
        fetch(project, params, is_synthetic(project))
        for stage in BEFORE:
            reproduce.with_options(name=stage, task_run_name=stage)(project, stage)
        found = search(project, params, study, budget)
    if found.winner:
        announce("Tuning: a better recipe", f"{found.verdict} Use it with: fashion tune --study {study} --apply")
    return Completed(message=found.verdict)
