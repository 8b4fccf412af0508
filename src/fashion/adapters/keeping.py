"""Pillow: encodes pictures that are kept. What it writes comes from pixels alone: no metadata, nothing of the file."""

import io
from typing import Any

from PIL import Image

from fashion.arrays import Bytes

LOSSLESS_PIXELS = 128 * 128
"""Pictures up to this size are kept without loss: a photograph takes 27 kB then, no more than a large one does."""
QUALITIES = (90, 60)
"""The second is for pictures that are too large in the first: noise of 400 x 400 takes 144 kB, and 76 kB."""
MOST_BYTES = 100_000
"""Of one picture. Photographs of 400 pixels take some 35 kB; what is larger at either quality is noise."""
LONGEST = 400
"""Pixels of the longest edge, also where a model sees larger images."""
OPAQUE = 255


def encode_picture(pixels: Bytes) -> bytes | None:
    """Return a picture as a file: WebP without loss if it is small, else JPEG, or WebP where it is transparent.

    Its longest edge has at most `LONGEST` pixels.

    Args:
        pixels: uint8 grey (h, w), RGB (h, w, 3) or RGBA (h, w, 4).

    Returns:
        At most `MOST_BYTES`; None if that is not enough.
    """
    if pixels.ndim == 3 and pixels.shape[2] == 4 and pixels[..., 3].min() == OPAQUE:
        pixels = pixels[..., :3]
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    if image.width * image.height <= LOSSLESS_PIXELS:
        return _save(image, "WEBP", lossless=True, quality=0, method=0)
    # JPEG is ten times faster than WebP, and 15 % larger.
    kind = "WEBP" if image.mode == "RGBA" else "JPEG"
    contents = (_save(image, kind, quality=quality, method=2) for quality in QUALITIES)
    return next((content for content in contents if len(content) <= MOST_BYTES), None)


def media_type(content: bytes) -> str:
    """Return the media type of a picture that `encode_picture` made."""
    return "image/webp" if content.startswith(b"RIFF") else "image/jpeg"


def _save(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()
