"""Reading a shard, which may be damaged or hostile: a few pictures are in memory at a time."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fashion.adapters.shards.columns import METADATA, in_parts
from fashion.arrays import Booleans
from fashion.errors import DataError

MOST_ROWS = 10_000_000
MOST_EXPANSION = 1000
"""How many times its size a file may claim to hold: pictures are compressed already, and a claim costs nothing."""
NO_BYTES = "there are no bytes; a shard must contain its pictures, not only name them"
DECODED_AT_ONCE = 4
"""Rows that pyarrow decodes at a time, which may be of any size; one by one takes three times as long, 100 no less."""


@dataclass(frozen=True)
class Rows:
    """What a shard says about its pictures, one entry per row."""

    labels: NDArray[np.int64]
    groups: tuple[str | None, ...]
    splits: tuple[str | None, ...]
    classes: tuple[str, ...] | None
    """The names of the classes; None if the shard does not say."""


@dataclass(frozen=True)
class Stored:
    """A picture as it comes out of a shard."""

    name: str
    """For messages: the shard, the row, and what the picture was called."""
    content: bytes | None
    """None where the shard names a file without containing it."""


def read_rows(path: Path, name: str) -> Rows:
    """Read everything about the pictures of a shard but the pictures.

    Args:
        name: how messages call the file.

    Raises:
        DataError: the file is damaged or has another form; the message says in one line what was expected and found.
    """
    with _opened(path, name, _check_columns) as file:
        schema = file.schema_arrow
        names = [column for column in ("label", "group", "split") if column in schema.names]
        table = file.read(names, use_threads=False)
        if table["label"].null_count:
            raise DataError(f"{name}, row {table['label'].to_pylist().index(None)}: there is no label")
        return Rows(
            labels=table["label"].cast(pa.int64()).to_numpy(),
            groups=_texts(table, "group"),
            splits=_texts(table, "split"),
            classes=_class_names(schema, name),
        )


def column_names(path: Path, name: str) -> list[str]:
    """Return the columns of any Parquet file.

    Raises:
        DataError: it is none.
    """
    try:
        with _mapped(path) as content:
            return list(pq.read_schema(content).names)
    except (pa.ArrowException, OSError, ValueError) as error:
        words = " ".join(str(error).split())
        raise DataError(f"{name}: expected a Parquet file, found damaged bytes ({words})") from error


def read_pictures(path: Path, name: str, wanted: Booleans) -> Iterator[list[Stored]]:
    """Yield the wanted pictures of a shard in their order, a few at a time.

    Args:
        wanted: (rows,), as many as `read_rows` returns.

    Raises:
        DataError: like `read_rows`.
    """
    with _opened(path, name, _check_columns) as file:
        for pictures in _read_wanted(file, name, wanted):
            yield from in_parts(pictures, lambda picture: len(picture.content or b""))


def count_pictures(path: Path, name: str) -> int:
    """Return how many pictures a shard claims to contain, which need not say what they show.

    Raises:
        DataError: the file is damaged or has another form; the message says in one line what was expected and found.
    """
    with _opened(path, name, _check_image) as file:
        return int(file.metadata.num_rows)


def end_of_group(path: Path, name: str, row: int) -> int:
    """Return the first row behind the group of rows that `row` is in, 0 if there is no such row; raises the same."""
    with _opened(path, name, _check_image) as file:
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        return next((end for end in accumulate(sizes) if end > row), 0)


def read_from(path: Path, name: str, start: int) -> Iterator[Stored]:
    """Yield the pictures of the rows from `start` on, which need not say what they show; the file is open meanwhile.

    Raises:
        DataError: like `count_pictures`, perhaps after some pictures.
    """
    with _opened(path, name, _check_image) as file:
        for pictures in _read_wanted(file, name, np.arange(file.metadata.num_rows) >= start):
            yield from pictures


@contextmanager
def _opened(path: Path, name: str, check: Callable[[pa.Schema, str], None]) -> Iterator[pq.ParquetFile]:
    """Open a shard of the right form; what goes wrong while it is read becomes a DataError."""
    if path.exists() and not path.is_file():
        raise DataError(f"{name}: expected a file, found a folder or a device")
    try:
        # Mapped and not read ahead: else a whole column of a row group is in memory, or what a page claims.
        with _mapped(path) as content, pq.ParquetFile(content, pre_buffer=False) as file:
            _check_claims(file.metadata, path.stat().st_size, name)
            _check_once(file.schema_arrow, name)
            check(file.schema_arrow, name)
            yield file
    except (pa.ArrowException, OSError, ValueError) as error:
        words = " ".join(str(error).split())
        raise DataError(f"{name}: expected a Parquet file, found damaged bytes ({words})") from error


def _mapped(path: Path) -> pa.MemoryMappedFile:
    """Map a file; its path is handed on as bytes, as pyarrow takes no text that is not UTF-8."""
    return pa.memory_map(os.fsencode(path))


def _check_claims(metadata: pq.FileMetaData, size: int, name: str) -> None:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    rows, claimed = metadata.num_rows, sum(max(0, group.total_byte_size) for group in groups)
    if any(group.num_rows < 0 for group in groups) or sum(group.num_rows for group in groups) != rows:
        raise DataError(f"{name}: claims {rows} rows, but its row groups claim another number; the file is not read")
    if rows > MOST_ROWS:
        raise DataError(f"{name}: claims {rows:,} rows, more than the limit of {MOST_ROWS:,}; the file is not read")
    if claimed > MOST_EXPANSION * size:
        raise DataError(
            f"{name}: claims {claimed:,} bytes, more than {MOST_EXPANSION:,} times those of the file; it is not read"
        )


def _check_once(schema: pa.Schema, name: str) -> None:
    if twice := [column for column in ("image", "label", "group", "split") if schema.names.count(column) > 1]:
        raise DataError(f"{name}: has several columns {twice[0]}; expected one")


def _check_image(schema: pa.Schema, name: str) -> None:
    found = schema.field("image").type if "image" in schema.names else None
    if found is None or not _holds_pictures(found):
        raise DataError(
            f"{name}, column image: expected a struct with bytes and path, pictures as files; found "
            f"{found or 'no such column'}"
        )


def _check_columns(schema: pa.Schema, name: str) -> None:
    if missing := [column for column in ("image", "label") if column not in schema.names]:
        raise DataError(
            f"{name}: has no column {' and no column '.join(missing)}; expected image {{bytes, path}} and label, found "
            f"{', '.join(schema.names) or 'none'}"
        )
    types = {
        "image": ("a struct with bytes and path, pictures as files", _holds_pictures),
        "label": ("whole numbers, those of the classes", pa.types.is_integer),
        "group": ("text or whole numbers", lambda kind: _is_text(kind) or pa.types.is_integer(kind)),
        "split": ("text", _is_text),
    }
    for column, (expected, fits) in types.items():
        if column in schema.names and not fits(schema.field(column).type):
            raise DataError(f"{name}, column {column}: expected {expected}; found {schema.field(column).type}")


def _holds_pictures(kind: pa.DataType) -> bool:
    fields = {field.name: field.type for field in kind} if pa.types.is_struct(kind) else {}
    content = fields.get("bytes", pa.null())
    is_binary = pa.types.is_binary(content) or pa.types.is_large_binary(content)
    return is_binary and _is_text(fields.get("path", pa.string()))


def _is_text(kind: pa.DataType) -> bool:
    return any(is_one(kind) for is_one in (pa.types.is_string, pa.types.is_large_string, pa.types.is_null))


def _texts(table: pa.Table, column: str) -> tuple[str | None, ...]:
    if column not in table.column_names:
        return (None,) * len(table)
    return tuple(text or None for text in table[column].cast(pa.string()).to_pylist())  # pandas: fillna("")


def _class_names(schema: pa.Schema, name: str) -> tuple[str, ...] | None:
    """Return the names of the classes; other tools than `datasets` leave them out."""
    content: Any = (schema.metadata or {}).get(METADATA)
    try:
        content = json.loads(content) if content else {}
        for key in ("info", "features", "label", "names"):
            content = content.get(key) if isinstance(content, dict) else None
    except RecursionError as error:
        raise DataError(f"{name}: its metadata {METADATA.decode()} are nested too deeply") from error
    return tuple(map(str, content)) if isinstance(content, list) else None


def _read_wanted(file: pq.ParquetFile, name: str, wanted: Booleans) -> Iterator[Iterator[Stored]]:
    """Yield the wanted pictures of each group of rows."""
    start = 0
    for number in range(file.num_row_groups):
        end = start + file.metadata.row_group(number).num_rows
        if wanted[start:end].any():
            yield _read_group(file, number, start, name, wanted)
        start = end


def _read_group(file: pq.ParquetFile, number: int, start: int, name: str, wanted: Booleans) -> Iterator[Stored]:
    place, end = start, start + file.metadata.row_group(number).num_rows
    last = start + np.flatnonzero(wanted[start:end])[-1]
    for batch in file.iter_batches(DECODED_AT_ONCE, row_groups=[number], columns=["image"], use_threads=False):
        for row, (image, is_wanted) in enumerate(zip(batch.column("image"), wanted[place:end], strict=False), place):
            if is_wanted:
                yield _stored(image.as_py() or {}, f"{name}, row {row}")
        place += len(batch)
        if last < place < end:
            return  # Other tools write all rows of a file as one group.
    if place != end:
        raise DataError(f"{name}: a row group claims {end - start} rows, and contains {place - start}")


def _stored(image: dict[str, Any], name: str) -> Stored:
    return Stored(f"{name} ({image['path']})" if image.get("path") else name, image.get("bytes"))
