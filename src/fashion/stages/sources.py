"""The sources of the data files: DVC, folders and URLs, tried in order; each file is verified by its SHA-256."""

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from fashion.adapters.download import download
from fashion.adapters.versioning.pinning import pull
from fashion.errors import DataError, DiskError, FashionError, ServiceError, without_secrets
from fashion.params import DataFile, DataParams
from fashion.paths import Project
from fashion.settings import load_settings
from fashion.storage import FULL, atomic_file, file_digest

DVC = "dvc"
Progress = Callable[[str, int, int | None], None]
"""Called with the name of a file, the bytes received, and the total if it is known."""
log = logging.getLogger(__name__)


def no_progress(name: str, done: int, total: int | None) -> None:
    """Show nothing."""


def bring(
    project: Project, params: DataParams, missing: Sequence[DataFile], replace: bool, progress: Progress
) -> dict[str, str]:
    """Try the sources in order until nothing is missing, and return the source of each file fetched."""
    origins: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for source in _sources(params):
        wanted = [file for file in missing if file.name not in origins]
        if not wanted:
            break
        try:
            for file in _from_source(source, project, wanted, replace, progress):
                origins[file.name] = without_secrets(source)
        except DiskError:
            raise  # No other source would help.
        except FashionError as error:
            reasons[source] = str(error)
    wanted = [file for file in missing if file.name not in origins]
    if wanted:
        raise _nowhere(wanted, reasons)
    for source, reason in reasons.items():
        log.info("Skipped %s: %s", without_secrets(source), reason)
    return origins


def _sources(params: DataParams) -> Sequence[str]:
    """Return the sources from the environment if there are any, else those of params.yaml."""
    named = (load_settings().data_sources or "").split(",")
    return [source.strip() for source in named if source.strip()] or params.sources


def _from_source(
    source: str, project: Project, wanted: Sequence[DataFile], replace: bool, progress: Progress
) -> Iterator[DataFile]:
    """Fetch one file after another, and yield each once it is in data/.

    Raises:
        FashionError: the source does not have the next one; the message says why.
    """
    if source == DVC:
        yield from _pull(project, wanted, replace)
        return
    for file in wanted:
        if source.startswith(("http://", "https://")):
            _download(f"{source.rstrip('/')}/{file.name}", file, project, progress)
        else:
            _copy((project.root / Path(source).expanduser()).resolve() / file.name, file, project, progress)
        yield file


def _pull(project: Project, wanted: Sequence[DataFile], replace: bool) -> Iterator[DataFile]:
    pull(project, replace)
    for file in wanted:
        path = project.data / file.name
        if not path.exists():
            raise ServiceError(f"data.dvc does not pin {file.name}")
        _check_digest(path, file, f"{file.name}, as data.dvc pins it,")
        yield file


def _copy(source: Path, file: DataFile, project: Project, progress: Progress) -> None:
    try:
        _place(source, file, project, origin=str(source))
    except OSError as error:
        if error.errno in FULL:
            raise
        raise ServiceError(f"{source}: {error.strerror}") from error
    size = (project.data / file.name).stat().st_size
    progress(file.name, size, size)


def _download(address: str, file: DataFile, project: Project, progress: Progress) -> None:
    """Download a file. If that breaks off, the part received is kept under .state, for the next source or call."""
    part = project.state / "downloads" / f"{file.sha256}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    resumed = part.exists()
    if not (resumed and file_digest(part) == file.sha256):
        download(address, part, lambda done, total: progress(file.name, done, total))
    if resumed and file_digest(part) != file.sha256:
        # The beginning may have come from a source with a different file: download it again from the start.
        part.unlink()
        download(address, part, lambda done, total: progress(file.name, done, total))
    try:
        _place(part, file, project, origin=address)
    finally:
        part.unlink(missing_ok=True)


def _place(source: Path, file: DataFile, project: Project, origin: str) -> None:
    with atomic_file(project.data / file.name) as temporary:
        shutil.copyfile(source, temporary)
        _check_digest(temporary, file, origin)


def _check_digest(path: Path, file: DataFile, origin: str) -> None:
    found = file_digest(path)
    if found != file.sha256:
        raise DataError(
            f"{origin} is the wrong file ({path.stat().st_size:,} bytes): expected SHA-256 {file.sha256}, found {found}"
        )


def _nowhere(wanted: Sequence[DataFile], reasons: Mapping[str, str]) -> DataError:
    return DataError(
        "\n".join(
            [
                f"No source has {', '.join(file.name for file in wanted)}:",
                *(f"  {source}: {reason}" for source, reason in reasons.items()),
                "Set FASHION_DATA_SOURCES to a folder or URL that has them, "
                "or run everything on drawn images, apart from this project's data: make run DATA=synthetic",
            ]
        )
    )
