"""The champion with its lineage: from the registry, or the last one from this machine when the registry is away."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from fashion.adapters import tracking
from fashion.adapters.tracking.address import registry_of
from fashion.errors import AbsenceError, ServiceError
from fashion.params import Params
from fashion.paths import Project
from fashion.reading import load_json
from fashion.registry.absence import explain_absence
from fashion.storage import keep_newest, may_write, write_json

LAST = "champion.json"
LARGEST = 1 << 20
"""Bytes of it."""
FORMER = 3
"""Former champions whose files stay on this machine; older ones are fetched again if one comes back."""


@dataclass(frozen=True)
class Lineage:
    """What the registry says about a version."""

    number: str
    run_id: str
    tags: Mapping[str, str]
    created: str
    """UTC, ISO 8601."""
    identity: str | None
    """As that of `tracking.Version`; None for one that 0.1.0 kept."""


@dataclass(frozen=True)
class Found:
    """The champion; `trouble` says why it comes from the local copy, None when the registry named it."""

    champion: tracking.Champion
    lineage: Lineage
    trouble: str | None
    absent: bool = False
    """Whether that is because the registry answers, and names no champion any more."""


def champion_folder(project: Project, params: Params) -> Path:
    """Where champions are kept on this machine, apart for each registry and model: both may have a version 1."""
    registry = registry_of(project, params)
    address = registry.uri.replace(f"{project.root}/", "")  # A moved project goes on with what it has.
    return project.state / "champion" / sha256(f"{registry.name}\n{address}".encode()).hexdigest()[:16]


def find_champion(project: Project, params: Params) -> Found:
    """Ask the registry, fetch the files once, and remember which one it was.

    Raises:
        ServiceError: the registry is away or has no champion, and none was ever fetched from it, or what was written
            down of the last one is damaged.
    """
    try:
        return _ask(project, params)
    except ServiceError as error:
        found = _remembered(project, params, str(error)) or _remembered_by_number(project, params, str(error))
        if found is None:
            raise
        return replace(found, absent=isinstance(error, AbsenceError))


def champion_version(registry: tracking.Registry) -> tracking.Version:
    """Return the version that the registry calls champion.

    Raises:
        AbsenceError: it calls none so: why, and how to get one.
        ServiceError: the registry is away.
    """
    tracking.check(registry.uri)
    version = tracking.version_with_alias(registry, tracking.CHAMPION)
    if version is None:
        raise AbsenceError(explain_absence(registry))
    return version


def keep_champion(project: Project, params: Params, version: tracking.Version) -> tracking.Champion:
    """Fetch the files of the champion, once. Of its predecessors the last few stay for a rollback, the others go.

    Raises:
        ServiceError: its files are not all there.
    """
    folder = champion_folder(project, params)
    champion = tracking.keep_version(registry_of(project, params), version, folder)
    if folder.is_dir() and may_write(folder):
        last = (_known(folder) or {}).get("identity")
        keep_newest((kept for kept in folder.iterdir() if kept.name not in (version.identity, last)), FORMER)
    return champion


def _ask(project: Project, params: Params) -> Found:
    registry, folder = registry_of(project, params), champion_folder(project, params)
    version = champion_version(registry)
    champion = keep_champion(project, params, version)
    lineage = Lineage(version.number, version.run_id, version.tags, version.created, version.identity)
    if may_write(folder) and _known(folder) != asdict(lineage):
        write_json(folder / LAST, asdict(lineage))
        _forget_numbers(folder.parent)
    return Found(champion, lineage, None)


def _remembered(project: Project, params: Params, trouble: str) -> Found | None:
    folder = champion_folder(project, params)
    content = _read(folder, trouble)
    if not content or not content.get("identity") or not (kept := folder / content["identity"]).is_dir():
        return None
    lineage = Lineage(**content)
    return Found(tracking.open_version(registry_of(project, params), lineage.number, kept), lineage, trouble)


def _remembered_by_number(project: Project, params: Params, trouble: str) -> Found | None:
    """As 0.1.0 kept it; the number alone does not tell whether the files are of this version."""
    registry = registry_of(project, params)
    folder = project.state / "champion" / sha256(f"{registry.uri}\n{registry.name}".encode()).hexdigest()[:16]
    content = _read(folder, trouble)
    if content is None:
        return None
    kept = folder / content["number"]
    description = kept / "MLmodel"
    if not description.is_file() or f"run_id: {content['run_id']}" not in description.read_text("utf-8").splitlines():
        return None
    lineage = Lineage(**{**content, "identity": None})
    return Found(tracking.open_version(registry, lineage.number, kept), lineage, trouble)


def _forget_numbers(folder: Path) -> None:
    """Remove what 0.1.0 kept by number, for every registry."""
    for kept in folder.glob("*/*"):
        if kept.is_dir() and kept.name.isdecimal():
            shutil.rmtree(kept)


def _known(folder: Path) -> dict[str, Any] | None:
    """What was remembered; None, too, where it is damaged: the registry answers, so that it is written anew."""
    try:
        return _read(folder, "")
    except ServiceError:
        return None


def _read(folder: Path, trouble: str) -> dict[str, Any] | None:
    """What was remembered; None where nothing was.

    Raises:
        ServiceError: it is damaged; `trouble` says why the registry does not help.
    """
    path = folder / LAST
    try:
        content: dict[str, Any] = load_json(path, LARGEST)
        lineage = asdict(Lineage(**{"identity": "", **content}))
        if not all(isinstance(lineage[name], str) for name in ("number", "run_id", "created", "identity")):
            raise ValueError("expected the number of a version, its run, its identity, and when it was made")
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError) as error:
        raise ServiceError(
            f"{trouble}\nThe last champion of this machine cannot answer either: {path} is damaged ({error}). Once the "
            "registry names a champion, this writes the file anew: fashion monitor"
        ) from error
    return content
