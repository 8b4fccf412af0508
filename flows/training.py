"""Flow `training`: from raw data to a judged, registered model. By hand: python -m flows.training.

The steps that make files are DVC's: each is a task that brings one stage of dvc.yaml up to date.
"""

import argparse
import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, cast

from prefect import Task, flow, get_client, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import CancelledRun, TerminationSignal
from prefect.logging import get_run_logger
from prefect.runtime import deployment, flow_run
from prefect.states import Cancelled, Completed
from rich.console import Console

from fashion.adapters.orchestration import approval_tag
from fashion.errors import FashionError, ServiceError
from fashion.locks import one_at_a_time
from fashion.params import Params, load_params
from fashion.paths import Project
from fashion.settings import apply_environment, load_project, tracking_uri
from flows.approval import Approval, ask
from flows.report import print_summary, publish, publish_judgement
from flows.server import prefect_server
from flows.slot import training_slot

PIPELINE = ("validate", "prepare", "train", "evaluate", "export")
"""The stages of dvc.yaml, one task each."""
RETRY_SECONDS = [10.0, 60.0]


def service_is_away(_: Task[..., Any], __: TaskRun, state: State[Any]) -> bool:
    """Only services are tried again: wrong data or a damaged file stays what it is."""
    return isinstance(state.result(raise_on_failure=False), ServiceError)


@task(
    name="fetch",
    task_run_name="fetch",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=RETRY_SECONDS,
    retry_condition_fn=service_is_away,
)
def fetch(project: Project, params: Params, synthetic: bool) -> State[None]:
    """Bring the data into data/, or draw it; data that is there already stays."""
    from fashion.stages import fetch as stage
    from fashion.stages.dataset import is_synthetic

    if synthetic and is_synthetic(project):
        return Completed(name="UpToDate", message="The drawn dataset is there already")
    with one_at_a_time(project, "fetch"):
        fetched = stage.draw_data(project, params, stage.Drawing()) if synthetic else stage.fetch(project, params)
    origins = ", ".join(sorted(set(fetched.origins.values())))
    get_run_logger().info("%d bytes of data: %s", fetched.bytes, origins)
    return Completed(name="UpToDate" if origins == "already there" else None, message=f"Data: {origins}")


@task(cache_policy=NO_CACHE)
def reproduce(project: Project, stage: str) -> State[None]:
    """Bring one stage of dvc.yaml up to date, with its lines in this task's log."""
    from fashion.adapters import versioning

    if versioning.reproduce(project, stage, get_run_logger().info):
        return Completed()
    return Completed(name="UpToDate", message=f"Nothing that {stage} depends on has changed")


@task(
    name="register",
    task_run_name="register",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=RETRY_SECONDS,
    retry_condition_fn=service_is_away,
)
def register(project: Project, params: Params) -> dict[str, Any]:
    """Bring the model into the registry and decide whether it becomes the champion."""
    from fashion.stages.register import register as stage

    with one_at_a_time(project, "register"):
        outcome = asdict(stage(project, params, flow_run=flow_run.name))
    publish_judgement(outcome)
    return outcome


@task(
    name="conclude",
    task_run_name="conclude",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=RETRY_SECONDS,
    retry_condition_fn=service_is_away,
)
def conclude(project: Project, params: Params, number: str, given: Approval | None) -> dict[str, Any]:
    """Do what a person answered about the new version; none if nobody did."""
    from fashion.stages.approval import Answer
    from fashion.stages.approval import conclude as stage

    answer = Answer(given.decision == "approve", given.who, given.via, given.reason) if given else None
    outcome = asdict(stage(project, params, number, answer, flow_run=flow_run.name))
    publish_judgement(outcome)
    return outcome


@task(name="push", task_run_name="push", cache_policy=NO_CACHE)
def push(project: Project) -> State[None]:
    """Bring data and artifacts to the default DVC remote. The model is in the registry: nothing here fails the run."""
    from fashion.adapters import versioning

    try:
        versioning.push(project, get_run_logger().info)
    except ServiceError as error:
        get_run_logger().warning("%s", error)
        return Completed(name="NotPushed", message=str(error).splitlines()[0])
    return Completed()


def name_of_run() -> str:
    """What is trained, why and when."""
    train = load_params(load_project().params).train
    return f"{train.model}, seed {train.seed}, {flow_run.parameters['reason']}, {datetime.now():%Y-%m-%d %H:%M:%S}"


@flow(name="training", flow_run_name=name_of_run, retries=0)
def training(
    reason: str = "by hand",  # noqa: ARG001, for the name
    synthetic: bool = False,
    unattended: bool = False,
) -> State[dict[str, Any]]:
    """Fetch, validate, prepare, train, evaluate, export, register; one training at a time.

    Args:
        reason: why this training runs; part of the run's name.
        synthetic: run on a dataset drawn by the project instead of the real one.
        unattended: where a promotion needs a person's word, leave it proposed instead of waiting for an answer.
    """
    try:
        return _outcome(_train(synthetic, unattended))
    except (KeyboardInterrupt, TerminationSignal):
        if deployment.id:
            raise  # The worker that started this run says how it ended.
        return Cancelled(message="Stopped from outside; what was finished is kept")


def _train(synthetic: bool, unattended: bool) -> dict[str, Any]:
    """The steps in their order; what was decided about the new version."""
    _explain_errors()
    project = load_project()
    apply_environment(project)
    params = load_params(project.params)
    _check_tracking(project)
    with training_slot(project, lambda holder: get_run_logger().info("Waiting for another training: %s", holder)):
        fetch(project, params, synthetic)
        _tag(f"model:{params.train.model}", f"data:{_data_version(project)}")
        for stage in PIPELINE:
            try:
                reproduce.with_options(name=stage, task_run_name=stage)(project, stage)
            finally:
                publish(project, stage)
        registration = register(project, params)
        if _has_remote(project):
            push(project)
    if registration["approval"] == "none" or unattended:
        return registration
    return await_approval(project, params, registration)  # Without the slot: a person may think for days.


def await_approval(project: Project, params: Params, registration: Mapping[str, Any]) -> dict[str, Any]:
    """Pause for a person's word on a proposed version; what became of it."""
    name, number = registration["name"], registration["version"]
    _tag(approval_tag(name, number))
    given = ask(registration, params.register_.approval_days)
    return conclude(project, params, number, given)


def _check_tracking(project: Project) -> None:
    """MLflow is needed at the end: find out now whether it is there."""
    from fashion.adapters import tracking

    tracking.check(tracking_uri(project))


def _has_remote(project: Project) -> bool:
    from fashion.adapters import pinning

    return pinning.default_remote(project) is not None


def _data_version(project: Project) -> str:
    from fashion.adapters import versioning

    return versioning.data_version(project)[:8]


def _tag(*tags: str) -> None:
    """Add to the tags that the run has."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(flow_run.id, tags=[*client.read_flow_run(flow_run.id).tags, *tags])


def _outcome(registration: dict[str, Any]) -> State[dict[str, Any]]:
    """A model that is not good enough is a result, not a failure."""
    message = f"Version {registration['version']} is {registration['verdict']}: {registration['reason']}"
    refused = "AwaitsApproval" if registration["approval"] == "awaited" else "NotPromoted"
    name = None if registration["verdict"] == "champion" else refused
    return Completed(name=name, message=message, data=registration)


def _explain_errors() -> None:
    """An error that a user can meet says all there is to say; only a bug needs its traceback in the log."""
    for logger in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(logger).addFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], FashionError):
        record.msg, record.args, record.exc_info = str(record.exc_info[1]), (), None
    return True


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.training", description="Run the whole pipeline once.")
    parser.add_argument("--reason", default="by hand", help="why; part of the run's name")
    parser.add_argument("--synthetic", action="store_true", help="on a dataset drawn by the project")
    arguments = parser.parse_args()
    console = Console(stderr=True, soft_wrap=True)
    try:
        _run(arguments.reason, arguments.synthetic)
    except FashionError as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False)
        sys.exit(1)
    except (KeyboardInterrupt, CancelledRun):
        console.print("Stopped. What is finished is kept: the same command goes on from there.")
        sys.exit(130)


def _run(reason: str, synthetic: bool) -> None:
    project = load_project()
    apply_environment(project)
    load_params(project.params)  # A mistake in there is said before anything starts.
    with prefect_server(project) as temporary:
        if temporary:
            Console().print("No Prefect server answers (make up starts one): this run has one of its own.")
        state = training(reason, synthetic, unattended=temporary, return_state=True)
    print_summary(project, cast("dict[str, Any]", state.result()), Console())


if __name__ == "__main__":
    main()
