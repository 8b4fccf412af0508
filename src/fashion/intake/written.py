"""What of the files that git owns a person has changed since the last commit, and what an import has."""

from collections.abc import Iterable
from pathlib import Path

from fashion.adapters import git
from fashion.adapters.versioning import PIN
from fashion.errors import DataError
from fashion.intake.record import RECORD
from fashion.paths import PARAMS, Project
from fashion.reading import LARGEST_ARTIFACT_BYTES, load_json, translate_damage
from fashion.storage import file_digest, files_below, write_json

EDITED_BY_PEOPLE = (PARAMS, "expectations", RECORD)


def check_uncommitted(project: Project) -> None:
    """Refuse to replace what a person has written and not committed.

    Raises:
        DataError: a file that an import replaces has changes that are neither committed nor those of an import.
        GitError: as `git.read_source`; or the project is in no repository.
    """
    git.check_repository(project)
    ours = _written(project)
    changed = [
        name
        for name in sorted(changed_files(project))
        if name.split("/")[0] in EDITED_BY_PEOPLE and _digest(project.root / name) != ours.get(name)
    ]
    if changed:
        raise DataError(
            f"{', '.join(changed)}: changed and not committed, and an import would replace that. Commit it with: "
            f"git commit --message 'My changes' -- {' '.join(changed)}"
        )


def changed_files(project: Project) -> set[str]:
    """Return what of the project differs from the last commit, by paths in the project."""
    source = git.read_source(project)
    prefix = f"{source.folder}/" if source.folder else ""
    return {path.removeprefix(prefix) for path in source.changed}


def _written(project: Project) -> dict[str, str]:
    path = project.state / "imports" / "written.json"
    if not path.exists():
        return {}
    with translate_damage(path, "remove it; git then says what has changed", DataError):
        return dict(load_json(path, LARGEST_ARTIFACT_BYTES))


def note_written(project: Project) -> None:
    """Note what the files are as an import has written them: git calls them changed until they are committed."""
    write_json(project.state / "imports" / "written.json", _digests(project, EDITED_BY_PEOPLE))


def describe_dataset(project: Project) -> dict[str, str]:
    """Return the digest of every file that says what the dataset is, data.dvc among them, by paths in the project."""
    return _digests(project, (*EDITED_BY_PEOPLE, PIN))


def check_unchanged(project: Project, planned: dict[str, str]) -> None:
    """Refuse an import whose dataset has changed since it was planned.

    Args:
        planned: what `describe_dataset` gave before.

    Raises:
        DataError: a file has changed since.
    """
    present = describe_dataset(project)
    if changed := sorted(name for name in planned.keys() | present if planned.get(name) != present.get(name)):
        raise DataError(
            f"{', '.join(changed)}: changed while the import waited, so its plan no longer fits. Nothing was written; "
            "type the same command again"
        )


def _digests(project: Project, names: Iterable[str]) -> dict[str, str]:
    paths = [path for name in names for path in _files(project.root / name)]
    return {path.relative_to(project.root).as_posix(): file_digest(path) for path in paths}


def _files(path: Path) -> list[Path]:
    return files_below(path) if path.is_dir() else [path] if path.exists() else []


def _digest(path: Path) -> str | None:
    return file_digest(path) if path.is_file() else None
