"""Flow `training`: from raw data to a judged, registered model. By hand: python -m flows.training."""

import argparse
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from fashion.encoding import degrade_output
from fashion.environment import apply_environment
from fashion.errors import FashionError
from fashion.settings import load_project

if __name__ == "__main__":  # Prefect looks at the environment when it is imported, and may print a notice.
    with suppress(FashionError):  # Said by main.
        apply_environment(load_project())

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.exceptions import CancelledRun
from prefect.runtime import flow_run

from fashion.adapters.git import check_repository
from fashion.cli.terminal import errors, tell
from fashion.doctor.checks import QUICK
from fashion.doctor.finding import PROBLEM
from fashion.params import load_params
from fashion.paths import Project
from flows.announcement import announce_failure
from flows.artifacts import print_summary
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
from flows.progress import forecast, shown
from flows.services.server import prefect_server

if TYPE_CHECKING:
    from fashion.registry.register import Registration


def name_of_run() -> str:
    """Return what is trained, why and when."""
    try:
        train = load_params(load_project().params).train
        what = f"{train.recipe}, seed {train.seed}"
    except FashionError:  # Said by the run: an error here would be a crash of Prefect's, without its words.
        what = "training"
    return dated(f"{what}, {flow_run.parameters['reason']}")


@flow(name="training", flow_run_name=name_of_run, on_failure=[announce_failure], on_crashed=[announce_failure])
def training(
    reason: str = "by hand",  # noqa: ARG001, for the name
    synthetic: bool = False,
    unattended: bool = False,
) -> "State[Registration]":
    """Fetch, validate, prepare, train, evaluate, export, register; one training at a time.

    Args:
        reason: why this training runs; part of the run's name.
        synthetic: run on a dataset drawn by the project instead of the real one.
        unattended: where a promotion needs a person's word, leave it proposed instead of waiting for an answer.
    """
    return unless_stopped(lambda: _train(synthetic, unattended))


def _train(synthetic: bool, unattended: bool) -> "State[Registration]":
    project, params = open_project()
    check_tracking(project, params)
    with training_turn(project) as params:
        fetch(project, params, synthetic)
        registration = run_pipeline(project, params)
    return conclude_run(project, params, registration, unattended)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.training", description="Run the whole pipeline once.")
    parser.add_argument("--reason", default="by hand", help="why; part of the run's name")
    parser.add_argument("--synthetic", action="store_true", help="on a dataset drawn by the project")
    arguments = parser.parse_args()
    degrade_output()
    try:
        _run(arguments.reason, arguments.synthetic)
    except FashionError as error:
        tell(error)
        sys.exit(1)
    except (KeyboardInterrupt, CancelledRun):
        errors.print("Stopped. What is finished is kept: the same command goes on from there.")
        sys.exit(130)


def _run(reason: str, synthetic: bool) -> None:
    project = load_project()
    apply_environment(project)
    # What is wrong here is said before anything starts.
    params = load_params(project.params)
    check_repository(project)
    _tell_problems(project)
    if expected := forecast(project, params):
        errors.print(expected)
    with shown(errors), prefect_server(project) as temporary:
        if temporary:
            errors.print("No Prefect server answers (make up starts one): this run has one of its own.")
        state = training(reason, synthetic, unattended=temporary, return_state=True)
    print_summary(project, cast("Registration", state.result()))


def _tell_problems(project: Project) -> None:
    """Say beforehand what is likely to stop the run; what stops it for certain says so itself."""
    for finding in (check(project) for check in QUICK):
        if finding.verdict == PROBLEM:
            errors.print(f"{finding}\n  See what else there is with: fashion doctor", style="yellow")


if __name__ == "__main__":
    main()
