"""What DVC has written down: data.dvc, which pins data/, and dvc.lock."""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import file_digest, md5
from pathlib import Path
from typing import Any

from fashion.errors import DataError
from fashion.paths import DVC_LOCK, Project
from fashion.reading import load_yaml, translate_damage
from fashion.storage import files_below

PIN = "data.dvc"
LARGEST_POINTER_BYTES = 1 << 16
"""Bytes of data.dvc."""
LARGEST_LOCK_BYTES = 1 << 20
"""Bytes of dvc.lock."""


@dataclass(frozen=True)
class Pin:
    """A version of data/, as data.dvc and dvc.lock name it."""

    md5: str
    size: int
    """Bytes."""
    nfiles: int

    def to_yaml(self) -> str:
        """Return the content of a data.dvc that pins it, as DVC writes it."""
        fields = {"md5": self.md5, "size": self.size, "nfiles": self.nfiles, "hash": "md5", "path": "data"}
        lines = [f"{name}: {value}" for name, value in fields.items()]
        return "outs:\n- " + "\n  ".join(lines) + "\n"


@dataclass(frozen=True)
class LockedStage:
    """What a stage depended on, its parameters, and what it made, as dvc.lock says; files with their digests."""

    dependencies: Mapping[str, str | None]
    parameters: Mapping[str, Any]
    outputs: Mapping[str, str | None]


def read_lock(path: Path) -> dict[str, LockedStage]:
    """Return the stages of a dvc.lock; none where there is no such file.

    Raises:
        DataError: the file is damaged.
    """
    if not path.exists():
        return {}
    with _restored_by_git(path):
        stages: Any = load_yaml(path, LARGEST_LOCK_BYTES)["stages"]
        return {name: _locked(stage) for name, stage in stages.items()}


def _locked(stage: dict[str, Any]) -> LockedStage:
    return LockedStage(
        dependencies={entry["path"]: entry.get("md5") for entry in stage.get("deps", [])},
        parameters={name: value for file in stage.get("params", {}).values() for name, value in _leaves(file)},
        outputs={entry["path"]: entry.get("md5") for entry in stage.get("outs", [])},
    )


def _leaves(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each parameter of nested sections with its dotted name."""
    for name, value in section.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def data_version(project: Project) -> str:
    """Return the MD5 by which data.dvc pins the contents of data/.

    Raises:
        DataError: data.dvc is missing or damaged.
    """
    return read_pin(project).md5


def read_pin(project: Project) -> Pin:
    """Return what data.dvc pins.

    Raises:
        DataError: data.dvc is missing or damaged.
    """
    path = project.root / PIN
    with _restored_by_git(path):
        content: Any = load_yaml(path, LARGEST_POINTER_BYTES)
        return _to_pin(content["outs"][0])


def pinned_files(project: Project) -> int:
    """Return how many files data.dvc pins; 0 where there is none.

    Raises:
        DataError: data.dvc is damaged.
    """
    return read_pin(project).nfiles if (project.root / PIN).exists() else 0


def locked_pin(project: Project, stage: str, made: Path) -> Pin | None:
    """Return of which version of data/ a stage made a folder; none where dvc.lock does not speak of this folder.

    Args:
        made: the folder, an output of the stage; another content of it was not made as dvc.lock says.

    Raises:
        DataError: dvc.lock is damaged.
    """
    path = project.root / DVC_LOCK
    if not path.exists():
        return None
    with _restored_by_git(path):
        content: Any = load_yaml(path, LARGEST_LOCK_BYTES)["stages"].get(stage, {})
        known = {entry["path"]: entry for entry in [*content.get("deps", []), *content.get("outs", [])]}
        output = known.get(made.relative_to(project.root).as_posix())
        if output is None or project.data.name not in known or output.get("md5") != folder_md5(made):
            return None
        return _to_pin(known[project.data.name])


def folder_md5(folder: Path) -> str:
    """Return the name that DVC gives to the content of a folder: the MD5 of a list of its files."""
    files = [{"md5": _file_md5(path), "relpath": path.relative_to(folder).as_posix()} for path in _seen(folder)]
    listed = json.dumps(sorted(files, key=lambda file: file["relpath"]), sort_keys=True)
    return f"{md5(listed.encode(), usedforsecurity=False).hexdigest()}.dir"


def _seen(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder but those that .dvcignore leaves out: half-written ones."""
    return (path for path in files_below(folder) if not path.relative_to(folder).parts[0].startswith("."))


def _file_md5(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, lambda: md5(usedforsecurity=False)).hexdigest()


def _to_pin(entry: Mapping[str, Any]) -> Pin:
    return Pin(str(entry["md5"]), int(entry.get("size", 0)), int(entry.get("nfiles", 0)))


def _restored_by_git(path: Path) -> AbstractContextManager[None]:
    return translate_damage(path, f"restore it with: git checkout -- {path.name}", DataError)
