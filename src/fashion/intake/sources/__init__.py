"""Where pictures come from: folders, archives, tables, shards, IDX. One module a kind; all give a `Source`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fashion.adapters.shards import column_names
from fashion.errors import DataError
from fashion.intake.sources.archive import open_archive
from fashion.intake.sources.folder import open_folder
from fashion.intake.sources.idx import find_idx, open_idx
from fashion.intake.sources.shards import open_shards
from fashion.intake.sources.source import Item, Source, reason_of, unusable_class, why_too_large
from fashion.intake.sources.table import is_table, open_table

__all__ = ["Item", "Source", "open_source", "reason_of", "unusable_class", "why_too_large"]


def open_source(path: Path, skipped: Sequence[str] = ()) -> Source:
    """Return what a folder or a file has to offer.

    Args:
        skipped: classes that are left out.

    Raises:
        DataError: there is nothing, it is of no known kind, a class has nothing that can be used, or there is no such
            class to leave out.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; expected a folder with pictures, one folder per class")
    source = _without(_open(path), skipped)
    if not source.items and source.refused:
        name, first = next(iter(source.refused.items()))
        raise DataError(
            f"{path} has no picture that can be used. The first of {len(source.refused):,}: {name}: {first.reason}"
        )
    if not source.items:
        raise DataError(f"{path} has no pictures; expected a folder per class, with PNG, JPEG, WebP, GIF or BMP files")
    there = {item.label for item in source.items}
    for name, refused in source.refused.items():
        if refused.label is not None and refused.label not in there:
            raise unusable_class(refused.label, name, refused.reason)
    return source


def _open(path: Path) -> Source:
    if path.is_dir():
        return _open_folder(path)
    kind = path.suffix.lower()
    if kind == ".zip":
        return open_archive(path)
    if kind == ".parquet" and _holds_pictures(path):
        return open_shards(path.resolve().stem, [path])
    if kind in (".csv", ".parquet"):
        return open_table(path)
    raise DataError(f"{path}: expected a folder, a zip archive, or a table (.csv, .parquet)")


def _open_folder(folder: Path) -> Source:
    """Open what a folder is: IDX files, shards, a table with its pictures, or one folder a class."""
    name = folder.resolve().name
    if pairs := find_idx(folder):
        return open_idx(name, pairs)
    shards = sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))
    if holding := [path for path in shards if _holds_pictures(path)]:
        return open_shards(name, holding)
    tables = [path for path in (*sorted(folder.glob("*.csv")), *shards) if path.parent == folder]
    if len(tables) == 1 and is_table(tables[0]):
        return replace(open_table(tables[0]), name=name)
    source = open_folder(folder)
    # Its error says what the table lacks.
    return open_table(tables[0]) if tables and not source.items else source


def _holds_pictures(path: Path) -> bool:
    return "image" in column_names(path, path.name)


def _without(source: Source, skipped: Sequence[str]) -> Source:
    refused_labels = {one.label for one in source.refused.values() if one.label is not None}
    labels = {item.label for item in source.items} | set(source.classes or ()) | refused_labels
    if unknown := [name for name in skipped if name not in labels]:
        raise DataError(f"--skip {unknown[0]}: there is no such class; found {', '.join(sorted(labels)[:10])}")
    classes = tuple(name for name in source.classes if name not in skipped) if source.classes else None
    items = [item for item in source.items if item.label not in skipped]
    refused = {name: one for name, one in source.refused.items() if one.label not in skipped}
    return replace(source, items=items, refused=refused, classes=classes)
