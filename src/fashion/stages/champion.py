"""The champion with its lineage: from the registry, or the last one from this machine when the registry is away."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fashion.adapters import tracking
from fashion.errors import ServiceError
from fashion.params import Params
from fashion.paths import Project
from fashion.stages.absence import explain_absence
from fashion.stages.registry import champion_folder, registry_of
from fashion.storage import write_json

LAST = "champion.json"


@dataclass(frozen=True)
class Lineage:
    """What the registry says about a version."""

    number: str
    run_id: str
    tags: Mapping[str, str]
    created: str
    """UTC, ISO 8601."""


@dataclass(frozen=True)
class Found:
    """The champion; `trouble` says why it comes from the local copy, None when the registry named it."""

    champion: tracking.Champion
    lineage: Lineage
    trouble: str | None


def find_champion(project: Project, params: Params) -> Found:
    """Ask the registry, fetch the files once, and remember which one it was.

    Raises:
        ServiceError: the registry is away or has no champion, and none was ever fetched from it.
    """
    folder = champion_folder(project, params)
    try:
        return _ask(project, params, folder)
    except ServiceError as error:
        found = _remembered(project, params, folder, str(error))
        if found is None:
            raise
        return found


def champion_version(registry: tracking.Registry) -> tracking.Version:
    """Return the version that the registry calls champion.

    Raises:
        ServiceError: the registry is away, or has no champion: why, and how to get one.
    """
    tracking.check(registry.uri)
    version = tracking.version_with_alias(registry, tracking.CHAMPION)
    if version is None:
        raise ServiceError(explain_absence(registry))
    return version


def _ask(project: Project, params: Params, folder: Path) -> Found:
    registry = registry_of(project, params)
    version = champion_version(registry)
    champion = tracking.download_version(registry.uri, registry.name, version.number, folder)
    lineage = Lineage(version.number, version.run_id, version.tags, version.created)
    if _read(folder) != asdict(lineage):
        write_json(folder / LAST, asdict(lineage))
    return Found(champion, lineage, None)


def _remembered(project: Project, params: Params, folder: Path, trouble: str) -> Found | None:
    content = _read(folder)
    if content is None or not (folder / content["number"]).is_dir():
        return None
    registry = registry_of(project, params)
    champion = tracking.download_version(registry.uri, registry.name, content["number"], folder)
    return Found(champion, Lineage(**content), trouble)


def _read(folder: Path) -> dict[str, Any] | None:
    path = folder / LAST
    content: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return content
