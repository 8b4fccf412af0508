"""Writing shards; the same rows make the same bytes."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fashion.adapters.shards.columns import METADATA, in_parts

SHARD_BYTES = 250 << 20
"""From this size on a new shard is begun; `datasets` makes them up to twice as large."""


@dataclass(frozen=True)
class Row:
    """A picture as it goes into a shard."""

    content: bytes
    """The picture file: PNG, JPEG, ..."""
    label: int
    path: str | None = None
    """What the picture was called."""
    group: str | None = None
    split: str | None = None


def write_shard(path: Path, rows: Iterable[Row], classes: Sequence[str]) -> None:
    """Write a shard; the same rows make the same bytes, with the same release of pyarrow."""
    schema = _schema(classes)
    with pq.ParquetWriter(path, schema, use_dictionary=["group", "split"], write_statistics=False) as writer:
        for part in in_parts(rows, lambda row: len(row.content)):
            writer.write_batch(pa.RecordBatch.from_pylist([_record(row) for row in part], schema))


def write_shards(
    folder: Path, split: str, rows: Iterable[Row], classes: Sequence[str], most_bytes: int = SHARD_BYTES
) -> list[Path]:
    """Write the pictures of a split into shards that `datasets` recognises by their names; return their paths.

    Args:
        folder: exists, and has no shards of this split yet.
        most_bytes: a shard is full once its pictures have this many bytes.
    """
    written = []
    for number, part in enumerate(_divide(rows, most_bytes)):
        written.append(folder / f".{split}-{number:05d}.parquet")
        write_shard(written[-1], part, classes)
    names = [folder / f"{split}-{number:05d}-of-{len(written):05d}.parquet" for number in range(len(written))]
    return [temporary.rename(path) for temporary, path in zip(written, names, strict=True)]


def _divide(rows: Iterable[Row], most_bytes: int) -> Iterator[Iterator[Row]]:
    """Yield the rows of one shard after the other; each is used up before the next begins."""
    rows = iter(rows)
    for first in rows:
        yield _until_full(first, rows, most_bytes)


def _until_full(first: Row, rows: Iterator[Row], most_bytes: int) -> Iterator[Row]:
    yield first
    size = len(first.content)
    while size < most_bytes and (row := next(rows, None)):
        yield row
        size += len(row.content)


def _record(row: Row) -> dict[str, Any]:
    image = {"bytes": row.content, "path": row.path}
    return {"image": image, "label": row.label, "group": row.group, "split": row.split}


def _schema(classes: Sequence[str]) -> pa.Schema:
    text = {"dtype": "string", "_type": "Value"}
    label = {"names": list(classes), "_type": "ClassLabel"}
    features = {"image": {"_type": "Image"}, "label": label, "group": text, "split": text}
    return pa.schema(
        {
            "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
            "label": pa.int64(),
            "group": pa.string(),
            "split": pa.string(),
        },
        {METADATA: json.dumps({"info": {"features": features}})},
    )
