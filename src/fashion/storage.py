"""Files that are complete or absent: everything is written to a temporary name and renamed."""

import errno
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fashion.errors import DataError, DiskError, FashionError
from fashion.leftovers import remove_leftovers, temporary_name

FULL = (errno.ENOSPC, errno.EDQUOT)
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
LEFT_BYTES = 1 << 16
"""Free bytes below which a disk counts as full, for libraries that do not say why they could not write."""


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed to disk and renamed to `path`.

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
    """Yield an empty temporary folder beside `path`; on success it is flushed to disk and replaces `path`.

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
        # Moved away before it is removed: a kill in between does not leave half of it.
        if path.exists():
            path.replace(replaced)
        temporary.replace(path)
        _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def move_folder(source: Path, target: Path) -> None:
    """Flush a folder to disk and rename it to `target`, which does not exist yet, on the same disk."""
    _flush_folder(source)
    source.rename(target)
    _flush(target.parent)


def keep_newest(folders: Iterable[Path], most: int) -> None:
    """Remove all but the `most` newest folders; folders that are still being written stay."""
    whole = [folder for folder in folders if folder.is_dir() and not folder.name.startswith(".")]
    for folder in sorted(whole, key=lambda folder: folder.stat().st_mtime, reverse=True)[most:]:
        shutil.rmtree(folder, ignore_errors=True)


def keep_only(folder: Path, kept: Collection[Path]) -> None:
    """Remove all files of a folder except `kept`, and the folder itself if nothing is kept.

    Raises:
        DataError: that is not possible.
    """
    try:
        for path in folder.iterdir():
            if path not in kept:
                path.unlink()
        if not kept:
            folder.rmdir()
    except OSError as error:
        raise DataError(f"Could not clear {folder}: {error}; fix that, then try again") from error


@contextmanager
def writing_explained(path: Path) -> Iterator[None]:
    """Raise a DiskError if `path` cannot be written because the disk is full or this user has no permission.

    Other errors are not changed.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno in READ_ONLY and not may_write(path):
            raise DiskError(_not_allowed(path, error)) from error
        if not _disk_is_full(error, path):
            raise
        raise DiskError(
            f"The disk is full: {path} could not be written ({error}). Free some space (df -h shows which disk is "
            "full), then type the same command again."
        ) from error


def may_write(path: Path) -> bool:
    """Return whether this user may write to `path`, or create it if it does not exist yet."""
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    return os.access(existing, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def write_text(path: Path, text: str) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write strict JSON: a number that is not finite is an error here, not in the reader."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of the file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(*folders: Path) -> str:
    """Return the SHA-256 over the names and bytes of all files below the folders."""
    lines = [
        f"{file_digest(file)} {file.relative_to(folder.parent).as_posix()}"
        for folder in folders
        for file in files_below(folder)
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _not_allowed(path: Path, error: OSError) -> str:
    folder = next(folder for folder in path.parents if folder.exists())
    return (
        f"{path} cannot be written ({error.strerror}): {folder} must be writable for the user with id "
        f"{os.geteuid()}. Ask its owner to allow that, or work in a clone of your own"
    )


def _flush_folder(folder: Path) -> None:
    """Flush the folder, and everything in it, to disk."""
    folders = (path for path in folder.rglob("*") if path.is_dir())
    for written in (*files_below(folder), *folders, folder):
        _flush(written)


def _flush(path: Path) -> None:
    """Flush a file, or the names in a folder, to disk, so that they survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _disk_is_full(error: Exception, path: Path) -> bool:
    """Return whether the error or one of its causes says that the disk is full, or it is: NumPy gives no reason."""
    if isinstance(error, FashionError) and not isinstance(error, DiskError):
        return False
    reason: BaseException | None = error
    while reason:
        if _says_full(reason):
            return True
        reason = reason.__cause__ or reason.__context__
    folder = next(folder for folder in path.parents if folder.exists())
    return shutil.disk_usage(folder).free < LEFT_BYTES


def _says_full(error: BaseException) -> bool:
    by_number = getattr(error, "errno", None) in FULL or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
    return by_number or isinstance(error, DiskError) or os.strerror(errno.ENOSPC) in str(error)
