"""data.dvc, through DVC as a library: pinning what stands in data/, and bringing what is pinned.

Both take a fraction of a second here and touch no other stage, so the command's process of its own is not needed.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.repo import Repo

from fashion.errors import DataError, ServiceError
from fashion.paths import Project

PIN = "data.dvc"


def pin(project: Project) -> bool:
    """Write data.dvc for what stands in data/, copied into DVC's cache; True if this changed the pin.

    Raises:
        ServiceError: the project has no .dvc folder, or DVC could not do it.
    """
    path = project.root / PIN
    before = path.read_bytes() if path.exists() else b""
    with _repository(project, "pin data/") as repository:
        repository.add([str(project.data)])
    return path.read_bytes() != before


def pinned_files(project: Project) -> int:
    """How many files data.dvc pins; 0 where it does not say."""
    path = project.root / PIN
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return int(content["outs"][0].get("nfiles", 0))
    except FileNotFoundError:
        return 0
    except (yaml.YAMLError, KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged; restore it with: git checkout -- {PIN}") from error


def pull(project: Project, replace: bool) -> None:
    """Bring what data.dvc pins into data/, from DVC's cache or the default remote.

    Args:
        replace: whether files in data/ that the cache does not know may be overwritten or removed.

    Raises:
        ServiceError: nothing is pinned, no default remote is configured, or it cannot be reached or lacks the data.
    """
    if not (project.root / PIN).exists():
        raise ServiceError(f"there is no {PIN}")
    with _repository(project, f"bring what {PIN} pins") as repository:
        remote = repository.config["core"].get("remote")
        place = f"the remote {remote!r}" if remote else "DVC's cache; no default DVC remote is configured"
        try:
            repository.pull(targets=[str(project.root / PIN)], force=replace)
        except DvcException as error:
            raise ServiceError(f"not to be had from {place} ({_first_line(error)})") from error


@contextmanager
def _repository(project: Project, purpose: str) -> Iterator[Repo]:
    """The project's DVC repository, whose advice on the terminal is not wanted here."""
    logger = logging.getLogger("dvc")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with Repo(str(project.root)) as repository:
            yield repository
    except NotDvcRepoError as error:
        raise ServiceError(f"{project.root} has no .dvc folder; restore it with: git checkout -- .dvc") from error
    except DvcException as error:
        raise ServiceError(f"DVC could not {purpose}: {_first_line(error)}") from error
    finally:
        logger.setLevel(level)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
