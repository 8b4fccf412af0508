"""In what form images are learned from: chosen from the pictures themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fashion.arrays import Bytes
from fashion.images.grey import brightness
from fashion.images.photos import Form
from fashion.params import PicturesParams

LARGEST_EDGE = 64
"""Pixels of the longer edge, unless the user says otherwise: four times as many pixels take four times as long."""
SMALLEST_EDGE = 8
SAME_ASPECT, MOSTLY = 0.05, 0.75
"""The images keep an aspect that this share of the pictures has, within this much; else they are square."""
LIGHT, DARK = 255, 0


@dataclass(frozen=True)
class Sampled:
    """What the form depends on, of one picture."""

    longest: int
    """Pixels of the longer edge, in the file."""
    aspect: float
    """Height divided by width, upright."""
    transparent: bool
    edge: float
    """Mean brightness along the four edges."""


def sample_picture(pixels: Bytes, longest: int) -> Sampled:
    """Describe a decoded picture, grey (h, w), RGB (h, w, 3) or RGBA (h, w, 4)."""
    grey = brightness(pixels[..., :3]) if pixels.ndim == 3 else pixels
    along = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    return Sampled(longest, pixels.shape[0] / pixels.shape[1], is_transparent(pixels), float(along.mean()))


def is_transparent(pixels: Bytes) -> bool:
    """Return whether anything of a decoded picture is transparent."""
    return pixels.ndim == 3 and pixels.shape[2] == 4 and bool((pixels[..., 3] < LIGHT).any())


def choose_form(samples: Sequence[Sampled], size: tuple[int, int] | None) -> Form:
    """Return the form of the images, in colour: whether all pictures are grey is known once all were seen.

    The longer edge is the median of those of the pictures, at most `LARGEST_EDGE`. Where a picture does not fill an
    image, or is transparent, there is white if pictures are transparent or light along their edges, else black.

    Args:
        size: height and width, where the user has chosen them.
    """
    light = any(one.transparent for one in samples) or float(np.median([one.edge for one in samples])) >= 128
    pictures = PicturesParams(channels=3, isolate=False, fit="pad", ground=LIGHT if light else DARK)
    return Form(size or _size(samples), pictures)


def _size(samples: Sequence[Sampled]) -> tuple[int, int]:
    longest = min(LARGEST_EDGE, round(float(np.median([one.longest for one in samples]))))
    aspects = np.array([one.aspect for one in samples])
    aspect = float(np.median(aspects))
    if (np.abs(aspects / aspect - 1) <= SAME_ASPECT).mean() < MOSTLY or abs(aspect - 1) <= SAME_ASPECT:
        aspect = 1.0
    height, width = (longest, longest / aspect) if aspect >= 1 else (longest * aspect, longest)
    return max(SMALLEST_EDGE, round(height)), max(SMALLEST_EDGE, round(width))
