"""data.dvc, through DVC as a library: pinning what stands in data/, and bringing what is pinned.

All take a fraction of a second here and touch no other stage, so the command's process of its own is not needed.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from hashlib import md5
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.rwlock import rwlock

from fashion.adapters.versioning.records import PIN, pinned_files, read_pin
from fashion.errors import DataError, ServiceError
from fashion.locks import forget_dead_users, one_at_a_time, wait_until
from fashion.params import Params
from fashion.paths import Project
from fashion.storage import FULL, files_below

READERS = ("validate", "prepare")
"""The stages that read data/."""

log = logging.getLogger(__name__)


@contextmanager
def changing_data(project: Project) -> Iterator[None]:
    """Keep every stage from reading data/ for the duration of the block, after waiting for one that does.

    Of a stage that it runs, DVC itself writes down which version of data/ it has read, when it is done; a stage that is
    typed by hand holds a lock of its own.

    Raises:
        ServiceError: the project has no .dvc folder, or DVC's list of who uses which file cannot be used.
    """
    with _repository(project, "lock data/") as repository, ExitStack() as held:
        # As `Stage` takes it: under this name DVC lets this process itself go on, as when it pins.
        name, place = " ".join(sys.argv), os.path.join(repository.root_dir, project.data.name)
        hardlink = repository.config["core"].get("hardlink_lock", False)
        use = partial(rwlock, repository.tmp_dir, repository.fs, name, [], [place], hardlink)
        _patiently(lambda: held.enter_context(use()))
        for stage in READERS:
            held.enter_context(one_at_a_time(project, stage, by="the command that changes data/"))
        yield


def check_whole(project: Project, params: Params) -> None:
    """Check that data/ has all files that data.dvc pins, before something is added to it: the others would be dropped.

    Models and weights that trainings start from may be missing; they come back from elsewhere.

    Raises:
        DataError: files are missing, or data.dvc is damaged.
    """
    backbones = (recipe.backbone for recipe in params.train.recipes.values())
    starts = {one.path for one in (params.train.start_from, *backbones) if one}
    absent = {project.root / path for path in starts if not (project.root / path).is_file()}
    pinned, there = pinned_files(project), len(files_below(project.data))
    if (listed := _listed(project)) is None:  # Of a version that this clone never had, the number alone is known.
        lost = pinned - there - len(absent)
    else:
        lost = sum(not path.is_file() for path in listed - absent)
    if lost > 0:
        raise DataError(
            f"data.dvc pins {pinned} files, {lost} of them missing from {project.data}; it would no longer know those. "
            "Get them with: dvc pull data.dvc"
        )


def _listed(project: Project) -> set[Path] | None:
    """Return the files that data.dvc pins; None where DVC's cache does not know this version, or not whole."""
    if not (project.root / PIN).exists():
        return set()
    version = read_pin(project).md5
    with _repository(project, "look into its cache") as repository:
        cache = repository.cache.local
        if not cache.exists(version):
            return None
        content = Path(cache.oid_to_path(version)).read_bytes()
    if not version.startswith(md5(content, usedforsecurity=False).hexdigest()):
        return None
    return {project.data / entry["relpath"] for entry in json.loads(content)}


def pin(project: Project) -> bool:
    """Write data.dvc for what stands in data/, copied into DVC's cache; True if this changed the pin.

    Raises:
        ServiceError: the project has no .dvc folder, or DVC could not do it.
    """
    path = project.root / PIN
    before = path.read_bytes() if path.exists() else b""
    with _repository(project, "pin data/") as repository:
        _patiently(lambda: repository.add([str(project.data)]))
    return path.read_bytes() != before


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
        _pull(repository, project, replace)


def pull_for(tree: Project, project: Project) -> None:
    """Bring what the data.dvc of `tree` pins into the data/ of `tree`, from the cache and the remote of `project`.

    Raises:
        ServiceError: as `pull`.
    """
    with _repository(project, "read its configuration") as repository:
        known = repository.config
        borrowed = {
            "core": {"remote": known["core"]["remote"]} if "remote" in known["core"] else {},
            "remote": known["remote"],
            "cache": {"dir": repository.cache.default_local_cache_dir, **known["cache"]},
        }
    with _repository(tree, f"bring what {PIN} pins", borrowed) as repository:
        _pull(repository, tree, replace=False)


def is_cached(project: Project, version: str) -> bool:
    """Return whether DVC's cache knows a version of data/, as where it was pinned or pulled.

    Raises:
        ServiceError: the project has no .dvc folder.
    """
    with _repository(project, "look into its cache") as repository:
        return bool(repository.cache.local.exists(version))


def default_remote(project: Project) -> str | None:
    """Return the name of the DVC remote that commands use when none is named.

    Raises:
        ServiceError: the project has no .dvc folder, or its configuration is damaged.
    """
    with _repository(project, "read its configuration") as repository:
        name: str | None = repository.config["core"].get("remote")
        return name


def _pull(repository: Repo, project: Project, replace: bool) -> None:
    remote = repository.config["core"].get("remote")
    place = f"the remote {remote!r}" if remote else "DVC's cache; no default DVC remote is configured"
    targets = [str(project.root / PIN)]
    try:
        _patiently(lambda: repository.fetch(targets=targets))
        # DVC's own pull may remove the files that are there before it finds that others are nowhere.
        if any(out.changed_cache() for out in repository.stage.load_one(targets[0]).outs):
            raise ServiceError(f"not available from {place} (not all files are there)")
        _patiently(lambda: repository.checkout(targets=targets, force=replace))
    except OSError as error:
        if error.errno in FULL:
            raise  # Of this disk: no other source would help.
        raise ServiceError(f"not available from {place} ({error})") from error
    except DvcException as error:
        raise ServiceError(f"not available from {place} ({_first_line(error)})") from error


def _patiently(do: Callable[[], Any]) -> None:
    """Do it as soon as no other process uses the files."""
    users = ""

    def is_done() -> bool:
        nonlocal users
        try:
            do()
        except LockError as error:
            users = ", ".join(line.strip() for line in str(error).splitlines() if "(PID" in line) or _first_line(error)
            return False
        return True

    wait_until(is_done, lambda: users, lambda users: log.info("Waiting for DVC: data/ is in use by %s", users))


@contextmanager
def _repository(project: Project, purpose: str, config: dict[str, Any] | None = None) -> Iterator[Repo]:
    """Open the project's DVC repository, without its advice on the terminal.

    Args:
        config: takes precedence over the project's configuration.
    """
    logger = logging.getLogger("dvc")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    forget_dead_users(project)
    try:
        with Repo(str(project.root), config=config) as repository:
            yield repository
    except NotDvcRepoError as error:
        raise ServiceError(f"{project.root} has no .dvc folder; restore it with: git checkout -- .dvc") from error
    except DvcException as error:
        raise ServiceError(f"DVC could not {purpose}: {_first_line(error)}") from error
    finally:
        logger.setLevel(level)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
