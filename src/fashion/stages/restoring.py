"""Whether data/ is drawn, and how what is missing or damaged there comes back."""

from pathlib import Path

from fashion.errors import ArtifactError, DataError
from fashion.params import DataFile
from fashion.paths import Project
from fashion.storage import file_digest

SYNTHETIC = "SYNTHETIC"
"""Name of a file that is in data/ whenever any file there is drawn; it says how."""


def is_synthetic(project: Project) -> bool:
    """Return whether data/ holds drawn garments instead of real data."""
    return (project.data / SYNTHETIC).exists()


def find_file(project: Project, file: DataFile) -> Path:
    """Return the path of a file that `fetch` provides.

    Raises:
        DataError: it is missing.
    """
    path = project.data / file.name
    if not path.exists():
        command = "fashion fetch --synthetic" if is_synthetic(project) else "fashion fetch"
        raise DataError(f"{path} is missing; get it with: {command}")
    return path


def find_pinned(path: Path, sha256: str, name: str, again: str) -> Path:
    """Return the path of a file that params.yaml names with its digest, after verifying that.

    Args:
        name: of the file, in words.
        again: how it comes back.

    Raises:
        ArtifactError: it is missing, or is another one.
    """
    if not path.is_file():
        raise ArtifactError(f"{path}, {name}, is missing; {again}")
    if (found := file_digest(path)) != sha256:
        raise ArtifactError(f"{path} is not {name}: expected SHA-256 {sha256}, found {found}; {again}")
    return path


def advise(error: DataError, project: Project, file: DataFile, supported: str) -> DataError:
    """Return the error with what to do: get the right file, or, if it is the right one, what is `supported`."""
    path = project.data / file.name
    if path.is_file() and file_digest(path) == file.sha256:
        return DataError(f"{error}. {supported}")
    command = "fashion fetch --synthetic" if is_synthetic(project) else "fashion fetch --force"
    return DataError(f"{error}. Get the right file with: {command}")


def bring_back(batch: Path) -> str:
    """Return the advice for restoring a damaged batch."""
    return restore(batch, batch.parents[1])


def restore(path: Path, data: Path) -> str:
    """Return how to restore a file, without DVC's `--force`: if the cache is lost, that may remove all of data/."""
    command = "dvc pull data.dvc" if (data / SYNTHETIC).exists() else "fashion fetch"
    return f"remove {path}, then restore what data.dvc pins with: {command}"
