"""Reading the pictures of shards that need not say what they show: to answer them, and not to learn from them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

# Of this package alone: what they check is the same with labels and without.
from fashion.adapters.shards.reading import Stored, _check_claims, _holds_pictures, _read_group
from fashion.errors import DataError


def count_pictures(path: Path, name: str) -> int:
    """Return how many pictures a shard claims to contain.

    Raises:
        DataError: the file is damaged or has another form; the message says in one line what was expected and found.
    """
    with _opened(path, name) as file:
        return int(file.metadata.num_rows)


def read_stretch(path: Path, name: str, start: int, end: int) -> Iterator[list[Stored]]:
    """Yield the pictures of the rows from `start` to before `end`, a few at a time.

    Raises:
        DataError: like `count_pictures`, perhaps after some pictures.
    """
    with _opened(path, name) as file:
        wanted = np.zeros(file.metadata.num_rows, np.bool_)
        wanted[start:end] = True
        first = 0
        for number in range(file.num_row_groups):
            after = first + file.metadata.row_group(number).num_rows
            if wanted[first:after].any():
                yield from _read_group(file, number, first, name, wanted)
            first = after


@contextmanager
def _opened(path: Path, name: str) -> Iterator[pq.ParquetFile]:
    try:
        # Mapped and not read ahead: else a whole column of a row group is in memory, or what a page claims.
        with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
            _check_claims(file.metadata, path.stat().st_size, name)
            _check_image(file.schema_arrow, name)
            yield file
    except (pa.ArrowException, OSError, ValueError) as error:
        words = " ".join(str(error).split())
        raise DataError(f"{name}: expected a Parquet file, found damaged bytes ({words})") from error


def _check_image(schema: pa.Schema, name: str) -> None:
    found = schema.field("image").type if "image" in schema.names else None
    if found is None or not _holds_pictures(found):
        raise DataError(
            f"{name}, column image: expected a struct with bytes and path, pictures as files; found "
            f"{found or 'no such column'}"
        )
