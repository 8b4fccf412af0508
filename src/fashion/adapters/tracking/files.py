"""The files of a version: how they are logged, fetched, and kept on this machine."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pydantic import BaseModel

from fashion.adapters.tracking.address import Registry, in_words
from fashion.adapters.tracking.versions import Version
from fashion.errors import ServiceError
from fashion.images.photos import Form
from fashion.params import Classes, ImageSize, PicturesParams
from fashion.paths import CLASSES, KERAS, LITERT
from fashion.reading import load_json, load_yaml
from fashion.storage import atomic_folder, files_below, may_write

CONTRACT, MODEL = Path("extra_files") / CLASSES, Path("extra_files") / LITERT
"""Files of a version without which it cannot answer."""
NOTE = "registered_model_meta"
"""MLflow's own, about the version that was fetched last: `mlflow models serve` leaves it among the files of a version
in a local registry, and who fetches that version gets it in other words."""
LARGEST_CONTRACT_BYTES = 1 << 20
"""Bytes of classes.json, and of MLflow's own description of a model."""


@in_words
def log_folder(registry: Registry, version: Version, folder: Path, name: str) -> None:
    """Put the files of `folder` beside the version's other artifacts, under `name`."""
    MlflowClient(registry.uri).log_artifacts(version.run_id, str(folder), name)


@in_words
def fetch_folder(registry: Registry, version: Version, name: str, folder: Path) -> bool:
    """Bring the files that were logged under `name` into the existing `folder`; False when there is none.

    By the address of the run's artifacts, since MLflow asks three more times for every file of a run: it looks whether
    the run has a model of that name.
    """
    artifacts = MlflowClient(registry.uri).get_run(version.run_id).info.artifact_uri
    source = {"artifact_uri": f"{artifacts}/{name}", "tracking_uri": registry.uri}
    if all(entry.is_dir for entry in mlflow.artifacts.list_artifacts(**source)):
        return False
    # Without a destination MLflow leaves a folder of its own in the system's temporary one.
    with TemporaryDirectory() as place:
        fetched = Path(mlflow.artifacts.download_artifacts(**source, dst_path=place))
        for file in fetched.iterdir():
            if file.is_file():
                shutil.copy(file, folder)
    return True


@in_words
def artifact_page(registry: Registry, version: Version, name: str) -> str:
    """Return MLflow's page of one of the version's artifacts, as it stands behind the address of the server."""
    experiment = MlflowClient(registry.uri).get_run(version.run_id).info.experiment_id
    return f"#/experiments/{experiment}/runs/{version.run_id}/artifacts/{quote(name)}"


@in_words
def find_missing(registry: Registry, version: Version) -> tuple[str, ...]:
    """Return those files of a version that are not there, of those without which it cannot answer."""
    mlflow.set_tracking_uri(registry.uri)
    source = f"models:/{registry.name}/{version.number}/{CONTRACT.parent}"
    found = {entry.path for entry in mlflow.artifacts.list_artifacts(source)}
    return tuple(path for path in (CONTRACT.as_posix(), MODEL.as_posix()) if path not in found)


@in_words
def find_folder(registry: Registry, version: Version) -> str:
    """Return where the files of a version are, or were, as MLflow knows it: a folder here, or an address."""
    found = str(MlflowClient(registry.uri).get_model_version_download_uri(registry.name, version.number))
    return found.removeprefix("file://")


class Contract(BaseModel):
    """classes.json, which travels with a version: what its answers mean, and the images that it takes."""

    classes: Classes
    image_size: ImageSize
    pictures: PicturesParams = PicturesParams()


@dataclass(frozen=True)
class Champion:
    """The champion's files on this machine."""

    version: str
    model: Path
    """The float LiteRT model."""
    keras_model: Path
    classes: tuple[str, ...]
    form: Form
    """Of the images that it takes, and how a picture becomes one."""


@in_words
def keep_version(registry: Registry, version: Version, folder: Path) -> Champion:
    """Bring the files of a version into `folder`/<its identity>, once; what stands there is whole.

    A user who may not write there has them in a temporary folder until this process ends.

    Raises:
        ServiceError: its files are not all there.
    """
    name = version.identity or version.number
    target = folder / name
    if not target.exists() and not may_write(folder):
        target = Path(_own_folder().name, name)
    if not target.exists():
        _download(registry, version, target)
    return open_version(registry, version.number, target)


@cache
def _own_folder() -> TemporaryDirectory[str]:
    """Make a temporary folder, which is gone when this process ends."""
    return TemporaryDirectory(prefix="fashion-")


def open_version(registry: Registry, number: str, kept: Path) -> Champion:
    """Return the files of a version that are in the folder `kept`.

    Raises:
        ServiceError: its description is missing or damaged.
    """
    try:
        contract = Contract.model_validate(load_json(kept / CONTRACT, LARGEST_CONTRACT_BYTES))
    except (OSError, ValueError) as error:
        raise ServiceError(
            f"Version {number} of {registry.name} cannot be loaded: {kept / CONTRACT}: {error}. Remove {kept}, and it "
            "is fetched again"
        ) from error
    return Champion(
        version=number,
        model=kept / MODEL,
        keras_model=kept / "data" / KERAS,
        classes=contract.classes,
        form=Form(contract.image_size, contract.pictures),
    )


def _download(registry: Registry, version: Version, target: Path) -> None:
    # MLflow follows the version to its files through the address that this process set last.
    mlflow.set_tracking_uri(registry.uri)
    source = f"models:/{registry.name}/{version.number}"
    try:
        with atomic_folder(target) as temporary:
            expected = dict(_sizes(source))
            mlflow.artifacts.download_artifacts(source, dst_path=str(temporary))
            _check_whole(temporary, expected)
    except (MlflowException, OSError, ValueError) as error:
        raise ServiceError(
            f"Version {version.number} of {registry.name} cannot be loaded from {registry.uri}: {error}"
        ) from error


def _sizes(source: str, folder: str | None = None) -> Iterator[tuple[str, int]]:
    """Yield the path of every file of a version but MLflow's note, and how many bytes it has."""
    for entry in mlflow.artifacts.list_artifacts(f"{source}/{folder}" if folder else source):
        if entry.is_dir:
            yield from _sizes(source, entry.path)
        elif entry.path != NOTE:
            yield entry.path, entry.file_size


def _check_whole(folder: Path, expected: Mapping[str, int]) -> None:
    """Raises ValueError where a file is missing or cut off: MLflow calls an empty folder a success."""
    found = {file.relative_to(folder).as_posix(): file.stat().st_size for file in files_below(folder)}
    wanted = {CONTRACT.as_posix(), MODEL.as_posix(), *expected, *_extra_files(folder / "MLmodel")}
    wrong = sorted(path for path in wanted if path not in found or found[path] != expected.get(path, found[path]))
    if wrong:
        raise ValueError(f"missing or cut off: {', '.join(wrong)}. Restore the files, then type the same command again")


def _extra_files(description: Path) -> list[str]:
    """Return the files that were put beside the model when it was registered, by MLflow's own description."""
    if not description.is_file():
        return []
    try:
        flavors: Any = load_yaml(description, LARGEST_CONTRACT_BYTES)["flavors"]
        return [str(entry["path"]) for entry in flavors.get("tensorflow", {}).get("extra_files") or []]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{description.name} is damaged: {error}") from error
