"""pyarrow: Parquet shards of answers. Each says in its metadata what it is, and what came of it, without its rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fashion.storage import atomic_file

METADATA = b"fashion"
"""The key in the schema's metadata: JSON with the names of the classes, in the order of the probabilities, and more."""
SCHEMA = pa.schema(
    {
        "path": pa.string(),
        "class": pa.string(),
        "probabilities": pa.list_(pa.float32()),
        "abstain": pa.bool_(),
        "reason": pa.string(),
        "model": pa.string(),
        "version": pa.string(),
    }
)


@dataclass
class Columns:
    """The rows of a shard of answers; a picture that was refused has no class."""

    paths: list[str] = field(default_factory=list)
    classes: list[str | None] = field(default_factory=list)
    probabilities: list[NDArray[np.float32] | None] = field(default_factory=list)
    """Each (classes,)."""
    reasons: list[str | None] = field(default_factory=list)
    """Why the answer is not to be relied on, or why there is none; None where it is."""


def write_answers(path: Path, columns: Columns, model: str, version: str, note: Mapping[str, Any]) -> None:
    """Write a shard, whole or not at all; the same rows make the same bytes, with the same release of pyarrow.

    Raises:
        DiskError: the disk is full.
    """
    count = len(columns.paths)
    content = {
        "path": columns.paths,
        "class": columns.classes,
        "probabilities": columns.probabilities,
        "abstain": [reason is not None for reason in columns.reasons],
        "reason": columns.reasons,
        "model": [model] * count,
        "version": [version] * count,
    }
    schema = SCHEMA.with_metadata({METADATA: json.dumps(dict(note))})
    # Opened here, as pyarrow takes no path that is not UTF-8.
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        pq.write_table(pa.table(content, schema), file, compression="zstd")


def read_note(path: Path) -> dict[str, Any] | None:
    """Return what was noted of a shard; None if there is none, or it is no such file."""
    try:
        with path.open("rb") as file:
            content = json.loads((pq.read_schema(file).metadata or {}).get(METADATA, b"null"))
    except (pa.ArrowException, OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def readable_text(names: Sequence[str]) -> list[str]:
    """Return names of files as text: bytes that are not, which Parquet refuses, are replaced."""
    return [name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in names]
