"""Files that are whole or not there: everything is written to a temporary name and renamed."""

import errno
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, Event, ScalarEvent

from fashion.errors import ArtifactError, DiskError, FashionError
from fashion.leftovers import remove_leftovers, temporary_name

FULL = (errno.ENOSPC, errno.EDQUOT)
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
LEFT = 1 << 16
"""Free bytes below which a disk is full for those libraries that do not say why they could not write."""

LARGEST_ARTIFACT = 16 << 20
"""Bytes of a JSON file that a stage has written; parsed, it may take twenty times as much memory."""

LONGEST_SCALAR = 1000
"""Characters of one key or value of a YAML file."""
DEEPEST = 50
"""Levels of nesting of a YAML file."""
LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
"""Octal in YAML 1.1, decimal in YAML 1.2."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; on success it is flushed to disk and renamed to `path`.

    Raises:
        DiskError: the disk is full.
    """
    temporary = temporary_name(path)
    try:
        with writing_explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(path)
            temporary.touch()
            yield temporary
            _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields an empty temporary folder beside `path`; on success it is flushed to disk and takes the place of `path`.

    Raises:
        DiskError: the disk is full.
    """
    temporary, replaced = temporary_name(path), temporary_name(path)
    try:
        with writing_explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(path)
            temporary.mkdir()
            yield temporary
            _flush_folder(temporary)
        # Moved away before it is removed: whoever is killed in between leaves no half of it.
        if path.exists():
            path.replace(replaced)
        temporary.replace(path)
        _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def move_folder(source: Path, target: Path) -> None:
    """Flush a folder to disk and give it the name `target`, which nothing has yet, on the same disk."""
    _flush_folder(source)
    source.rename(target)
    _flush(target.parent)


def keep_newest(folders: Iterable[Path], most: int) -> None:
    """Remove all but the `most` folders that were made last; those of them that are still being written stay."""
    whole = [folder for folder in folders if folder.is_dir() and not folder.name.startswith(".")]
    for folder in sorted(whole, key=lambda folder: folder.stat().st_mtime, reverse=True)[most:]:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def writing_explained(path: Path) -> Iterator[None]:
    """What cannot be written to `path` becomes a DiskError if the disk is full or this user may not write there.

    Other errors stay as they are.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno in READ_ONLY and not may_write(path):
            raise DiskError(_not_allowed(path, error)) from error
        if not _disk_is_full(error, path):
            raise
        raise DiskError(
            f"The disk is full: {path} could not be written ({error}). Free some space (df -h shows where there is "
            "none), then type the same command again."
        ) from error


def may_write(path: Path) -> bool:
    """Whether this user may write to `path`, or make it where it is not there yet."""
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    return os.access(existing, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def write_text(path: Path, text: str) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Strict JSON: a number that is not finite is an error here, not in the reader."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_text(path: Path, most_bytes: int) -> str:
    """The text of an ordinary file in UTF-8; nothing else is opened, since a pipe or a device may never end.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is something else than a file, cannot be read, has more than `most_bytes`, or is not UTF-8.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"expected a file, found {'a folder' if path.is_dir() else 'no ordinary file'}")
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    if len(content) > most_bytes:
        raise ValueError(f"it has more than {most_bytes:,} bytes")
    return content.decode("utf-8")


def load_json(path: Path, most_bytes: int) -> Any:
    """The content of a file of strict JSON, without NaN and Infinity.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: as `read_text`; or it is not JSON, or nested too deep.
    """
    try:
        return json.loads(read_text(path, most_bytes), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def load_yaml(path: Path, most_bytes: int) -> Any:
    """The content of a YAML file as DVC reads it (YAML 1.2, by ruamel.yaml), so that both see the same values.

    Refused is what grows far beyond its text (aliases, numbers of any length), what hides a value (a repeated key), and
    a number that YAML 1.1 would take for another one.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: as `read_text`; or it is not YAML, or something in it is refused.
    """
    text = read_text(path, most_bytes)
    try:
        _check_yaml(text)
        return YAML(typ="safe").load(text)
    except (YAMLError, TypeError, LookupError, AttributeError, OverflowError) as error:
        # For a value that does not fit its tag, the library raises what its conversion stumbles over.
        raise ValueError(_in_one_line(error)) from error


def _check_yaml(text: str) -> None:
    """Look at the file's events, before anything is built of them. Raises ValueError as `load_yaml`."""
    depth = 0
    for event in YAML(typ="safe").parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if problem := "it is nested too deep" if depth > DEEPEST else _problem(event):
            raise ValueError(f"{problem}, in line {event.start_mark.line + 1}")


def _problem(event: Event) -> str | None:
    """Why a part of a YAML file is refused."""
    if isinstance(event, AliasEvent):
        return "aliases are not read"
    if not isinstance(event, ScalarEvent):
        return None
    if len(event.value) > LONGEST_SCALAR:
        return f"more than {LONGEST_SCALAR:,} characters in one key or value"
    is_plain = event.implicit[0]
    if is_plain and LEADING_ZERO.fullmatch(event.value):
        return (
            f"{event.value} is octal in YAML 1.1 and decimal in YAML 1.2; write the number without the leading zero, "
            "or a text in quotes"
        )
    return None


def _in_one_line(error: Exception) -> str:
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        words = ", ".join(filter(None, (error.context, error.problem)))
        return f"{words}, in line {error.problem_mark.line + 1}"
    return " ".join(str(error).split())


def read_json(path: Path, made_by: str) -> Any:
    """The JSON content of an artifact; `made_by` is the command that makes it.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    try:
        return load_json(path, LARGEST_ARTIFACT)
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} is missing; make it with: {made_by}") from error
    except ValueError as error:
        raise ArtifactError(f"{path} is not JSON ({error}); make it again with: {made_by}") from error


def file_digest(path: Path) -> str:
    """SHA-256 of the file's bytes, in hexadecimal."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def folder_digest(*folders: Path) -> str:
    """SHA-256 over the names and bytes of all files below the folders."""
    lines = [
        f"{file_digest(file)} {file.relative_to(folder.parent).as_posix()}"
        for folder in folders
        for file in files_below(folder)
    ]
    return sha256("\n".join(lines).encode()).hexdigest()


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _not_allowed(path: Path, error: OSError) -> str:
    folder = next(folder for folder in path.parents if folder.exists())
    return (
        f"{path} cannot be written ({error.strerror}): {folder} must be writable for the user with the number "
        f"{os.geteuid()}. Let its owner allow that, or work in a clone of your own"
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _folders_below(folder: Path) -> list[Path]:
    """The folder itself, and all in it."""
    return [folder, *(path for path in folder.rglob("*") if path.is_dir())]


def _flush_folder(folder: Path) -> None:
    """Bring the folder, and all in it, to the disk."""
    for written in (*files_below(folder), *_folders_below(folder)):
        _flush(written)


def _flush(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk: what a power cut must not take."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _disk_is_full(error: Exception, path: Path) -> bool:
    """By the error's own word or a cause's; or by a look, since NumPy gives no reason."""
    if isinstance(error, FashionError) and not isinstance(error, DiskError):
        return False
    reason: BaseException | None = error
    while reason:
        if _says_full(reason):
            return True
        reason = reason.__cause__ or reason.__context__
    folder = next(folder for folder in path.parents if folder.exists())
    return shutil.disk_usage(folder).free < LEFT


def _says_full(error: BaseException) -> bool:
    by_number = getattr(error, "errno", None) in FULL or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
    return by_number or isinstance(error, DiskError) or os.strerror(errno.ENOSPC) in str(error)
