"""Training runs, watched live."""

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, Metric, RunStatus
from mlflow.exceptions import MlflowException

from fashion.adapters.tracking.address import Registry, check, explained, in_words
from fashion.adapters.tracking.descriptions import describe_experiment
from fashion.adapters.tracking.place import check_experiment
from fashion.errors import DiskError, LineageError, ServiceError
from fashion.interruption import uninterrupted

PARENT = "mlflow.parentRunId"
"""The tag by which MLflow shows one run below another."""
CURVES = "epochs/"
"""What the names of curves begin with: MLflow shows groups of metrics by the alphabet, those without a group last."""

logger = logging.getLogger(__name__)


def run_name(recipe: str, seed: int) -> str:
    """Return the name of the run in which a model is trained."""
    return f"{recipe}, seed {seed}"


class LiveRun:
    """A training run that is reported while it goes on.

    Training is worth more than its report: when MLflow goes away, that is logged once and training continues. The
    model is saved by the stage in any case, and `fashion register` brings it into MLflow later.
    """

    def __init__(self, registry: Registry, run_id: str) -> None:
        self._registry = registry
        self._client = MlflowClient(registry.uri)
        self.run_id = run_id
        self._connected = True

    def log_parameters(self, parameters: Mapping[str, object]) -> None:
        for name, value in parameters.items():
            self._send(self._client.log_param, self.run_id, name, value)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log a point of each curve, or none."""
        now = time.time_ns() // 1_000_000
        entities = [Metric(f"{CURVES}{name}", value, now, step) for name, value in metrics.items()]
        self._send(self._client.log_batch, self.run_id, metrics=entities)

    def log_missing(self, name: str, history: Mapping[int, Mapping[str, float]]) -> None:
        """Log the metrics of those steps that the curve `name` of this run lacks."""
        known: set[int] = set()
        self._send(
            lambda: known.update(
                point.step for point in self._client.get_metric_history(self.run_id, f"{CURVES}{name}")
            )
        )
        for step in sorted(history.keys() - known):
            self.log_metrics(history[step], step)

    def log_figures(self, figures: Mapping[str, float]) -> None:
        """Log figures of the whole run."""
        entities = [Metric(name, value, time.time_ns() // 1_000_000, 0) for name, value in figures.items()]
        self._send(self._client.log_batch, self.run_id, metrics=entities)

    def log_folder(self, folder: Path) -> None:
        """Put the files of a folder among the run's artifacts."""
        self._send(self._client.log_artifacts, self.run_id, str(folder))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            self._send(self._client.set_tag, self.run_id, name, value)

    def end(self, status: str) -> None:
        self._call(self._client.set_terminated, self.run_id, status)  # Even if MLflow went away: it may be back.

    def _send(self, call: Any, *arguments: Any, **options: Any) -> None:
        if self._connected:
            self._call(call, *arguments, **options)

    def _call(self, call: Any, *arguments: Any, **options: Any) -> None:
        try:
            with uninterrupted(), explained(self._registry):
                call(*arguments, **options)
        except (ServiceError, DiskError) as error:
            if self._connected:
                logger.warning("Training goes on without its live curves. %s", str(error).splitlines()[0])
            self._connected = False


@contextmanager
def live_run(
    registry: Registry,
    name: str,
    parameters: Mapping[str, object],
    tags: Mapping[str, str],
    stopped: str | None = None,
) -> Iterator[LiveRun]:
    """Keep an MLflow run for the duration of a training; it ends FINISHED, FAILED when the body raises, or KILLED.

    Args:
        stopped: the id of the run in which this training began; it goes on, if MLflow still has it.

    Raises:
        ServiceError: MLflow cannot be reached at the start.
    """
    with uninterrupted():
        if stopped and _continue_run(registry, stopped):
            run = LiveRun(registry, stopped)
        else:
            run = LiveRun(registry, _start_run(registry, name, tags))
            run.log_parameters(parameters)
    try:
        yield run
    except BaseException as error:
        run.end(RunStatus.to_string(RunStatus.FAILED if isinstance(error, Exception) else RunStatus.KILLED))
        raise
    run.end(RunStatus.to_string(RunStatus.FINISHED))


@in_words
def find_run(registry: Registry, tag: str, value: str) -> str | None:
    """Return the newest run that carries the tag, if there is one."""
    client = MlflowClient(registry.uri)
    runs = client.search_runs([_experiment(client, registry)], f"tags.`{tag}` = '{value}'", max_results=1)
    return str(runs[0].info.run_id) if runs else None


@dataclass(frozen=True)
class ReadRun:
    """A run as MLflow has it."""

    name: str
    parameters: Mapping[str, str]
    figures: Mapping[str, str]
    """Those of the whole run, as text."""
    curves: Mapping[str, Mapping[int, float]]
    """By name and epoch."""


def is_run_id(text: str) -> bool:
    """Return whether a text has the form of a run's id, which no version's number has."""
    return bool(re.fullmatch(r"[0-9a-f]{32}", text))


@in_words
def read_run(registry: Registry, run_id: str) -> ReadRun:
    """Return what MLflow has of a run.

    Raises:
        LineageError: there is no such run.
    """
    client = MlflowClient(registry.uri)
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise LineageError(f"MLflow has no run {run_id}; its pages show which there are") from error
        raise
    curves = {
        name.removeprefix(CURVES): {point.step: point.value for point in client.get_metric_history(run_id, name)}
        for name in run.data.metrics
        if name.startswith(CURVES)
    }
    figures = {name: f"{value:.4g}" for name, value in run.data.metrics.items() if not name.startswith(CURVES)}
    return ReadRun(str(run.info.run_name), dict(run.data.params), figures, curves)


@in_words
def end_below(registry: Registry, parent: str) -> None:
    """End the runs below another one whose process is gone."""
    client = MlflowClient(registry.uri)
    running = f"tags.`{PARENT}` = '{parent}' and attributes.status = 'RUNNING'"
    for run in client.search_runs([_experiment(client, registry)], running):
        client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.KILLED))


@in_words
def recreate_run(registry: Registry, name: str, tags: Mapping[str, str], history: Sequence[Mapping[str, float]]) -> str:
    """Make a run after the fact, with the curves of `history` (a row for each epoch); return its id."""
    run_id = _start_run(registry, name, tags)
    client = MlflowClient(registry.uri)
    for row in history:
        for metric, value in row.items():
            if metric != "epoch":
                client.log_metric(run_id, f"{CURVES}{metric}", value, step=int(row["epoch"]))
    client.set_terminated(run_id)
    return run_id


@in_words
def _start_run(registry: Registry, name: str, tags: Mapping[str, str]) -> str:
    check(registry.uri)
    client = MlflowClient(registry.uri)
    run = client.create_run(_experiment(client, registry), tags=dict(tags), run_name=name)
    return str(run.info.run_id)


@in_words
def _continue_run(registry: Registry, run_id: str) -> bool:
    """Mark the run as running again; return False if there is no such run here any more."""
    check(registry.uri)
    client = MlflowClient(registry.uri)
    try:
        if client.get_run(run_id).info.lifecycle_stage == LifecycleStage.DELETED:
            return False
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    client.update_run(run_id, RunStatus.to_string(RunStatus.RUNNING))
    return True


def _experiment(client: MlflowClient, registry: Registry) -> str:
    found = client.get_experiment_by_name(registry.experiment) or _make_experiment(client, registry)
    check_experiment(registry, found)
    describe_experiment(client, found)
    return str(found.experiment_id)


def _make_experiment(client: MlflowClient, registry: Registry) -> Experiment:
    try:
        made = client.create_experiment(registry.experiment, artifact_location=registry.artifact_location)
        return client.get_experiment(made)
    except MlflowException:
        # Another process was faster.
        if found := client.get_experiment_by_name(registry.experiment):
            return found
        raise
