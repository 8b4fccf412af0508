"""The registered versions of a model: how they come into the registry, and how they are found."""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from fashion.adapters.tracking.address import Registry, in_words
from fashion.adapters.tracking.descriptions import TRAINING_PAGES, describe_model, describe_run
from fashion.text import escape_markdown

LONGEST_DESCRIPTION = 5000
"""In characters, as MLflow's tables have it; PostgreSQL refuses more."""
CHAMPION, CHALLENGER = "champion", "challenger"
LONGEST_NUMBER = 18
"""Digits of a version's number: more of them fit into no database."""


@dataclass(frozen=True)
class Version:
    """A registered version of the model."""

    number: str
    run_id: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    created: str
    """UTC, ISO 8601."""
    identity: str | None
    """Tells it from every other version, also from one of the same number in a registry that was made anew; None for
    one that 0.1.0 kept on this machine, by its number."""


@dataclass(frozen=True)
class Package:
    """What becomes a registered version: the Keras model and everything that explains it."""

    model: Any
    example: Any
    """One image as the model takes it, (1, height, width, channels) uint8."""
    beside_model: tuple[Path, ...]
    """Files that travel inside the registered model."""
    artifacts: Mapping[str, tuple[Path, ...]]
    """Files, and folders whose contents are meant, by the folder of the run they go to."""
    metrics: Mapping[str, float]
    requirements: tuple[str, ...]
    description: str
    """Of the model, whatever its version; Markdown."""
    card: str
    """The model card of this version; Markdown."""


@in_words
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
            signature=mlflow.models.infer_signature(package.example, _answer(package)),
            input_example=package.example,
            pip_requirements=list(package.requirements),
            extra_files=[str(path) for path in package.beside_model],
        )
        mlflow.log_metrics(dict(package.metrics), model_id=info.model_id)
    describe_model(client, registry.name, package.description)
    created = client.create_model_version(
        registry.name, info.model_uri, run_id, tags=dict(tags), model_id=info.model_id, description=package.card
    )
    page = f"#/models/{quote(registry.name, safe='')}/versions/{created.version}?{TRAINING_PAGES}"
    describe_run(
        client, run_id, f"[{escape_markdown(registry.name)} version {created.version}]({page}) with its model card."
    )
    return _version(created)


def _answer(package: Package) -> dict[str, Any]:
    """Return what the model says about the example, uncompiled: `predict` would compile it for this one image."""
    return {name: answer.numpy() for name, answer in package.model(package.example, training=False).items()}


@in_words
def find_version(registry: Registry, tag: str, value: str) -> Version | None:
    """Return the newest version that carries the tag, if there is one."""
    client = MlflowClient(registry.uri)
    found = client.search_model_versions(f"name = '{registry.name}' and tags.`{tag}` = '{value}'")
    newest = max(found, key=lambda version: int(version.version), default=None)
    # A search answers without the aliases.
    return _version(client.get_model_version(registry.name, newest.version)) if newest else None


@in_words
def version_with_alias(registry: Registry, alias: str) -> Version | None:
    """Return the version the alias points to; none when the model or the alias is not there."""
    return _look_up(lambda: MlflowClient(registry.uri).get_model_version_by_alias(registry.name, alias))


@in_words
def get_version(registry: Registry, number: str) -> Version | None:
    """Return the version of that number; none when it is not there."""
    if len(number) > LONGEST_NUMBER:
        return None
    return _look_up(lambda: MlflowClient(registry.uri).get_model_version(registry.name, number))


def _look_up(ask: Callable[[], ModelVersion]) -> Version | None:
    try:
        return _version(ask())
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


@in_words
def list_versions(registry: Registry) -> tuple[Version, ...]:
    """Return every version, the newest first, without its aliases."""
    return tuple(sorted(_pages(registry), key=lambda version: -int(version.number)))


def _pages(registry: Registry) -> Iterator[Version]:
    client = MlflowClient(registry.uri)
    token = None
    while True:
        page = client.search_model_versions(f"name = '{registry.name}'", max_results=1000, page_token=token)
        yield from map(_version, page)
        token = page.token
        if not token:
            return


@in_words
def tag_version(registry: Registry, version: Version, tags: Mapping[str, str]) -> Version:
    """Write the tags one after the other, in their order, and return the version as it is then."""
    client = MlflowClient(registry.uri)
    for name, value in tags.items():
        client.set_model_version_tag(registry.name, version.number, name, value)
    return _version(client.get_model_version(registry.name, version.number))


@in_words
def describe_version(registry: Registry, number: str, card: str, description: str) -> bool:
    """Describe a version by its card, and its model, unless somebody did; return whether the version lacked it."""
    client = MlflowClient(registry.uri)
    describe_model(client, registry.name, description)
    if client.get_model_version(registry.name, number).description:
        return False
    client.update_model_version(registry.name, number, card)
    return True


def _version(found: ModelVersion) -> Version:
    created = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC).isoformat(timespec="seconds")
    origin = f"{found.run_id}\n{found.source}\n{found.creation_timestamp}"
    return Version(
        number=str(found.version),
        run_id=str(found.run_id),
        tags=dict(found.tags),
        aliases=tuple(found.aliases),
        created=created,
        identity=f"{found.version}-{sha256(origin.encode()).hexdigest()[:16]}",
    )
