"""A table beside pictures: a CSV or Parquet file with the columns path and label, perhaps split and group."""

import os
import re
from pathlib import Path

import pandas as pd

from fashion.adapters.decoding import readable_name
from fashion.adapters.shards import column_names
from fashion.errors import DataError
from fashion.intake.layout import SPLIT_NAMES
from fashion.intake.sources.folder import read_files
from fashion.intake.sources.source import Item, Refused, Source, why_too_large
from fashion.reading import DAMAGE

COLUMNS = ("path", "label", "split", "group")
MOST_BYTES_OF_TABLE = 1 << 30
MOST_BYTES_OF_HEADER = 1 << 16
LONGEST_SHOWN = 100
"""Characters of a path that are shown: what stands there may be a whole picture, as text."""


def open_table(path: Path) -> Source:
    """Look at the rows of a table; paths are relative to its folder.

    Raises:
        DataError: it is damaged, lacks a column, or says something impossible; the message names the first row.
    """
    folder = path.resolve().parent
    rows = _read_rows(path)
    items, refused = [], {}
    for number, row in enumerate(rows, start=1):
        where = f"{path.name}, row {number}"
        item = _item(row, where)
        if reason := _why_unusable(folder, item.name):
            shown = readable_name(item.name)
            name = f"{where}: {shown if len(shown) <= LONGEST_SHOWN else f'{shown[:LONGEST_SHOWN]}...'}"
            refused[name] = Refused(reason, item.label)
        else:
            size = (folder / item.name).stat().st_size
            items.append(Item(item.name, item.label, item.split, item.group, size))
    if refused and not items:
        name, first = next(iter(refused.items()))
        raise DataError(f"None of the {len(rows):,} pictures of {path} can be used. The first: {name}: {first.reason}")
    return Source(path.resolve().stem, items, lambda chosen: read_files(folder, chosen), refused)


def is_table(path: Path) -> bool:
    """Return whether the header of a file beside pictures names their paths and classes, in any encoding.

    Whether the file can be read is not asked: `open_table` says why it cannot.
    """
    try:
        names = column_names(path, path.name) if path.suffix.lower() == ".parquet" else _names_in_header(path)
    except OSError:
        return path.is_file()
    return set(COLUMNS[:2]) <= {name.strip().lower() for name in names}


def _names_in_header(path: Path) -> list[str]:
    with path.open("rb") as file:
        text = file.read(MOST_BYTES_OF_HEADER).decode("ascii", "ignore").replace("\0", "")  # UTF-16 has zero bytes.
    header = next(iter(text.strip().splitlines()), "")
    return [name.strip(' "') for name in re.split(r"[,;\t]", header)]


def _read_rows(path: Path) -> list[tuple[str | None, ...]]:
    """Return the values of `COLUMNS` in each row."""
    if path.stat().st_size > MOST_BYTES_OF_TABLE:
        raise DataError(f"{path} has more than {MOST_BYTES_OF_TABLE:,} bytes; expected a table of paths and labels")
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
        else:
            # As text: a class named 007 or NA is no number and not missing.
            table = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], encoding="utf-8-sig")
    except DAMAGE as error:
        words = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read as a table ({words}); expected CSV or Parquet") from error
    table.columns = [str(column).strip().lower() for column in table.columns]
    if missing := [column for column in COLUMNS[:2] if column not in table.columns]:
        raise DataError(
            f"{path} has no column {' and no column '.join(missing)}; expected path and label, and perhaps split and "
            f"group; found {', '.join(table.columns)}"
        )
    if double := [column for column in COLUMNS if list(table.columns).count(column) > 1]:
        raise DataError(
            f"{path} has several columns {' and '.join(double)}, which differ in capital letters or spaces only; "
            "expected one, rename the others"
        )
    if not len(table):
        raise DataError(f"{path} has no rows")
    return list(zip(*(_texts(table, column) for column in COLUMNS), strict=True))


def _texts(table: pd.DataFrame, column: str) -> list[str | None]:
    if column not in table.columns:
        return [None] * len(table)
    return [None if pd.isna(value) or not str(value).strip() else str(value).strip() for value in table[column]]


def _item(row: tuple[str | None, ...], where: str) -> Item:
    name, label, split, group = row
    if name is None or label is None:
        raise DataError(f"{where}: expected a path and a label, found none")
    if split is not None and split.lower() not in SPLIT_NAMES:
        raise DataError(f"{where}: the split is {split!r}; expected train, validation or test")
    # Without `..`, as it is checked: to the system, that of a link is the folder of what it points to.
    return Item(os.path.normpath(name.replace("\\", "/")), label, SPLIT_NAMES[split.lower()] if split else None, group)


def _why_unusable(folder: Path, name: str) -> str | None:
    """Return why a row's picture is not taken, if so: its path must stay inside of the table's folder."""
    path = Path(os.path.normpath(folder / name))
    try:
        if not path.is_relative_to(folder) or not path.resolve().is_relative_to(folder):
            return f"the path leaves the folder {folder}"
        if not path.is_file():
            return "there is no such file"
        return why_too_large(path.stat().st_size)
    except (OSError, ValueError, RuntimeError) as error:  # Too long, with a zero byte, or in a circle of links.
        return f"this is not the path of a file ({getattr(error, 'strerror', None) or error})"
