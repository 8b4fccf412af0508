"""Generated noise and textures: pictures that no model of objects can know, and for which it should abstain."""

from collections.abc import Callable, Mapping

import numpy as np
from scipy import ndimage

from fashion.arrays import Booleans, Bytes, Floats
from fashion.errors import DataError
from fashion.images.photos import Form, see

SIDE = 112
"""Height and width of the generated pictures, in pixels."""


def draw_nonsense(count: int, form: Form, seed: int) -> dict[str, tuple[Bytes, Booleans]]:
    """Draw `count` images of every kind, by name, as a model receives them.

    Each kind is drawn twice: as images of the dataset's form, and as colour pictures that are converted to
    it. The same seed draws the same images.

    Returns:
        By kind: images, and which of them come from cluttered pictures (n,). Pictures in which
        nothing stands out are refused and left out, so n may be less than `count`.
    """
    random = np.random.default_rng(seed)
    drawn = {}
    for name, draw in KINDS.items():
        fields = draw(count, form.size, random)
        images = _to_bytes(fields)[..., None] if form.pictures.channels == 1 else _colour(name, fields, random)
        drawn[f"{name}, images"] = images, np.zeros(count, np.bool_)
        drawn[f"{name}, pictures"] = _bring(_colour(name, draw(count, (SIDE, SIDE), random), random), form)
    return drawn


def _noise(count: int, size: tuple[int, int], random: np.random.Generator) -> Floats:
    return random.random((count, *size))


def _clouds(count: int, size: tuple[int, int], random: np.random.Generator) -> Floats:
    """Draw noise without detail finer than a twentieth to a fifth of the side."""
    blurs = max(size) * random.uniform(0.02, 0.1, count)
    fields = [
        ndimage.gaussian_filter(field, blur, mode="wrap")
        for field, blur in zip(random.normal(size=(count, *size)), blurs, strict=True)
    ]
    return _stretch(np.stack(fields))


def _stripes(count: int, size: tuple[int, int], random: np.random.Generator) -> Floats:
    """Draw two to ten waves or bars across the side, in any direction."""
    return _stretch(_waves(count, size, random))


def _checks(count: int, size: tuple[int, int], random: np.random.Generator) -> Floats:
    return _stretch(_waves(count, size, random) * _waves(count, size, random))


KINDS: Mapping[str, Callable[[int, tuple[int, int], np.random.Generator], Floats]] = {
    "noise": _noise,
    "clouds": _clouds,
    "stripes": _stripes,
    "checks": _checks,
}
"""Each function draws (n, height, width) with values from 0 to 1."""


def _waves(count: int, size: tuple[int, int], random: np.random.Generator) -> Floats:
    angles, lengths, phases, hard = (
        random.uniform(low, high, (count, 1, 1)) for low, high in ((0, np.pi), (2, 10), (0, 2 * np.pi), (-1, 1))
    )
    down, across = np.indices(size) / max(size)
    waves = np.sin(2 * np.pi * lengths * (np.cos(angles) * across + np.sin(angles) * down) + phases)
    hardened: Floats = np.where(hard > 0, np.sign(waves), waves)
    return hardened


def _stretch(fields: Floats) -> Floats:
    lowest, highest = (end(axis=(1, 2), keepdims=True) for end in (fields.min, fields.max))
    stretched: Floats = (fields - lowest) / np.maximum(highest - lowest, 1e-9)
    return stretched


def _colour(name: str, fields: Floats, random: np.random.Generator) -> Bytes:
    """Make RGB pictures: independent noise in each channel, textures between two colours."""
    if name == "noise":
        return random.integers(0, 256, (*fields.shape, 3), np.uint8)
    dark, bright = random.uniform(0, 0.4, (len(fields), 1, 1, 3)), random.uniform(0.6, 1, (len(fields), 1, 1, 3))
    return _to_bytes(dark + (bright - dark) * fields[..., None])


def _bring(pictures: Bytes, form: Form) -> tuple[Bytes, Booleans]:
    images, cluttered = [], []
    for picture in pictures:
        try:
            seen = see(picture, form)
        except DataError:
            continue
        images.append(seen.image)
        cluttered.append(seen.cluttered)
    return np.array(images, np.uint8).reshape(-1, *form.shape), np.array(cluttered, np.bool_)


def _to_bytes(shares: Floats) -> Bytes:
    return np.rint(255 * shares).astype(np.uint8)
