"""Where a version comes from: written down when it is registered, looked up later."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fashion.adapters import tracking, versioning
from fashion.adapters.git import Source
from fashion.adapters.tracking.address import registry_of
from fashion.errors import ArtifactError, LineageError
from fashion.params import Params
from fashion.paths import Project
from fashion.reading import LARGEST_ARTIFACT, load_json, read_json
from fashion.registry.absence import explain_absence
from fashion.registry.overview import change_to_dict
from fashion.stages.dataset import read_prepared
from fashion.stages.raw import digests
from fashion.storage import file_digest, folder_digest, write_json, write_text

LINEAGE, PATCH = "lineage.json", "changes.patch"
WORDS = ("params.yaml", "dvc.yaml", "dvc.lock", "requirements.lock")
AGAIN = "Make them again with: dvc repro"
ARTIFACTS_DIGEST = "artifacts_sha256"
"""The tag by which `register` knows artifacts again, and the name of their folder of origins."""
ANOTHER = "A version with one comes of another model: change train.seed in params.yaml, then: make run"


@dataclass(frozen=True)
class Lineage:
    """A version, what was written down when it was registered, and what became of it since."""

    name: str
    version: tracking.Version
    origin: dict[str, Any]
    """As `describe` gave it."""
    history: tuple[tracking.Change, ...]
    """The changes of aliases that it had a part in, oldest first."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            **asdict(self.version),
            **self.origin,
            "history": [change_to_dict(change) for change in self.history],
        }


def find_data(project: Project, params: Params) -> versioning.Pin:
    """The version of data/ that the model has learned from, whatever stands in data/ and data.dvc by now.

    It is what dvc.lock says of the stage that made the dataset. Of a dataset that was made without DVC, by stages typed
    by hand, it is what data.dvc pins, if that is still what they read.

    Raises:
        ArtifactError: the artifacts are of several versions of the data, or it is not known of which.
        DataError: data.dvc or dvc.lock is missing or damaged.
    """
    report = read_json(project.validation / "report.json", "dvc repro validate")
    dataset = read_prepared(project)
    training = read_json(project.model / "training.json", "dvc repro train")
    if report["files"] != dataset["files"]:
        raise ArtifactError(f"data/ has changed between the stages validate and prepare. {AGAIN}")
    # Models of earlier code do not say what they were trained on.
    if training.get("dataset_sha256") not in (None, folder_digest(project.dataset)):
        raise ArtifactError(f"{project.model} was trained on another dataset than {project.dataset}. {AGAIN}")
    pin = versioning.locked_pin(project, "prepare", project.dataset)
    if pin is None and _is_unchanged(project, params, dataset["files"]):
        pin = versioning.read_pin(project)
    if pin is None:
        raise ArtifactError(
            f"{project.dataset} was not made by DVC, and data/ has changed since: nobody knows of which data it is. "
            f"{AGAIN}"
        )
    return pin


def _is_unchanged(project: Project, params: Params, files: dict[str, str]) -> bool:
    """Whether data/ is what data.dvc pins, and holds these files."""
    try:
        is_pinned = versioning.folder_md5(project.data) == versioning.data_version(project)
        return is_pinned and digests(project, params.data) == files
    except FileNotFoundError:
        return False


def write_origin(project: Project, source: Source, data: versioning.Pin, folder: Path) -> None:
    """Everything that it takes to make the artifacts again, but the data and the commit, into the existing `folder`.

    Args:
        data: what the model has learned from: what its data.dvc pins, whatever that of the project does by now.
    """
    for name in WORDS:
        if (project.root / name).exists():
            shutil.copyfile(project.root / name, folder / name)
    write_text(folder / versioning.PIN, data.to_yaml())
    shutil.copytree(project.expectations, folder / "expectations")
    (folder / PATCH).write_bytes(source.patch)
    write_json(folder / LINEAGE, describe(project, source, data))


def describe(project: Project, source: Source, data: versioning.Pin) -> dict[str, Any]:
    """The chain from the data, as `find_data` gives them, to the gates, as JSON.

    Raises:
        ArtifactError: an artifact is missing or damaged.
        DataError: dvc.lock is damaged.
    """
    report = read_json(project.validation / "report.json", "dvc repro validate")
    dataset = read_prepared(project)
    validation = {name: report[name] for name in ("images", "quarantined")}
    return {
        "code": _code(source),
        "requirements_sha256": requirements_digest(project),
        "data": {"version": data.md5, "synthetic": report["synthetic"], "files": report["files"]},
        "validation": validation | {"expectations_sha256": folder_digest(project.expectations)},
        "split": {name: dataset[name] for name in ("images", "validation_fraction", "seed")},
        "training": read_json(project.model / "training.json", "dvc repro train"),
        "machine": read_json(project.model / "machine.json", "dvc repro train"),
        "model_sha256": file_digest(project.model_file),
        "metrics": _metrics(project),
        "gates": _gates(project),
        "pipeline": versioning.lock(project.root / "dvc.lock"),
    }


def _code(source: Source) -> dict[str, Any]:
    return {
        "commit": source.commit,
        "folder": source.folder,
        "dirty": source.dirty,
        "changed": list(source.changed),
        "left_out": list(source.left_out),
    }


def _metrics(project: Project) -> dict[str, float]:
    """The figures that are one number each."""
    figures = read_json(project.evaluation / "metrics.json", "dvc repro evaluate")
    return {name: value for name, value in figures.items() if isinstance(value, (int, float))}


def _gates(project: Project) -> list[dict[str, Any]]:
    evaluation = read_json(project.evaluation / "gate.json", "dvc repro evaluate")
    export = read_json(project.export / "report.json", "dvc repro export")
    return [*evaluation["checks"], *export["checks"]]


def requirements_digest(project: Project) -> str | None:
    path = project.root / "requirements.lock"
    return file_digest(path) if path.exists() else None


def look_up_lineage(project: Project, params: Params, which: str) -> Lineage:
    """The lineage of a version, named by its number or by an alias.

    Raises:
        LineageError: there is no such version, or its lineage is damaged, gone, or was never written down.
        ServiceError: MLflow is away.
    """
    with TemporaryDirectory() as folder:
        return fetch_lineage(project, params, which, Path(folder))


def fetch_lineage(project: Project, params: Params, which: str, folder: Path) -> Lineage:
    """As `look_up_lineage`; the files of `write_origin` are put into the existing `folder`."""
    registry = registry_of(project, params)
    tracking.check(registry.uri)
    version = _find(registry, which)
    name = f"origin/{version.tags.get(ARTIFACTS_DIGEST)}"
    tracking.fetch_folder(registry, version, name, folder)
    if not (folder / LINEAGE).exists():
        raise LineageError(
            f"Version {version.number} of {registry.name} was registered before versions carried their lineage, or its "
            f"files are gone from {registry.uri}. {ANOTHER}"
        )
    try:
        origin = load_json(folder / LINEAGE, LARGEST_ARTIFACT)
    except ValueError as error:
        raise LineageError(
            f"The lineage of version {version.number} of {registry.name} is damaged in {registry.uri} ({error}). "
            f"{ANOTHER}"
        ) from error
    changes = tracking.read_ledger(registry).changes
    history = tuple(change for change in changes if _takes_part(version.number, change))
    return Lineage(registry.name, version, origin, history)


def _find(registry: tracking.Registry, which: str) -> tracking.Version:
    if which in (tracking.CHAMPION, tracking.CHALLENGER):
        version = tracking.version_with_alias(registry, which)
    else:
        version = tracking.get_version(registry, which)
    if version is None and which == tracking.CHAMPION:
        raise LineageError(explain_absence(registry))
    if version is None:
        known = ", ".join(one.number for one in tracking.list_versions(registry)) or "none"
        raise LineageError(
            f"{registry.name} has no version {which} in {registry.uri}; it has: {known}. See: fashion models"
        )
    return version


def _takes_part(number: str, change: tracking.Change) -> bool:
    return number == change.version or any(number in (old, new) for _, old, new in change.moves)
