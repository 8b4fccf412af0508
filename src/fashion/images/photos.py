"""Converting any picture to the dataset's format: as it is, or with one object isolated.

Pillow is used only for resampling, as an array library.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from fashion.arrays import Bytes, Shape
from fashion.images.grey import brightness
from fashion.images.isolation import isolate
from fashion.params import DataParams, PicturesParams

OPAQUE = 255


@dataclass(frozen=True)
class Form:
    """The form of a dataset's images, and how a picture becomes one. It travels with a model."""

    size: tuple[int, int]
    """Height and width in pixels."""
    pictures: PicturesParams

    @property
    def shape(self) -> Shape:
        return (*self.size, self.pictures.channels)


def form_of(params: DataParams) -> Form:
    return Form(params.image_size, params.pictures)


@dataclass(frozen=True)
class Seen:
    """A picture as a model sees it."""

    image: Bytes
    """(height, width, channels); isolated, the object is bright on 0."""
    cluttered: bool
    """An object was to be isolated, and the picture does not show one on a plain background: what stands out may be
    anything."""


def see(pixels: Bytes, form: Form) -> Seen:
    """Convert a picture to the dataset's format, and say whether it is suitable.

    Args:
        pixels: uint8 grey (h, w), RGB (h, w, 3) or RGBA (h, w, 4).

    Raises:
        DataError: an object was to be isolated, and nothing stands out from the background.
    """
    if form.pictures.isolate:
        seen, cluttered = isolate(pixels, form.size)
        return Seen(seen[..., None], cluttered)
    return Seen(_bring(pixels, form), cluttered=False)


def _bring(pixels: Bytes, form: Form) -> Bytes:
    """Return the whole picture, or its middle, as an image (height, width, channels).

    A picture of the image's size keeps its pixels.
    """
    ground = form.pictures.ground or 0
    flat = _flatten(pixels, ground)
    flat = flat if form.pictures.channels == 3 else brightness(flat).astype(np.uint8)
    picture, size = Image.fromarray(flat), form.size[::-1]
    if picture.size != size:
        picture = _fit(picture, size, form.pictures.fit, ground)
    return np.array(picture, np.uint8).reshape(form.shape)


def _fit(picture: Image.Image, size: tuple[int, int], fit: str | None, ground: int) -> Image.Image:
    if fit == "crop":
        return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    if fit == "stretch":
        return picture.resize(size, Image.Resampling.LANCZOS)
    colour = ground if picture.mode == "L" else (ground,) * 3
    return ImageOps.pad(picture, size, Image.Resampling.LANCZOS, colour)


def _flatten(pixels: Bytes, ground: int) -> Bytes:
    """Return RGB (h, w, 3); what is transparent shows the ground."""
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    colours = pixels[..., :3]
    if pixels.shape[2] == 3:
        return colours
    alpha = pixels[..., 3:].astype(np.int64)
    return ((colours * alpha + ground * (OPAQUE - alpha) + OPAQUE // 2) // OPAQUE).astype(np.uint8)
