"""IDX files of any size: a plain one is mapped where it is, a compressed one is unpacked onto the disk first."""

import gzip
import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from fashion.adapters.decoding import GZIP, IDX
from fashion.arrays import Bytes
from fashion.errors import DataError
from fashion.images.idx import LARGEST_BYTES, copy_idx, read_header
from fashion.storage import atomic_file

MOST_EXPANSION = 1040
"""How many times its size a compressed file can hold: 1032, says its format (RFC 1951), and a header."""
CHANNELS = ((), (1,), (3,), (4,))


def is_compressed(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(GZIP)) == GZIP


def is_idx(path: Path) -> bool:
    """Return whether a file begins like an IDX file, or like a compressed file."""
    with path.open("rb") as stream:
        return stream.read(len(IDX)).startswith((GZIP, IDX))


def read_shape(path: Path, name: str) -> tuple[int, ...]:
    """Return the shape of the images that a file claims: (n, height, width), or with channels.

    Raises:
        DataError: it is damaged, holds no images, or, where that can be seen at once, more or fewer bytes than it says.
    """
    with _decompressed(path, name) as stream:
        shape = read_header(stream, name, (3, 4))
    if not math.prod(shape) or shape[3:] not in CHANNELS:
        raise DataError(f"{name}: expected images with 1, 3 or 4 channels, found the shape {shape}")
    _check_size(path, name, shape)
    return shape


def unpack(path: Path, name: str, target: Path) -> None:
    """Write the pixels of a compressed file to `target`, without its header.

    Raises:
        DataError: it is damaged, or too large to be believed.
        DiskError: the disk is full.
    """
    dimensions = len(read_shape(path, name))
    with atomic_file(target) as temporary, path.open("rb") as stream, temporary.open("wb") as sink:
        copy_idx(stream, sink, name, dimensions)


def map_images(path: Path, shape: Sequence[int], unpacked: bool) -> Bytes:
    """Return the images of a plain file, or of what `unpack` made, as a mapped file: (n, height, width, channels)."""
    offset = 0 if unpacked else 4 + 4 * len(shape)
    images = np.asarray(np.memmap(path, np.uint8, "r", offset, tuple(shape)))
    return images if images.ndim == 4 else images[..., None]


@contextmanager
def _decompressed(path: Path, name: str) -> Iterator[BinaryIO]:
    try:
        with gzip.open(path) if is_compressed(path) else path.open("rb") as stream:
            yield cast("BinaryIO", stream)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name}: expected a gzip file, found damaged bytes ({error})") from error
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}") from error


def _check_size(path: Path, name: str, shape: tuple[int, ...]) -> None:
    """Check the size of a plain file; of a compressed one, whether what the header claims can be in it.

    Nothing is planned for images that a few bytes claim.
    """
    expected, found = 4 + 4 * len(shape) + math.prod(shape), path.stat().st_size
    if not is_compressed(path):
        if expected != found:
            raise DataError(f"{name}: the header claims {expected:,} bytes, the file contains {found:,}")
    elif expected > min(LARGEST_BYTES, MOST_EXPANSION * found):
        raise DataError(
            f"{name}: the header claims {expected:,} bytes, more than a compressed file of {found:,} bytes can hold, "
            f"or than the limit of {LARGEST_BYTES:,}. A larger file is taken if it is not compressed"
        )
