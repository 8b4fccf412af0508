"""MLflow: runs that are watched live, and the registry of models with its aliases."""

import io
import json
import logging
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.entities import RunStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from fashion.errors import ServiceError
from fashion.storage import atomic_folder

EXPERIMENT = "fashion"
CHAMPION, CHALLENGER = "champion", "challenger"
SQLITE = "sqlite:///"
PATIENCE = 5.0
"""Seconds for a tracking server to say that it is well."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Registry:
    """Where runs and models are kept: MLflow's address, the folder for artifacts of a local store, the model's name."""

    uri: str
    artifacts: Path
    name: str


@dataclass(frozen=True)
class Version:
    """A registered version of the model."""

    number: str
    run_id: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]


def check(uri: str) -> None:
    """Find out in seconds whether MLflow can be used, before anything expensive starts.

    Raises:
        ServiceError: nothing answers at the address, or the database file is not one.
    """
    if uri.startswith(SQLITE):
        _check_database(Path(uri.removeprefix(SQLITE)))
    elif uri.startswith(("http://", "https://")):
        _check_server(uri)


def _check_database(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(path, timeout=PATIENCE) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except (sqlite3.Error, OSError) as error:
        raise ServiceError(
            f"MLflow's database {path} cannot be used ({error}). Free it, restore it from a backup, or set "
            "MLFLOW_TRACKING_URI to another address."
        ) from error


def _check_server(uri: str) -> None:
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=PATIENCE)
    except requests.RequestException as error:
        raise ServiceError(
            f"No MLflow server answers at {uri} ({type(error).__name__}). Start it (make up), correct "
            "MLFLOW_TRACKING_URI, or unset it to use the local database."
        ) from error
    if answer.status_code != requests.codes.ok:
        raise ServiceError(f"{uri}/health answered {answer.status_code}; expected a healthy MLflow server there.")


class LiveRun:
    """A training run that is reported while it goes on.

    Training is worth more than its report: when MLflow goes away, that is logged once and training continues. The
    model is saved by the stage in any case, and `fashion register` brings it into MLflow later.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._connected = True

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            self._send(self._client.log_metric, self._run_id, name, value, step=step)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            self._send(self._client.set_tag, self._run_id, name, value)

    def end(self, status: str) -> None:
        self._send(self._client.set_terminated, self._run_id, status)

    def _send(self, call: Any, *arguments: Any, **options: Any) -> None:
        if not self._connected:
            return
        try:
            call(*arguments, **options)
        except (MlflowException, requests.RequestException) as error:
            self._connected = False
            logger.warning("MLflow went away (%s): training goes on without its live curves", error)


@contextmanager
def live_run(
    registry: Registry, name: str, parameters: Mapping[str, object], tags: Mapping[str, str]
) -> Iterator[LiveRun]:
    """A run of MLflow for the duration of a training; it ends FINISHED, or FAILED when the body raises.

    Raises:
        ServiceError: MLflow cannot be reached at the start.
    """
    client, run_id = _start_run(registry, name, tags)
    for key, value in parameters.items():
        client.log_param(run_id, key, value)
    run = LiveRun(client, run_id)
    try:
        yield run
    except BaseException as error:
        run.end(RunStatus.to_string(RunStatus.FAILED if isinstance(error, Exception) else RunStatus.KILLED))
        raise
    run.end(RunStatus.to_string(RunStatus.FINISHED))


def find_run(registry: Registry, tag: str, value: str) -> str | None:
    """The newest run that carries the tag, if there is one."""
    client = MlflowClient(registry.uri)
    runs = client.search_runs([_experiment(client, registry)], f"tags.`{tag}` = '{value}'", max_results=1)
    return str(runs[0].info.run_id) if runs else None


def recreate_run(registry: Registry, name: str, tags: Mapping[str, str], history: Sequence[Mapping[str, float]]) -> str:
    """A run made after the fact, with the curves of `history` (a row an epoch); its id."""
    client, run_id = _start_run(registry, name, tags)
    for row in history:
        for metric, value in row.items():
            client.log_metric(run_id, metric, value, step=int(row["epoch"]))
    client.set_terminated(run_id)
    return run_id


def _start_run(registry: Registry, name: str, tags: Mapping[str, str]) -> tuple[MlflowClient, str]:
    check(registry.uri)
    try:
        client = MlflowClient(registry.uri)
        run = client.create_run(_experiment(client, registry), tags=dict(tags), run_name=name)
    except MlflowException as error:
        raise ServiceError(f"MLflow at {registry.uri} refused a new run: {error}") from error
    return client, run.info.run_id


def _experiment(client: MlflowClient, registry: Registry) -> str:
    if found := client.get_experiment_by_name(EXPERIMENT):
        return str(found.experiment_id)
    # A server has its own artifact store; without one, MLflow would write to mlruns/ in the working directory.
    location = registry.artifacts.as_uri() if registry.uri.startswith(SQLITE) else None
    try:
        return str(client.create_experiment(EXPERIMENT, artifact_location=location))
    except MlflowException:
        # Another process was faster.
        if found := client.get_experiment_by_name(EXPERIMENT):
            return str(found.experiment_id)
        raise


@dataclass(frozen=True)
class Package:
    """What becomes a registered version: the Keras model and everything that explains it."""

    model: Any
    example: Any
    """One image as the model takes it, (1, height, width) uint8."""
    beside_model: tuple[Path, ...]
    """Files that travel inside the registered model."""
    artifacts: Mapping[str, tuple[Path, ...]]
    """Files, and folders whose contents are meant, by the folder of the run they go to."""
    metrics: Mapping[str, float]
    requirements: tuple[str, ...]


def log_version(registry: Registry, run_id: str, package: Package, tags: Mapping[str, str]) -> Version:
    """Bring a model into the registry. The version comes last: there is none before all of its files are there."""
    mlflow.set_tracking_uri(registry.uri)
    client = MlflowClient(registry.uri)
    for folder, paths in package.artifacts.items():
        for path in paths:
            log = client.log_artifacts if path.is_dir() else client.log_artifact
            log(run_id, str(path), folder)
    # Keras draws a progress bar for each of MLflow's trials of the example.
    with mlflow.start_run(run_id=run_id), redirect_stdout(io.StringIO()):
        info = mlflow.tensorflow.log_model(
            package.model,
            name="model",
            signature=mlflow.models.infer_signature(package.example, package.model.predict(package.example, verbose=0)),
            input_example=package.example,
            pip_requirements=list(package.requirements),
            extra_files=[str(path) for path in package.beside_model],
        )
        mlflow.log_metrics(dict(package.metrics), model_id=info.model_id)
    _ensure_registered_model(client, registry.name)
    created = client.create_model_version(
        registry.name, info.model_uri, run_id, tags=dict(tags), model_id=info.model_id
    )
    return _version(created)


def find_version(registry: Registry, tag: str, value: str) -> Version | None:
    """The newest version that carries the tag, if there is one."""
    client = MlflowClient(registry.uri)
    found = client.search_model_versions(f"name = '{registry.name}' and tags.`{tag}` = '{value}'")
    newest = max(found, key=lambda version: int(version.version), default=None)
    # A search answers without the aliases.
    return _version(client.get_model_version(registry.name, newest.version)) if newest else None


def version_with_alias(registry: Registry, alias: str) -> Version | None:
    """The version the alias points to; none when the model or the alias is not there."""
    try:
        return _version(MlflowClient(registry.uri).get_model_version_by_alias(registry.name, alias))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def set_alias(registry: Registry, alias: str, version: Version) -> None:
    MlflowClient(registry.uri).set_registered_model_alias(registry.name, alias, version.number)


def remove_alias(registry: Registry, alias: str) -> None:
    MlflowClient(registry.uri).delete_registered_model_alias(registry.name, alias)


def tag_version(registry: Registry, version: Version, tags: Mapping[str, str]) -> Version:
    """The version as it is after the tags were written, one after the other in their order."""
    client = MlflowClient(registry.uri)
    for name, value in tags.items():
        client.set_model_version_tag(registry.name, version.number, name, value)
    return _version(client.get_model_version(registry.name, version.number))


def log_folder(registry: Registry, version: Version, folder: Path, name: str) -> None:
    """Put the files of `folder` beside the version's other artifacts, under `name`."""
    MlflowClient(registry.uri).log_artifacts(version.run_id, str(folder), name)


def fetch_folder(registry: Registry, version: Version, name: str, folder: Path) -> bool:
    """Bring what `log_folder` has put under `name` into the existing `folder`; False when there is nothing."""
    client = MlflowClient(registry.uri)
    files = client.list_artifacts(version.run_id, name)
    for file in files:
        downloaded = client.download_artifacts(version.run_id, file.path)
        shutil.copy(downloaded, folder)
    return bool(files)


@dataclass(frozen=True)
class Champion:
    """The champion's files on this machine."""

    version: str
    model: Path
    """The float LiteRT model."""
    classes: tuple[str, ...]
    image_size: tuple[int, int]


def download_champion(uri: str, name: str, folder: Path) -> Champion:
    """Bring the champion's files into `folder`/<version>, once.

    Raises:
        ServiceError: MLflow is away, there is no champion, or its files are not all there.
    """
    check(uri)
    version = version_with_alias(Registry(uri, folder, name), CHAMPION)
    if version is None:
        raise ServiceError(f"{name} has no champion in {uri}. Train and register one with: make run")
    return download_version(uri, name, version.number, folder)


def download_version(uri: str, name: str, number: str, folder: Path) -> Champion:
    """Bring the files of one version into `folder`/<version>, once.

    Raises:
        ServiceError: its files are not all there.
    """
    target = folder / number
    try:
        if not target.exists():
            with atomic_folder(target) as temporary:
                mlflow.artifacts.download_artifacts(
                    f"models:/{name}/{number}", dst_path=str(temporary), tracking_uri=uri
                )
        contract = json.loads((target / "extra_files" / "classes.json").read_text(encoding="utf-8"))
    except (MlflowException, OSError, ValueError) as error:
        raise ServiceError(f"Version {number} of {name} cannot be loaded from {uri}: {error}") from error
    height, width = contract["image_size"]
    return Champion(
        version=number,
        model=target / "extra_files" / "model.tflite",
        classes=tuple(contract["classes"]),
        image_size=(height, width),
    )


def _ensure_registered_model(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _version(found: ModelVersion) -> Version:
    return Version(str(found.version), str(found.run_id), dict(found.tags), tuple(found.aliases))
