"""Images without their channels: the brightness of colours, and grey images in which the one channel has no axis."""

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Bytes

LUMA = np.array([19595, 38470, 7471])
"""Weights of red, green and blue in 65536ths (ITU-R BT.601); they add up to one, so that a grey pixel is unchanged."""


def to_grey(images: Bytes) -> Bytes:
    """Return images (..., height, width), without a copy if the images (..., height, width, channels) are grey."""
    return images[..., 0] if images.shape[-1] == 1 else brightness(images).astype(np.uint8)


def without_channel(images: Bytes) -> Bytes:
    """Return grey images (..., height, width), as files and people write them; images in colour stay as they are."""
    return images[..., 0] if images.shape[-1] == 1 else images


def brightness(colours: Bytes) -> NDArray[np.int64]:
    """Return the brightness, 0 to 255, of colours (..., 3)."""
    bright: NDArray[np.int64] = (colours @ LUMA + LUMA.sum() // 2) // LUMA.sum()
    return bright
