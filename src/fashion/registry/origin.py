"""What is recorded about a version when it is registered: all that it takes to make it again."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from fashion.adapters import tracking, versioning
from fashion.adapters.git import Source
from fashion.adapters.machine import Machine
from fashion.errors import ArtifactError
from fashion.params import Params
from fashion.paths import (
    CLASSES,
    DVC_LOCK,
    DVC_YAML,
    GATE,
    MACHINE,
    METRICS,
    PARAMS,
    REPORT,
    REQUIREMENTS,
    TRAINING,
    Project,
)
from fashion.reading import LARGEST_ARTIFACT_BYTES, load_json, read_json, translate_damage
from fashion.stages.dataset import read_prepared
from fashion.stages.raw import digests
from fashion.storage import file_digest, folder_digest, write_json, write_text

LINEAGE, PATCH = "lineage.json", "changes.patch"
WORDS = (PARAMS, DVC_YAML, DVC_LOCK, REQUIREMENTS)
AGAIN = "Make them again with: dvc repro"


@dataclass(frozen=True)
class Code:
    """As `Source`, without the patch."""

    commit: str | None
    folder: str
    dirty: bool | None
    changed: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Data:
    """What the model has learned from and was tested on."""

    version: str
    """The digest in data.dvc."""
    synthetic: bool
    files: Mapping[str, str]
    """SHA-256 of each raw file."""


@dataclass(frozen=True)
class Validation:
    """How many images were fit to learn from, according to which suites."""

    images: int
    quarantined: int
    expectations_sha256: str


@dataclass(frozen=True)
class Split:
    """How the images were divided."""

    images: Mapping[str, int]
    validation_fraction: float
    seed: int


@dataclass(frozen=True)
class Origin:
    """The chain from the data to the gates."""

    code: Code
    requirements_sha256: str | None
    data: Data
    validation: Validation
    split: Split
    training: Mapping[str, Any]
    """The content of training.json."""
    machine: Machine
    model_sha256: str
    metrics: Mapping[str, int | float]
    """The figures that are one number each."""
    gates: tuple[Mapping[str, Any], ...]
    """As `Check`; versions of earlier code have values without intervals."""
    pipeline: Mapping[str, versioning.LockedStage]
    """The content of dvc.lock."""

    @property
    def recipe(self) -> str:
        return self._name("recipe")

    @property
    def network(self) -> str:
        return self._name("network")

    def _name(self, what: str) -> str:
        # Release 0.1 names the model alone, which was the name of its recipe, too.
        return str(self.training.get(what, self.training.get("model", "not recorded")))


def find_data(project: Project, params: Params) -> versioning.Pin:
    """Return the version of data/ that the model has learned from, whatever data/ and data.dvc contain by now.

    dvc.lock records it for the stage that made the dataset. If that was made without DVC, by stages run by hand, it is
    what data.dvc pins, if that is still what they read.

    Raises:
        ArtifactError: the artifacts belong to several versions of the data, or it is not known to which.
        DataError: data.dvc or dvc.lock is missing or damaged.
    """
    report = read_json(project.validation / REPORT, "dvc repro validate")
    dataset = read_prepared(project)
    training = read_json(project.model / TRAINING, "dvc repro train")
    if report["files"] != dataset["files"]:
        raise ArtifactError(f"data/ changed between the stages validate and prepare. {AGAIN}")
    # Models of earlier code do not say what they were trained on.
    if training.get("dataset_sha256") not in (None, folder_digest(project.dataset)):
        raise ArtifactError(f"{project.model} was trained on a different dataset from {project.dataset}. {AGAIN}")
    pin = versioning.locked_pin(project, "prepare", project.dataset)
    if pin is None and _is_unchanged(project, params, dataset["files"]):
        pin = versioning.read_pin(project)
    if pin is None:
        raise ArtifactError(
            f"{project.dataset} was not made by DVC, and data/ has changed since: it is not known which data it was "
            f"made from. {AGAIN}"
        )
    return pin


def read_contract(project: Project, params: Params) -> tracking.Contract:
    """Read what the artifacts' answers mean, and the images that they take.

    Raises:
        ArtifactError: that is missing or damaged, or params.yaml has other classes or images by now.
    """
    path = project.export / CLASSES
    with translate_damage(path, "make it with: dvc repro export"):
        contract = tracking.Contract.model_validate(load_json(path, LARGEST_ARTIFACT_BYTES))
    data = params.data
    if contract != tracking.Contract(classes=data.classes, image_size=data.image_size, pictures=data.pictures):
        raise ArtifactError(f"{path} is about other classes or images than params.yaml. {AGAIN}")
    return contract


def _is_unchanged(project: Project, params: Params, files: dict[str, str]) -> bool:
    """Return whether data/ is what data.dvc pins, and holds these files."""
    try:
        is_pinned = versioning.folder_md5(project.data) == versioning.data_version(project)
        return is_pinned and digests(project, params.data) == files
    except FileNotFoundError:
        return False


def write_origin(project: Project, source: Source, data: versioning.Pin, folder: Path) -> Origin:
    """Write everything needed to make the artifacts again, except the data and the commit, into `folder`.

    Args:
        data: what the model has learned from: what its data.dvc pins, whatever the project's pins by now.

    Raises:
        ArtifactError, DataError: as `describe_origin`.
    """
    origin = describe_origin(project, source, data)
    for name in WORDS:
        if (project.root / name).exists():
            shutil.copyfile(project.root / name, folder / name)
    write_text(folder / versioning.PIN, data.to_yaml())
    shutil.copytree(project.expectations, folder / "expectations")
    (folder / PATCH).write_bytes(source.patch)
    write_json(folder / LINEAGE, asdict(origin))
    return origin


def read_origin(folder: Path) -> Origin:
    """Read what `write_origin` wrote.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is damaged.
    """
    return TypeAdapter(Origin).validate_python(load_json(folder / LINEAGE, LARGEST_ARTIFACT_BYTES))


def describe_origin(project: Project, source: Source, data: versioning.Pin) -> Origin:
    """Describe the chain from the data, as `find_data` gives them, to the gates.

    Raises:
        ArtifactError: an artifact is missing or damaged.
        DataError: dvc.lock is damaged.
    """
    report = read_json(project.validation / REPORT, "dvc repro validate")
    dataset = read_prepared(project)
    figures = read_json(project.evaluation / METRICS, "dvc repro evaluate")
    machine = project.model / MACHINE
    with translate_damage(machine, "make it with: dvc repro train"):
        trained_on = Machine(**load_json(machine, LARGEST_ARTIFACT_BYTES))
    return Origin(
        code=Code(source.commit, source.folder, source.dirty, source.changed, source.left_out),
        requirements_sha256=requirements_digest(project),
        data=Data(data.md5, report["synthetic"], report["files"]),
        validation=Validation(report["images"], report["quarantined"], folder_digest(project.expectations)),
        split=Split(dataset["images"], dataset["validation_fraction"], dataset["seed"]),
        training=read_json(project.model / TRAINING, "dvc repro train"),
        machine=trained_on,
        model_sha256=file_digest(project.model_file),
        metrics={name: value for name, value in figures.items() if isinstance(value, (int, float))},
        gates=(
            *read_json(project.evaluation / GATE, "dvc repro evaluate")["checks"],
            *read_json(project.export / REPORT, "dvc repro export")["checks"],
        ),
        pipeline=versioning.read_lock(project.root / DVC_LOCK),
    )


def requirements_digest(project: Project) -> str | None:
    """Return the SHA-256 of requirements.lock; None if there is no such file."""
    path = project.root / REQUIREMENTS
    return file_digest(path) if path.exists() else None
