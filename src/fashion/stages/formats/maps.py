"""Arrays in files without a name: they need no memory of the process, and nothing is left of them when it ends."""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Bytes
from fashion.storage import writing_explained

BYTES_AT_ONCE = 1 << 24
"""Of images that are copied."""


@contextmanager
def unnamed_file(folder: Path) -> Iterator[BinaryIO]:
    """Yield a file that has no name in `folder`, whose disk it uses; even a kill removes it.

    Written as a file, and mapped once it is whole: writing through a map ends the process when the disk is full.

    Raises:
        DiskError: the disk is full.
    """
    with writing_explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            yield file


def map_bytes(file: BinaryIO, shape: tuple[int, ...]) -> Bytes:
    """Return the bytes of a file as a read-only array, which keeps the file until nobody uses it any more."""
    file.flush()
    if 0 in shape:  # An empty file cannot be mapped.
        return np.empty(shape, np.uint8)
    # As a plain array: slicing a memmap takes several times as long.
    return np.asarray(np.memmap(file, np.uint8, "r", shape=shape))


def map_rows(folder: Path, images: Bytes, rows: NDArray[np.int64]) -> Bytes:
    """Return a copy of some images (n, height, width, channels), in this order, as a map.

    Raises:
        DiskError: the disk of `folder` is full.
    """
    step = max(1, BYTES_AT_ONCE // math.prod(images.shape[1:]))
    with unnamed_file(folder) as file:
        for start in range(0, len(rows), step):
            file.write(np.ascontiguousarray(images[rows[start : start + step]]).data)
        return map_bytes(file, (len(rows), *images.shape[1:]))
