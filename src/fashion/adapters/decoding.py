"""Pillow: decodes pictures given by users; IDX files are read, too."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fashion.arrays import Bytes
from fashion.errors import DataError
from fashion.images.grey import without_channel
from fashion.images.idx import read_idx, read_plain_idx

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""Pillow knows some forty more, and would start other programs (EPS) or write to standard error itself (TIFF)."""
MOST_PIXELS = 40_000_000
"""A picture whose header claims more is refused before memory is allocated: 20 bytes a pixel for an animated WebP."""
MOST_BYTES = 4 * MOST_PIXELS
"""The largest picture file: the size of its pixels without compression."""
MOST_IDX_BYTES, MOST_IDX_IMAGES = 10_000_000, 10_000
"""The limits of one IDX file: the test set of 10,000 images of 28 x 28, which takes seconds, is accepted."""
LONGEST = 400
"""Pixels of the longest edge that are kept, more for larger images: many times what most models see, a few hundred
kilobytes per picture."""
MANY = {b"PK\3": "a zip archive", b"PAR": "a Parquet file"}
"""First bytes of files of many pictures."""
GZIP, IDX = b"\x1f\x8b", b"\0\0\x08"
"""First bytes of a compressed and of a plain IDX file of unsigned bytes."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture: where it came from, and its pixels, uint8 grey (h, w), RGB (h, w, 3) or RGBA (h, w, 4)."""

    source: str
    pixels: Bytes


def read_pictures(path: Path, needed: int = 0) -> list[Picture]:
    """Read a picture from a file, upright, longest edge at most 400 pixels, or all images of an IDX file: `file[0]`.

    Of an animated picture the first frame is read.

    Args:
        needed: pixels of the longest edge that are kept, too, if they are more than 400: those of a model's images.

    Raises:
        DataError: the file cannot be read; the message names it and says why, in one line.
    """
    name = readable_name(path)
    if path.is_dir():
        raise _many(path, name, "a folder")
    if path.exists() and not path.is_file():
        raise DataError(f"{name}: expected a picture, found a pipe or a device")
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(IDX))
            stream.seek(0)
            if magic.startswith((GZIP, IDX)):
                return _read_idx_images(stream, name, magic.startswith(GZIP), needed)
            if magic in MANY:
                raise _many(path, name, MANY[magic])
            return [read_picture(stream, name, needed)]
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}") from error


def _many(path: Path, name: str, kind: str) -> DataError:
    beside = path.resolve().with_name(f"{path.resolve().name}-answers")
    output = beside if Path.cwd().is_relative_to(path.resolve()) else "answers"
    command = f"fashion predict {quote(name)} --output {quote(str(output))}"
    return DataError(f"{name}: expected a picture, found {kind}. For all pictures in it, type: {command}")


def read_picture(stream: BinaryIO, name: str, needed: int = 0) -> Picture:
    """Read the picture in a stream, like `read_pictures`; IDX files are refused.

    Raises:
        DataError: it cannot be read; the message begins with the name.
    """
    with _opened(stream, name) as image:
        return Picture(name, _pixels(image, max(LONGEST, needed)))


def claimed_size(stream: BinaryIO, name: str) -> tuple[int, int]:
    """Return the width and height that a picture's header claims; a camera's picture may lie on its side.

    Nothing is decoded, and the stream is rewound.

    Raises:
        DataError: as `read_picture`, as far as the header shows.
    """
    with _opened(stream, name) as image:
        stream.seek(0)
        return image.size


def readable_name(path: Path | str) -> str:
    """Return the path as one line of text: a file name may contain line breaks, and bytes that are not text."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(path))


def _read_idx_images(stream: BinaryIO, name: str, compressed: bool, needed: int) -> list[Picture]:
    images = (read_idx if compressed else read_plain_idx)(stream, name, (3, 4), MOST_IDX_BYTES)
    if not images.size:
        raise DataError(f"{name}: the IDX file contains no images (shape {images.shape})")
    if len(images) > MOST_IDX_IMAGES:
        raise DataError(f"{name}: has {len(images):,} images; expected at most {MOST_IDX_IMAGES:,} a file, split it")
    if images.shape[3:] not in ((), (1,), (3,), (4,)):
        raise DataError(f"{name}: expected 1, 3 or 4 channels, found {images.shape[3]} (shape {images.shape})")
    if images.shape[3:] == (1,):
        images = without_channel(images)
    longest = max(LONGEST, needed)
    return [Picture(f"{name}[{place}]", _shrink(Image.fromarray(image), longest)) for place, image in enumerate(images)]


@contextmanager
def _opened(stream: BinaryIO, name: str) -> Iterator[Image.Image]:
    """Open the picture in a stream without decoding it; errors in the block become a DataError."""
    # From memory, a chunk that claims four gigabytes cannot read more than there is.
    content = stream.read(MOST_BYTES + 1)
    if not content:
        raise DataError(f"{name}: the file is empty")
    if len(content) > MOST_BYTES:
        raise DataError(f"{name}: has more than {MOST_BYTES:,} bytes; reduce its size")
    try:
        with warnings.catch_warnings():
            # Odd metadata does not matter; a size beyond Pillow's own limit does.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                check_size(*image.size, name)
                yield image
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"{name}: neither a picture ({', '.join(FORMATS)}) nor an IDX file") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{name}: claims more than {MOST_PIXELS} pixels; reduce its size") from error
    except Exception as error:
        # Pillow's decoders raise whatever the damage triggers: OSError, SyntaxError, struct.error, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{name}: the picture is damaged ({reason})") from error


def check_size(width: int, height: int, name: str) -> None:
    """Check the size of a picture before it is decoded.

    Raises:
        DataError: it has more than `MOST_PIXELS` pixels.
    """
    if width * height > MOST_PIXELS:
        raise DataError(f"{name}: claims {width} x {height}, more than {MOST_PIXELS} pixels; reduce its size")


def _pixels(image: Image.Image, longest: int) -> Bytes:
    # A JPEG is decoded at a half, a quarter or an eighth of its size if that is enough.
    image.draft(None, (2 * longest, 2 * longest))
    ImageOps.exif_transpose(image, in_place=True)
    return _shrink(_eight_bits(image), longest)


def _shrink(image: Image.Image, longest: int) -> Bytes:
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return np.array(image, np.uint8)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Convert the picture to grey, RGB or RGBA of 8 bits. Pillow's own conversion clips deeper greys at 255."""
    if image.mode.startswith("I;16"):
        return Image.fromarray(((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")
