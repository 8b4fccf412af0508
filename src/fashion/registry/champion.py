"""The champion and its files: from the registry, or the last one from this machine when the registry is away."""

import shutil
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from fashion.adapters import tracking
from fashion.adapters.predictions import ModelVersion
from fashion.adapters.tracking.address import registry_of
from fashion.errors import AbsenceError, ServiceError
from fashion.params import Params
from fashion.paths import Project
from fashion.reading import load_json
from fashion.registry.absence import explain_absence
from fashion.storage import keep_newest, may_write, write_json

LAST = "champion.json"
LARGEST_BYTES = 1 << 20
"""Bytes of it."""
FORMER = 3
"""Former champions whose files stay on this machine; older ones are fetched again if one comes back."""


@dataclass(frozen=True)
class Found:
    """The champion; `trouble` says why it comes from the local copy, None when the registry named it."""

    champion: tracking.Champion
    version: tracking.Version
    trouble: str | None
    absent: bool = False
    """Whether that is because the registry answers, and names no champion any more."""


def champion_folder(project: Project, params: Params) -> Path:
    """Return where champions are kept on this machine, apart for each registry and model: both may have a version 1."""
    registry = registry_of(project, params)
    address = registry.uri.replace(f"{project.root}/", "")  # A moved project goes on with what it has.
    return project.state / "champion" / sha256(f"{registry.name}\n{address}".encode()).hexdigest()[:16]


def identify(params: Params, found: Found) -> ModelVersion:
    """Return the champion as the prediction log tells versions apart."""
    version, created = found.version, datetime.fromisoformat(found.version.created)
    return ModelVersion(version.number, version.identity, created, params.register_.name, found.champion.classes)


def find_champion(project: Project, params: Params) -> Found:
    """Return the champion as `fetch_champion` does, or the last one of this machine when the registry names none.

    Raises:
        ServiceError: the registry is away or has no champion, and none was ever fetched from it, or what was written
            down of the last one is damaged.
    """
    try:
        found = fetch_champion(project, params)
    except ServiceError as error:
        last = _remembered(project, params, str(error)) or _remembered_by_number(project, params, str(error))
        if last is None:
            raise
        return replace(last, absent=isinstance(error, AbsenceError))
    _remember(champion_folder(project, params), found.version)
    return found


def fetch_champion(project: Project, params: Params) -> Found:
    """Ask the registry, and fetch the files once. The last few predecessors stay for a rollback; older ones go.

    Raises:
        AbsenceError: the registry has no champion: why, and how to get one.
        ServiceError: the registry is away, or the champion's files are not all there.
    """
    registry, folder = registry_of(project, params), champion_folder(project, params)
    tracking.check(registry.uri)
    version = tracking.version_with_alias(registry, tracking.CHAMPION)
    if version is None:
        raise AbsenceError(explain_absence(registry))
    champion = tracking.keep_version(registry, version, folder)
    if folder.is_dir() and may_write(folder):
        known = _known(folder)
        last = known.identity if known else None
        keep_newest((kept for kept in folder.iterdir() if kept.name not in (version.identity, last)), FORMER)
    return Found(champion, version, None)


def _remember(folder: Path, version: tracking.Version) -> None:
    version = replace(version, aliases=())  # They may move on.
    if may_write(folder) and _known(folder) != version:
        content = asdict(version)
        del content["aliases"]
        write_json(folder / LAST, content)
        _forget_numbers(folder.parent)


def _remembered(project: Project, params: Params, trouble: str) -> Found | None:
    folder = champion_folder(project, params)
    version = _read(folder, trouble)
    if not version or not version.identity or not (kept := folder / version.identity).is_dir():
        return None
    return Found(tracking.open_version(registry_of(project, params), version.number, kept), version, trouble)


def _remembered_by_number(project: Project, params: Params, trouble: str) -> Found | None:
    """Look where 0.1.0 kept it; the number alone does not tell whether the files belong to this version."""
    registry = registry_of(project, params)
    folder = project.state / "champion" / sha256(f"{registry.uri}\n{registry.name}".encode()).hexdigest()[:16]
    version = _read(folder, trouble)
    if version is None:
        return None
    kept = folder / version.number
    description = kept / "MLmodel"
    if not description.is_file() or f"run_id: {version.run_id}" not in description.read_text("utf-8").splitlines():
        return None
    found = tracking.open_version(registry, version.number, kept)
    return Found(found, replace(version, identity=None), trouble)


def _forget_numbers(folder: Path) -> None:
    """Remove what 0.1.0 kept by number, for every registry."""
    for kept in folder.glob("*/*"):
        if kept.is_dir() and kept.name.isdecimal():
            shutil.rmtree(kept)


def _known(folder: Path) -> tracking.Version | None:
    """Return what was remembered; None also if it is damaged: the registry has answered, so it is written again."""
    try:
        return _read(folder, "")
    except ServiceError:
        return None


def _read(folder: Path, trouble: str) -> tracking.Version | None:
    """Return what was remembered; None where nothing was.

    Raises:
        ServiceError: it is damaged; `trouble` says why the registry does not help.
    """
    path = folder / LAST
    try:
        content: dict[str, Any] = load_json(path, LARGEST_BYTES)
        version = tracking.Version(**{"identity": "", "aliases": (), **content})
        if not all(isinstance(getattr(version, name), str) for name in ("number", "run_id", "created", "identity")):
            raise ValueError("expected the number of a version, its run, its identity, and when it was made")
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError) as error:
        raise ServiceError(
            f"{trouble}\nThe last champion of this machine cannot answer either: {path} is damaged ({error}). Once the "
            "registry names a champion, rewrite the file with: fashion monitor"
        ) from error
    return version
