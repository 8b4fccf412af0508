"""Where pictures come from: folders, archives, tables, shards, IDX. One module a kind; all give a `Source`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fashion.errors import DataError
from fashion.intake.sources.folder import open_folder
from fashion.intake.sources.source import Item, Source

__all__ = ["Item", "Source", "open_source"]


def open_source(path: Path, skipped: Sequence[str] = ()) -> Source:
    """Return what a folder or a file has to offer.

    Args:
        skipped: classes that are left out.

    Raises:
        DataError: there is nothing, it is of no known kind, or there is no such class to leave out.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; expected a folder with pictures, one folder a class")
    source = _without(_open(path), skipped)
    if not source.items and source.refused:
        name, reason = next(iter(source.refused.items()))
        raise DataError(
            f"{path} has no picture that can be used. The first of {len(source.refused):,}: {name}: {reason}"
        )
    if not source.items:
        raise DataError(f"{path} has no pictures; expected one folder a class, with PNG, JPEG, WebP, GIF or BMP files")
    return source


def _open(path: Path) -> Source:
    return open_folder(path)


def _without(source: Source, skipped: Sequence[str]) -> Source:
    labels = {item.label for item in source.items}
    if unknown := [name for name in skipped if name not in labels]:
        raise DataError(f"--skip {unknown[0]}: there is no such class; found {', '.join(sorted(labels)[:10])}")
    classes = tuple(name for name in source.classes if name not in skipped) if source.classes else None
    return replace(source, items=[item for item in source.items if item.label not in skipped], classes=classes)
