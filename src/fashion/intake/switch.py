"""Putting a dataset in the place of the one that is there, as a whole, and going back.

The former one stays: its words in .state/imports, its data in DVC's cache. What is killed in the middle of switching is
put back by the next call.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fashion.adapters.versioning import PIN, pinned_files
from fashion.adapters.versioning.pinning import changing_data, pin, pull
from fashion.errors import DataError, ServiceError
from fashion.intake.record import RECORD, read_record
from fashion.intake.written import EDITED_BY_PEOPLE, changed_files, note_written
from fashion.leftovers import remove_leftovers, temporary_name
from fashion.params import load_params
from fashion.paths import PARAMS, Project
from fashion.reading import LARGEST_ARTIFACT_BYTES, load_json, translate_damage
from fashion.stages.raw import SALT
from fashion.stages.sources import DVC
from fashion.storage import files_below, move_folder, write_json, writing_explained

WORDS = (*EDITED_BY_PEOPLE, PIN)
"""What git owns of a dataset."""
BATCHES = "batches.json"
"""Beside the words: the names of the batches that the data have."""


@contextmanager
def staging(project: Project) -> Iterator[Path]:
    """Yield an empty folder on the same disk as data/; it is removed at the end, and after a kill by the next call."""
    path = project.root / "import"
    remove_leftovers(path)
    folder = temporary_name(path)
    try:
        with writing_explained(folder):
            folder.mkdir()
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def switch(project: Project, stage: Path) -> None:
    """Put what is in `stage` (data, params.yaml, expectations, import.json) in its place, and pin it.

    Raises:
        ServiceError: DVC could not pin the data, those that are there or the new ones.
    """
    with changing_data(project):
        former = _keep(project)
        write_json(_journal(project), former.name)
        _replace(project, stage)
        pin(project)
        note_written(project)
        _journal(project).unlink()


def go_back(project: Project) -> list[str]:
    """Bring back the dataset before the last import; return the batches that were collected since, which it lacks.

    Raises:
        DataError: nothing was imported here, or no commit has those batches; nothing has changed then.
        ServiceError: the former data are not in DVC's cache, in its remote or in another source; nothing has changed.
    """
    if not (kept := _kept(project)):
        raise DataError("There is no former dataset: nothing was imported here. What git has: git log -- params.yaml")
    with changing_data(project):
        lost = _collected_since(project, kept[-1])
        if lost and (pin(project) or PIN in changed_files(project)):
            raise DataError(
                f"Collected since the import, and in no commit: {', '.join(lost)}; going back would lose them. Keep "
                "them with: git add data.dvc import.json && git commit --all --message 'Batches collected since the "
                "import'; then type the same command again"
            )
        _keep_salt(project, kept[-1])
        write_json(_journal(project), kept[-1].name)
        _restore(project, kept[-1])
    return lost


def is_unfinished(project: Project) -> bool:
    """Return whether an import, or the way back, was killed while it was switching."""
    return _journal(project).exists()


def recover(project: Project) -> None:
    """Put the former dataset back where switching was not finished.

    Raises:
        DataError: the note of what was being switched is damaged.
        ServiceError: as `go_back`.
    """
    path = _journal(project)
    with translate_damage(path, "remove it, and see what git diff shows", DataError):
        name = str(load_json(path, LARGEST_ARTIFACT_BYTES))
    with changing_data(project):
        _restore(project, _former(project) / name)


def _keep(project: Project) -> Path:
    """Keep the words of the dataset that is there, and see that DVC's cache has its data."""
    if project.data.exists() and len(files_below(project.data)) >= pinned_files(project):
        pin(project)
    numbers = [int(path.name) for path in _kept(project)]
    target = _former(project) / f"{max(numbers, default=0) + 1:04d}"
    folder = temporary_name(target)
    folder.mkdir(parents=True)
    for name in WORDS:
        _copy(project.root / name, folder / name)
    write_json(folder / BATCHES, _batches(project))
    move_folder(folder, target)
    return target


def _keep_salt(project: Project, former: Path) -> None:
    """Keep the secret that divides collected images beside the words of the same dataset as it was before.

    What was collected since may be collected again, and is divided as before then.
    """
    (former / SALT).unlink(missing_ok=True)
    present, before = read_record(project.root), read_record(former)
    if present and before and present.name == before.name:
        _copy(project.data / SALT, former / SALT)


def _batches(project: Project) -> list[str]:
    """Return the batches in data/, by their paths in the project."""
    found = sorted(project.batches.iterdir()) if project.batches.exists() else []
    # One that is half written begins with a dot.
    return [path.relative_to(project.root).as_posix() for path in found if not path.name.startswith(".")]


def _collected_since(project: Project, former: Path) -> list[str]:
    path = former / BATCHES
    with translate_damage(path, "remove it; every batch then counts as new", DataError):
        known = load_json(path, LARGEST_ARTIFACT_BYTES) if path.exists() else []
        return [name for name in _batches(project) if name not in known]


def _replace(project: Project, stage: Path) -> None:
    for name in (project.data.name, "expectations"):
        target = project.root / name
        _set_aside(target, stage)
        move_folder(stage / name, target)
    for name in (RECORD, PARAMS):
        (stage / name).replace(project.root / name)


def _restore(project: Project, former: Path) -> None:
    """Put back the data, then the words: where the data cannot be brought, nothing has changed.

    Those that were never fetched here, and can be, are left to `fashion fetch`.
    """
    with staging(project) as stage:
        _restore_data(project, former, stage)
        if (former / SALT).exists() and not (project.data / SALT).exists():
            _copy(former / SALT, project.data / SALT)
            pin(project)
        for name in EDITED_BY_PEOPLE:
            target = project.root / name
            _copy(former / name, stage / name)
            # A file is replaced in one step: without params.yaml there is no project, and no command could go on.
            if target.is_dir() or not (stage / name).exists():
                _set_aside(target, stage)
            if (stage / name).exists():
                (stage / name).replace(target)
    note_written(project)
    _journal(project).unlink()
    # Renamed first: one that is half removed must not be gone back to.
    done = temporary_name(former)
    former.rename(done)
    shutil.rmtree(done)


def _restore_data(project: Project, former: Path, stage: Path) -> None:
    path = project.root / PIN
    if not (former / PIN).exists():
        path.unlink(missing_ok=True)
        _set_aside(project.data, stage)
        return
    before = path.read_bytes() if path.exists() else None
    shutil.copy(former / PIN, path)
    try:
        pull(project, replace=True)
    except ServiceError as error:
        if _is_published(project, former) and not (former / SALT).exists():
            _set_aside(project.data, stage)
            return
        if before is not None:
            path.write_bytes(before)
        _journal(project).unlink()
        raise ServiceError(f"The former data cannot be brought back: {error}; nothing has changed") from error


def _set_aside(path: Path, stage: Path) -> None:
    """Move what is there into the stage, which is removed at the end."""
    if path.exists():
        path.rename(stage / f"former-{path.name}")


def _is_published(project: Project, former: Path) -> bool:
    """Return whether `fashion fetch` brings all that data.dvc pins from elsewhere than DVC, as after a clone."""
    data = load_params(former / PARAMS).data
    return pinned_files(project) == len(data.files) and any(source != DVC for source in data.sources)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        shutil.copy(source, target)


def _former(project: Project) -> Path:
    return project.state / "imports" / "former"


def _journal(project: Project) -> Path:
    return project.state / "imports" / "switching.json"


def _kept(project: Project) -> list[Path]:
    return sorted(path for path in _former(project).glob("[0-9]*") if path.is_dir())
