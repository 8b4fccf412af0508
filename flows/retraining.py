"""Flow `retraining`: learn from what came in. By its schedule, when drift asks for it, and by hand.

Labelled predictions become a batch of the data; the pipeline then runs on old and new together.
"""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from fashion.params import Params
from fashion.paths import Project
from flows.announcement import announce, announce_failure
from flows.pipeline import (
    check_tracking,
    conclude_run,
    dated,
    fetch,
    open_project,
    run_pipeline,
    training_turn,
    unless_stopped,
)


@task(name="collect", task_run_name="collect", cache_policy=NO_CACHE)
def collect(project: Project, params: Params) -> State[bool]:
    """Make a batch of new labelled predictions; return whether there is anything to learn from."""
    from fashion.loop.collect import collect as stage
    from fashion.loop.collect import is_learned

    collected = stage(project, params)
    if collected.batch is not None:
        why = f" ({'; '.join(collected.reasons)}; see {collected.pictures})" if collected.pictures else ""
        counts = f"{collected.images:,} images, {collected.in_quarantine:,} in quarantine{why}"
        found = "; ".join([f"{counts}: data/batches/{collected.batch}", *collected.omissions])
        return Completed(message=found, data=True)
    wanted = f"{collected.images:,} new labels; at least {params.collect.at_least:,} are needed (collect.at_least)"
    found = "; ".join([wanted, *collected.omissions])
    if is_learned(project, params):
        return Completed(name="NothingNew", message=found, data=False)
    return Completed(message=f"{found}; but no judged model has learned from the data that are there", data=True)


def name_of_run() -> str:
    return dated(flow_run.parameters["reason"])


@flow(name="retraining", flow_run_name=name_of_run, on_failure=[announce_failure], on_crashed=[announce_failure])
def retraining(reason: str = "by hand") -> State[Any]:
    """Collect, then validate, prepare, train, evaluate, export, register. With nothing new, nothing is trained.

    Args:
        reason: why this retraining runs; its run's name begins with it.
    """
    return unless_stopped(lambda: _retrain(reason))


def _retrain(reason: str) -> State[Any]:
    from fashion.stages.restoring import is_synthetic

    project, params = open_project()
    check_tracking(project, params)
    with training_turn(project) as params:
        fetch(project, params, is_synthetic(project))
        collected = collect(project, params, return_state=True)
        if not collected.result():
            return Completed(name="NothingNew", message=f"Nothing to learn from: {collected.message}")
        announce("Retraining", f"Because of {reason}. {collected.message}")
        registration = run_pipeline(project, params)
    return conclude_run(project, params, registration, unattended=False)
