"""The IDX format of MNIST-like datasets: http://yann.lecun.com/exdb/mnist/ (a header, then raw bytes)."""

import gzip
import io
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np

from fashion.arrays import Bytes
from fashion.errors import DataError
from fashion.images.grey import without_channel

UNSIGNED_BYTE = 0x08
LARGEST_BYTES = 3 << 28
"""In bytes, a million images of 28 x 28; a header that claims more is refused before memory is allocated."""
BYTES_AT_ONCE = 1 << 20
Dimensions = int | tuple[int, ...]


def read_idx(stream: BinaryIO, name: str, dimensions: Dimensions, largest: int = LARGEST_BYTES) -> Bytes:
    """Read the array in a gzipped IDX file of unsigned bytes.

    Args:
        stream: the compressed bytes.
        name: how error messages call the file.
        dimensions: 1 for labels (n,), 3 for grey images (n, height, width), 4 for images with channels; or several
            of these, if any of them will do.
        largest: bytes of the largest array that is believed.

    Raises:
        DataError: a wrong magic number, a truncated or damaged stream, or more or fewer bytes than the header says.
    """
    with _decompressed(stream, name) as file:
        return read_plain_idx(file, name, dimensions, largest)


def read_idx_shape(stream: BinaryIO, name: str, dimensions: int) -> tuple[int, ...]:
    """Return the shape that a gzipped IDX file claims in its header.

    Raises:
        DataError: a wrong magic number, or a beginning that is damaged.
    """
    with _decompressed(stream, name) as file:
        return read_header(file, name, dimensions)


@contextmanager
def _decompressed(stream: BinaryIO, name: str) -> Iterator[gzip.GzipFile]:
    try:
        with gzip.GzipFile(fileobj=stream) as file:
            yield file
    except EOFError as error:
        raise DataError(f"{name}: the gzip stream is truncated ({error})") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name}: expected a gzip file, found damaged bytes ({error})") from error


def read_plain_idx(
    stream: BinaryIO | gzip.GzipFile, name: str, dimensions: Dimensions, largest: int = LARGEST_BYTES
) -> Bytes:
    """Read an IDX file that is not compressed, like `read_idx`.

    Raises:
        DataError: a wrong magic number, or more or fewer bytes than the header says.
    """
    content = io.BytesIO()
    shape = _copy(stream, content, name, dimensions, largest)
    return np.frombuffer(content.getvalue(), np.uint8).reshape(shape)


def copy_idx(stream: BinaryIO, sink: BinaryIO, name: str, dimensions: int) -> tuple[int, ...]:
    """Write the array in a gzipped IDX file into `sink`, byte by byte and without a header; return its shape.

    Raises:
        DataError: like `read_idx`.
    """
    with _decompressed(stream, name) as file:
        return _copy(file, sink, name, dimensions, LARGEST_BYTES)


def _copy(
    stream: BinaryIO | gzip.GzipFile, sink: BinaryIO, name: str, dimensions: Dimensions, largest: int
) -> tuple[int, ...]:
    shape = read_header(stream, name, dimensions)
    # Even with no images, their size must be reasonable: numpy cannot make an array of shape (0, 2**32, 2**32).
    if math.prod(max(1, length) for length in shape) > largest:
        raise DataError(
            f"{name}: the header claims shape {shape}, more than the limit of {largest:,} bytes; the file is not read"
        )
    size, found = math.prod(shape), 0
    while found <= size and (part := stream.read(min(BYTES_AT_ONCE, size + 1 - found))):
        sink.write(part)
        found += len(part)
    if found != size:
        words = f"{found}" if found < size else f"more than {size}"
        raise DataError(f"{name}: the header claims {size} bytes of shape {shape}, the file contains {words}")
    return shape


def write_images(images: Bytes) -> bytes:
    """Return images as a gzipped IDX file; grey ones have three dimensions there, as those of MNIST."""
    return write_idx(without_channel(images))


def write_idx(array: Bytes) -> bytes:
    """Return `array` (uint8, any shape) as a gzipped IDX file, the same bytes each time."""
    header = struct.pack(">HBB", 0, UNSIGNED_BYTE, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0, filename="") as file:
        file.write(header)
        file.write(np.ascontiguousarray(array).tobytes())
    return buffer.getvalue()


def read_header(file: BinaryIO | gzip.GzipFile, name: str, dimensions: Dimensions) -> tuple[int, ...]:
    """Return the shape that the header of an IDX file claims.

    Raises:
        DataError: a wrong magic number, or a header that is cut off.
    """
    allowed = (dimensions,) if isinstance(dimensions, int) else dimensions
    expected = {struct.pack(">HBB", 0, UNSIGNED_BYTE, one): one for one in allowed}
    magic = file.read(4)
    if magic not in expected:
        numbers, lengths = " or ".join(f"0x{one.hex()}" for one in expected), " or ".join(map(str, allowed))
        raise DataError(
            f"{name}: expected the magic number {numbers} (unsigned bytes, {lengths} dimensions), "
            f"found {f'0x{magic.hex()}' if magic else 'an empty file'}"
        )
    found = expected[magic]
    sizes = file.read(4 * found)
    if len(sizes) < 4 * found:
        raise DataError(f"{name}: expected a header of {4 + 4 * found} bytes, found {4 + len(sizes)}")
    shape: tuple[int, ...] = struct.unpack(f">{found}I", sizes)
    return shape
