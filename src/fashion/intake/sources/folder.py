"""A folder: one folder a class in it."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fashion.adapters.decoding import readable_name
from fashion.errors import DataError
from fashion.intake.layout import lay_out
from fashion.intake.sources.source import Item, Source, source_of_files, why_too_large


@dataclass(frozen=True)
class Entry:
    """What stands below a folder."""

    path: PurePosixPath
    """Relative to it."""
    size: int = 0
    """Bytes."""
    changed: int = 0
    """When it was changed last: nanoseconds, by its disk."""
    odd: str | None = None
    """Why it is neither a file nor a folder that can be read."""


def open_folder(folder: Path) -> Source:
    """Look at all files below a folder; none is read yet.

    A link is not followed: what it points to may lie anywhere, and may be gone tomorrow.

    Raises:
        DataError: a folder in it is neither a split nor a class.
    """
    entries = list(walk(folder))
    files = {entry.path: entry.size for entry in entries if not entry.odd}
    odd = {entry.path: entry.odd for entry in entries if entry.odd}
    layout = lay_out(files, odd)
    large = {path: reason for path in files if path in layout.places and (reason := why_too_large(files[path]))}
    unusable = {**large, **odd}
    return source_of_files(folder.resolve().name, layout, files, unusable, lambda chosen: read_files(folder, chosen))


def read_files(folder: Path, items: Sequence[Item]) -> Iterator[bytes | DataError]:
    """Yield the content of each item's file in the folder."""
    for item in items:
        try:
            yield (folder / item.name).read_bytes()
        except OSError as error:
            yield DataError(f"{readable_name(item.name)}: {error.strerror or error}")


def walk(folder: Path) -> Iterator[Entry]:
    """Yield everything below a folder, in an order that is the same each time; the names of one folder are in memory.

    A folder is yielded only if it cannot be read.
    """
    unread = [PurePosixPath()]
    while unread:
        here = unread.pop()
        try:
            names = sorted(os.listdir(folder / here))
        except OSError as error:
            yield Entry(here, odd=f"cannot be read: {error.strerror or error}")
            continue
        below = []
        for name in names:
            entry = _look_at(folder, here / name)
            if entry is None:
                below.append(here / name)
            else:
                yield entry
        unread += reversed(below)


def _look_at(folder: Path, path: PurePosixPath) -> Entry | None:
    """Return what stands there; None for a folder."""
    try:
        found = os.lstat(folder / path)
    except OSError as error:
        return Entry(path, odd=f"cannot be read: {error.strerror or error}")
    if stat.S_ISDIR(found.st_mode):
        return None
    if stat.S_ISLNK(found.st_mode):
        return Entry(path, odd="a link, which is not followed; put what it points to here")
    if not stat.S_ISREG(found.st_mode):
        return Entry(path, odd="a pipe or a device")
    return Entry(path, found.st_size, found.st_mtime_ns)
