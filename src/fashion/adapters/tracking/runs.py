"""Training runs, watched live."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import RunStatus
from mlflow.exceptions import MlflowException

from fashion.adapters.tracking.address import Registry, check, explained, in_words
from fashion.errors import DiskError, ServiceError
from fashion.interruption import uninterrupted

EXPERIMENT = "fashion"

logger = logging.getLogger(__name__)


class LiveRun:
    """A training run that is reported while it goes on.

    Training is worth more than its report: when MLflow goes away, that is logged once and training continues. The
    model is saved by the stage in any case, and `fashion register` brings it into MLflow later.
    """

    def __init__(self, registry: Registry, client: MlflowClient, run_id: str) -> None:
        self._registry = registry
        self._client = client
        self._run_id = run_id
        self._connected = True

    def log_parameters(self, parameters: Mapping[str, object]) -> None:
        for name, value in parameters.items():
            self._send(self._client.log_param, self._run_id, name, value)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            self._send(self._client.log_metric, self._run_id, name, value, step=step)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            self._send(self._client.set_tag, self._run_id, name, value)

    def end(self, status: str) -> None:
        self._call(self._client.set_terminated, self._run_id, status)  # Even if MLflow went away: it may be back.

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
    registry: Registry, name: str, parameters: Mapping[str, object], tags: Mapping[str, str]
) -> Iterator[LiveRun]:
    """A run of MLflow for the duration of a training; it ends FINISHED, or FAILED when the body raises.

    Raises:
        ServiceError: MLflow cannot be reached at the start.
    """
    with uninterrupted():
        run = LiveRun(registry, *_start_run(registry, name, tags))
        run.log_parameters(parameters)
    try:
        yield run
    except BaseException as error:
        run.end(RunStatus.to_string(RunStatus.FAILED if isinstance(error, Exception) else RunStatus.KILLED))
        raise
    run.end(RunStatus.to_string(RunStatus.FINISHED))


@in_words
def find_run(registry: Registry, tag: str, value: str) -> str | None:
    """The newest run that carries the tag, if there is one."""
    client = MlflowClient(registry.uri)
    runs = client.search_runs([_experiment(client, registry)], f"tags.`{tag}` = '{value}'", max_results=1)
    return str(runs[0].info.run_id) if runs else None


@in_words
def recreate_run(registry: Registry, name: str, tags: Mapping[str, str], history: Sequence[Mapping[str, float]]) -> str:
    """A run made after the fact, with the curves of `history` (a row an epoch); its id."""
    client, run_id = _start_run(registry, name, tags)
    for row in history:
        for metric, value in row.items():
            client.log_metric(run_id, metric, value, step=int(row["epoch"]))
    client.set_terminated(run_id)
    return run_id


@in_words
def _start_run(registry: Registry, name: str, tags: Mapping[str, str]) -> tuple[MlflowClient, str]:
    check(registry.uri)
    client = MlflowClient(registry.uri)
    run = client.create_run(_experiment(client, registry), tags=dict(tags), run_name=name)
    return client, run.info.run_id


def _experiment(client: MlflowClient, registry: Registry) -> str:
    if found := client.get_experiment_by_name(EXPERIMENT):
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(EXPERIMENT, artifact_location=registry.artifact_location))
    except MlflowException:
        # Another process was faster.
        if found := client.get_experiment_by_name(EXPERIMENT):
            return str(found.experiment_id)
        raise
