"""A folder: one folder a class in it."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from fashion.adapters.decoding import MOST_BYTES, readable_name
from fashion.errors import DataError
from fashion.intake.layout import lay_out
from fashion.intake.sources.source import Item, Source


def open_folder(folder: Path) -> Source:
    """Look at all files below a folder; none is read yet.

    A link is not followed: what it points to may lie anywhere, and may be gone tomorrow.
    """
    files, odd = _walk(folder)
    layout = lay_out(files)
    items = [
        Item(str(path), place.label, place.split, size=files[path])
        for path, place in layout.places.items()
        if files[path] <= MOST_BYTES
    ]
    large = {path: f"has more than {MOST_BYTES:,} bytes; reduce its size" for path in files if files[path] > MOST_BYTES}
    refused = {**layout.refused, **{path: reason for path, reason in large.items() if path in layout.places}, **odd}
    return Source(
        folder.resolve().name,
        items,
        lambda chosen: read_files(folder, chosen),
        {readable_name(str(path)): reason for path, reason in refused.items()},
        [readable_name(str(path)) for path in layout.passed_over],
    )


def read_files(folder: Path, items: Sequence[Item]) -> Iterator[bytes | DataError]:
    """Yield the content of each item's file in the folder."""
    for item in items:
        try:
            yield (folder / item.name).read_bytes()
        except OSError as error:
            yield DataError(f"{readable_name(item.name)}: {error.strerror or error}")


def _walk(folder: Path) -> tuple[dict[PurePosixPath, int], dict[PurePosixPath, str]]:
    """Return all files below the folder with their bytes, and what is neither a file nor a folder, and why."""
    files: dict[PurePosixPath, int] = {}
    odd: dict[PurePosixPath, str] = {}
    unread = [(folder, PurePosixPath())]
    while unread:
        here, name = unread.pop()
        try:
            entries = list(os.scandir(here))
        except OSError as error:
            odd[name] = f"cannot be read: {error.strerror or error}"
            continue
        for entry in entries:
            path = name / entry.name
            if entry.is_symlink():
                odd[path] = "a link, which is not followed; put what it points to here"
            elif entry.is_dir():
                unread.append((here / entry.name, path))
            elif entry.is_file():
                files[path] = entry.stat().st_size
            else:
                odd[path] = "a pipe or a device"
    return files, odd
