"""Images as PNG files, pixel by pixel."""

import io

from PIL import Image

from fashion.arrays import Bytes
from fashion.images.grey import without_channel


def encode_png(image: Bytes) -> bytes:
    """Return an image (height, width, channels) as a PNG: nothing is lost, and nothing but pixels is in it."""
    stream = io.BytesIO()
    Image.fromarray(without_channel(image)).save(stream, "PNG")
    return stream.getvalue()
