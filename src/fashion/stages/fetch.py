"""Fetching the data files from the first source that has them, or drawing them; pinned by data.dvc."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fashion.adapters.git import check_repository
from fashion.adapters.versioning import pinned_files
from fashion.adapters.versioning.pinning import changing_data, pin, pull
from fashion.arrays import LabelledImages
from fashion.errors import DataError, ServiceError
from fashion.images.synthetic import draw
from fashion.params import DataFile, DataParams, Params
from fashion.paths import Project
from fashion.stages.formats import format_of
from fashion.stages.restoring import SYNTHETIC, is_synthetic
from fashion.stages.sources import Progress, bring, no_progress
from fashion.storage import file_digest, files_below, write_text, writing_explained


@dataclass(frozen=True)
class Fetched:
    """What is in data/ now."""

    origins: dict[str, str]
    """For each file name the source it came from, or `already there`."""
    bytes: int
    synthetic: bool
    pin_changed: bool
    """Whether data.dvc was written or changed."""


@dataclass(frozen=True)
class Drawing:
    """How many images to draw. The defaults are the real dataset's counts, so that the committed suites hold."""

    images: int = 60_000
    test_images: int = 10_000
    seed: int = 0


def fetch(project: Project, params: Params, force: bool = False, progress: Progress = no_progress) -> Fetched:
    """Fetch the files named in params.yaml into data/, each verified by its SHA-256, and pin them in data.dvc.

    A file that is already correct stays. Files drawn by `draw_data` are replaced; other files are not, unless `force`.
    Call it within the training slot: no training may be using data/.

    Raises:
        DataError: no source has a file, a file with other content is in the way, or a file has an unsupported format;
            what data.dvc pins stays as it is.
        DiskError: the disk is full.
        LineageError: the project is not in a git repository, or git refuses to read it.
    """
    check_repository(project)
    _check_folder(project)
    replace = force or is_synthetic(project)
    with _writing(project):
        missing = _missing_files(project, params.data, replace)
        origins = {file.name: "already there" for file in params.data.files if file not in missing}
        origins |= bring(project, params.data, missing, replace, progress)
        if not replace:
            _bring_batches(project)
        (project.data / SYNTHETIC).unlink(missing_ok=True)
        return _pinned(project, params.data, origins)


def draw_data(project: Project, params: Params, drawing: Drawing, force: bool = False) -> Fetched:
    """Draw garments into data/ under the file names in params.yaml, marked as drawn, and pin them in data.dvc.

    Call it within the training slot, like `fetch`.

    Raises:
        DataError: data/ holds files that were not drawn (unless `force`), or there are too few images.
        DiskError: the disk is full.
        LineageError: as `fetch`.
    """
    check_repository(project)
    _check_counts(params.data, drawing)
    _check_folder(project)
    if not (force or is_synthetic(project)):
        _refuse_to_replace(project, params.data)
    with _writing(project):
        # The marker first: it must be there whenever any file here is drawn.
        write_text(project.data / SYNTHETIC, _describe(params.data, drawing))
        _draw_files(project, params.data, drawing)
        return _pinned(project, params.data, {file.name: "drawn" for file in params.data.files})


def _check_folder(project: Project) -> None:
    if project.data.is_symlink():
        raise DataError(
            f"{project.data} is a symbolic link, and DVC cannot pin the target of a link. Remove the link, then type: "
            f"FASHION_DATA_SOURCES={project.data.readlink()} fashion fetch"
        )
    if project.data.exists() and not project.data.is_dir():
        raise DataError(
            f"{project.data} is a file; expected a folder, or nothing. Move the file away, then type: fashion fetch"
        )


def _missing_files(project: Project, params: DataParams, replace: bool) -> list[DataFile]:
    """Return the files to fetch: those that are missing and, if they may be replaced, those with other content."""
    missing = []
    for file in params.files:
        path = project.data / file.name
        found = file_digest(path) if path.exists() else None
        if found is not None and found != file.sha256 and not replace:
            raise DataError(
                f"{path} is not the file that params.yaml asks for: expected SHA-256 {file.sha256}, found {found}. "
                "To replace it, type: fashion fetch --force"
            )
        if found != file.sha256:
            missing.append(file)
    return missing


def _refuse_to_replace(project: Project, params: DataParams) -> None:
    there = [file.name for file in params.files if (project.data / file.name).exists()]
    if there:
        raise DataError(
            f"{project.data} contains files that were not drawn ({', '.join(there)}). "
            "To replace them with drawn ones, type: fashion fetch --synthetic --force"
        )


def _check_counts(params: DataParams, drawing: Drawing) -> None:
    if min(drawing.images, drawing.test_images) < len(params.classes):
        raise DataError(
            f"Expected at least one image of each of the {len(params.classes)} classes in both parts, found "
            f"{drawing.images} training and {drawing.test_images} test images; draw more: --images, --test-images"
        )


def _describe(params: DataParams, drawing: Drawing) -> str:
    height, width = params.image_size
    return (
        f"The files beside this one are drawn, they are not real data: {drawing.images} training and "
        f"{drawing.test_images} test images of {height} x {width} pixels in {len(params.classes)} classes, "
        f"seed {drawing.seed}.\n"
    )


def _draw_files(project: Project, params: DataParams, drawing: Drawing) -> None:
    splits = {}
    for number, (name, count) in enumerate({"train": drawing.images, "test": drawing.test_images}.items()):
        seed = 2 * drawing.seed + number
        images, labels = draw(count, len(params.classes), params.image_size, seed, params.pictures.channels)
        splits[name] = LabelledImages(images, labels)
    format_of(params).write_splits(project, params, splits)


def _bring_batches(project: Project) -> None:
    """Fetch the batches of collected images, which only DVC has; pinning without them would lose them."""
    if pinned_files(project) <= len(files_below(project.data)):
        return
    try:
        pull(project, replace=False)
    except ServiceError as error:
        raise DataError(
            f"data.dvc pins {pinned_files(project)} files, {len(files_below(project.data))} are here: the batches of "
            f"collected images are {error}. Name the remote that has them: dvc remote add --default NAME ADDRESS; or "
            "go on without them, in data.dvc too: fashion fetch --force"
        ) from error


def _pinned(project: Project, params: DataParams, origins: dict[str, str]) -> Fetched:
    format_of(params).check_files(project, params)
    size = sum((project.data / file.name).stat().st_size for file in params.files)
    return Fetched(origins, size, is_synthetic(project), pin(project))


@contextmanager
def _writing(project: Project) -> Iterator[None]:
    """Turn file system errors into clear ones. Files already in data/ stay, and the next call resumes."""
    try:
        with writing_explained(project.data), changing_data(project):
            yield
    except OSError as error:
        raise DataError(f"Could not write to {project.data}: {error}; fix that, then try again") from error
