"""Choosing a registered version as the start of the trainings to come, or none.

Its model is copied into data/start, which data.dvc pins: like the images, it is what a version is made of, so that it
is pushed, pulled, and brought back for a reproduction with them. What is written last, and holds, is params.yaml.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ruamel.yaml import YAML

from fashion.adapters import tracking
from fashion.adapters.git import check_repository
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.versioning.pinning import changing_data, check_whole, pin
from fashion.errors import ParamsError, TrainingError
from fashion.model.networks import classifier
from fashion.model.transfer import Fit, find_fit
from fashion.params import Params, StartFrom
from fashion.params.editing import REMOVED, edit, read_as
from fashion.paths import Project
from fashion.registry.lineage import find_version
from fashion.stages.classifier import load_classifier
from fashion.storage import atomic_file, file_digest, keep_only, write_text, writing_explained


@dataclass(frozen=True)
class Chosen:
    """What the next training starts from, and which layers take their weights from it."""

    start: StartFrom
    fit: Fit


def start_from(project: Project, params: Params, which: str, name: str | None = None) -> Chosen:
    """Copy the model of a version to data/start, pin it in data.dvc, and name it in params.yaml.

    Call it within the training slot: no training may be using data/.

    Args:
        which: the version's number, or an alias.
        name: of the registered model; None: that of params.yaml.

    Raises:
        ArtifactError: the model of the version is damaged.
        DataError: data/ cannot be written to, or lacks files that data.dvc pins.
        DiskError: the disk is full.
        LineageError: there is no such version, or the project is not in a git repository.
        ParamsError: params.yaml is written in a way in which it cannot be edited.
        ServiceError: MLflow is away, or DVC could not pin the file.
        TrainingError: no layer of the version fits the recipe in use.
    """
    check_repository(project)
    check_whole(project, params)
    registry = registry_of(project, params)
    registry = replace(registry, name=name) if name else registry
    tracking.check(registry.uri)
    version = find_version(registry, which)
    with TemporaryDirectory() as folder:
        found = tracking.keep_version(registry, version, Path(folder)).keras_model
        fit = _fit(params, found, f"version {version.number} of {registry.name}")
        digest = file_digest(found)
        path = project.start / f"{digest[:16]}.keras"
        start = StartFrom(
            version=f"{registry.name} {version.number}", path=path.relative_to(project.root).as_posix(), sha256=digest
        )
        text = _edited(project, params, start)
        with writing_explained(project.data), changing_data(project):
            with atomic_file(path) as temporary:
                shutil.copyfile(found, temporary)
            keep_only(project.start, [path])  # DVC's cache still has what a version was made of.
            pin(project)
            write_text(project.params, text)
    return Chosen(start, fit)


def start_from_nothing(project: Project, params: Params) -> StartFrom | None:
    """Remove the model from params.yaml and from data/, and return which it was; None if there was none.

    Call it within the training slot, like `start_from`.

    Raises:
        DataError, DiskError, ParamsError, ServiceError: as `start_from`.
    """
    before = params.train.start_from
    if project.start.exists():
        check_whole(project, params)
    if before:
        write_text(project.params, _edited(project, params, None))
    if project.start.exists():  # Also where an earlier call was killed before it had removed it.
        with writing_explained(project.data), changing_data(project):
            keep_only(project.start, [])
            pin(project)
    return before


def _fit(params: Params, path: Path, name: str) -> Fit:
    model = classifier(params.train.chosen, params.data.shape, len(params.data.classes))
    try:
        return find_fit(model, load_classifier(path))
    except TrainingError as error:
        raise TrainingError(f"A training cannot start from {name}: {error}") from error


def _edited(project: Project, params: Params, start: StartFrom | None) -> str:
    """Return the text of params.yaml with another start, and all else as it is.

    Raises:
        ParamsError: the text would say something else, as it may be written in unforeseen ways.
    """
    text = _written(project.params.read_text(encoding="utf-8"), start)
    expected = params.model_copy(update={"train": params.train.model_copy(update={"start_from": start})})
    if read_as(project.params, text) != expected:
        wanted = f"write there yourself: {_line(start)}" if start else "remove train.start_from there yourself"
        raise ParamsError(f"{project.params} is formatted in a way that cannot be edited; {wanted}")
    return text


def _written(text: str, start: StartFrom | None) -> str:
    text = edit(text, {("train", "start_from"): REMOVED})
    if start is None:
        return text
    lines, place = text.splitlines(keepends=True), YAML().load(text)["train"].lc
    lines.insert(place.value("seed")[0] + 1, f"{' ' * place.key('seed')[1]}{_line(start)}\n")
    return "".join(lines)


def _line(start: StartFrom) -> str:
    return f"start_from: {{version: {start.version}, path: {start.path}, sha256: '{start.sha256}'}}"
