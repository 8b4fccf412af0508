"""What every run that trains is made of: tasks, their order, and how such a run begins and ends.

The steps that make files are DVC's: each is a task that brings one stage of dvc.yaml up to date.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prefect import Task, get_client, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.exceptions import TerminationSignal
from prefect.logging import get_run_logger
from prefect.runtime import deployment, flow_run
from prefect.states import Cancelled, Completed

from fashion.adapters.orchestration import approval_tag
from fashion.environment import apply_environment
from fashion.errors import FashionError, ServiceError
from fashion.locks import one_at_a_time
from fashion.params import Params, load_params
from fashion.paths import Project
from fashion.settings import load_project
from flows.announcement import announce
from flows.approval import Approval, ask
from flows.artifacts import conclusion, publish, publish_judgement
from flows.links import link_training
from flows.pages import explore, report
from flows.services.slot import training_slot

if TYPE_CHECKING:
    from fashion.registry.register import Registration

PIPELINE = ("validate", "prepare", "train", "evaluate", "export")
"""The stages of dvc.yaml, one task each."""
RETRY_SECONDS = [10.0, 60.0]


def service_is_away(_: Task[..., Any], __: TaskRun, state: State[Any]) -> bool:
    """Return whether a retry can help: a service may come back, wrong data or a damaged file stays what it is."""
    return isinstance(state.result(raise_on_failure=False), ServiceError)


RETRIED: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "retries": 2,
    "retry_delay_seconds": RETRY_SECONDS,
    "retry_condition_fn": service_is_away,
}
"""Options of a task that asks a service."""


@task(name="fetch", task_run_name="fetch", **RETRIED)
def fetch(project: Project, params: Params, synthetic: bool) -> State[None]:
    """Bring the data into data/, or draw it; data that is there already stays. Those of another clone may be needed."""
    from fashion.loop.clones import check_data
    from fashion.stages import fetch as stage
    from fashion.stages.restoring import is_synthetic

    if synthetic and is_synthetic(project):
        check_data(project, params)
        return Completed(name="UpToDate", message="The drawn dataset is there already")
    fetched = stage.draw_data(project, params, stage.Drawing()) if synthetic else stage.fetch(project, params)
    check_data(project, params)
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


@task(name="register", task_run_name="register", **RETRIED)
def register(project: Project, params: Params) -> "Registration":
    """Bring the model into the registry and decide whether it becomes the champion."""
    from fashion.registry.register import register as stage

    with one_at_a_time(project, "register"):
        registration = stage(project, params, flow_run=flow_run.name)
    publish_judgement(registration)
    link_training(project, params, registration)
    return registration


@task(name="conclude", task_run_name="conclude", **RETRIED)
def conclude(project: Project, params: Params, number: str, given: Approval | None) -> "Registration":
    """Do what a person answered about the new version; none if nobody did."""
    from fashion.registry.approval import Answer
    from fashion.registry.approval import conclude as stage

    answer = Answer(given.decision == "approve", given.who, given.via, given.reason) if given else None
    registration = stage(project, params, number, answer, flow_run=flow_run.name)
    publish_judgement(registration)
    return registration


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


def dated(words: str) -> str:
    """Return the name of a run that begins now."""
    return f"{words}, {datetime.now():%Y-%m-%d %H:%M:%S}"


def open_project() -> tuple[Project, Params]:
    """Load what every run begins with."""
    _explain_errors()
    project = load_project()
    apply_environment(project)
    return project, load_params(project.params)


def unless_stopped(run: Callable[[], State[Any]]) -> State[Any]:
    """Return what `run` returns; for a run without a deployment that is stopped from outside, the state `Cancelled`."""
    try:
        return run()
    except (KeyboardInterrupt, TerminationSignal):
        if deployment.id:
            raise  # The worker that started this run says how it ended.
        return Cancelled(message="Stopped from outside; what was finished is kept")


@contextmanager
def training_turn(project: Project) -> Iterator[Params]:
    """Hold the training slot in the block; yield params.yaml as it is then.

    Somebody may have edited it while this run waited, and DVC reads it anew for each stage.
    """
    with training_slot(project, _say_for_whom):
        yield load_params(project.params)


def run_pipeline(project: Project, params: Params) -> "Registration":
    """Go from the data that are there to a judged version, within the training slot."""
    from fashion.adapters import versioning

    _tag(f"recipe:{params.train.recipe}", f"data:{versioning.data_version(project)[:8]}")
    for stage in PIPELINE:
        try:
            reproduce.with_options(name=stage, task_run_name=stage)(project, stage)
        finally:
            publish(project, stage)
        if stage == "prepare":  # The page compares its splits, and shows what `validate` found.
            explore(project, params, return_state=True)  # No model depends on it.
    registration = register(project, params)
    report(project, params, registration.version, return_state=True)  # Not even a bug in it costs the model.
    if _has_remote(project):
        push(project)
    return registration


def conclude_run(project: Project, params: Params, registration: "Registration", unattended: bool) -> State[Any]:
    """End the run, after a person's answer where one is needed. Without the slot: a person may think for days."""
    if registration.approval == "awaited" and not unattended:
        _tag(approval_tag(registration.name, registration.version))
        given = ask(registration, params.register_.approval_days)
        registration = conclude(project, params, registration.version, given)
    return _outcome(registration)


def check_tracking(project: Project, params: Params) -> None:
    """Find out now whether MLflow is there and takes files, which is needed at the end."""
    from fashion.adapters import tracking
    from fashion.adapters.tracking.address import registry_of

    tracking.check_place(registry_of(project, params))


def _say_for_whom(holder: str) -> None:
    """Log for whom a run waits before it gets the training slot."""
    get_run_logger().info("Waiting for the training slot: %s", holder)


def _has_remote(project: Project) -> bool:
    from fashion.adapters.versioning import pinning

    return pinning.default_remote(project) is not None


def _tag(*tags: str) -> None:
    """Add to the tags that the run has."""
    with get_client(sync_client=True) as client:
        client.update_flow_run(flow_run.id, tags=[*client.read_flow_run(flow_run.id).tags, *tags])


def _outcome(registration: "Registration") -> "State[Registration]":
    """End the run; a model that is not good enough is a result, not a failure, even if there is no champion then."""
    said = conclusion(registration)
    message = f"{said[:1].upper()}{said[1:]}"
    if registration.absence:
        message = f"{message}.\n\n{registration.absence}"
    if registration.created or registration.approval == "answered":
        announce(f"{registration.name}: version {registration.version}", message)
    return Completed(name=_name(registration), message=message, data=registration)


def _name(registration: "Registration") -> str | None:
    """Return the name of the final state; where nothing is left to be done, Prefect's own."""
    if registration.approval == "awaited":
        return "AwaitsApproval"
    if registration.absence:
        return "NoChampion"
    return None if registration.verdict == "champion" else "NotPromoted"


def _explain_errors() -> None:
    """Log errors that a user can meet without a traceback; only a bug needs one."""
    for logger in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(logger).addFilter(_without_traceback)


def _without_traceback(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], FashionError):
        record.explained = record.exc_info[1]
        record.msg, record.args, record.exc_info = str(record.exc_info[1]), (), None
    return True
