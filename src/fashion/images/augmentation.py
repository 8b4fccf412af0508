"""Light augmentation of raw uint8 images, vectorised: a batch costs far less than the network's step on it.

Every function takes images (n, height, width, channels) of any size, grey or in colour, and leaves them unchanged. What
is off draws no random number, so a recipe's weights do not change when a new way is added here.
"""

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Bytes, Floats, Labels
from fashion.params import Augmentation

Random = np.random.Generator
Shifts = Labels
"""Pixels, one number per image."""


def augment(images: Bytes, wanted: Augmentation, random: Random) -> Bytes:
    """Return a copy of the images, each changed at random in the ways that are wanted."""
    changed = shift_randomly(images, wanted.shift, random)
    if wanted.mirror:
        changed = mirror_randomly(changed, random)
    if wanted.crop:
        changed = crop_randomly(changed, wanted.crop, random)
    if wanted.brightness:
        changed = brighten_randomly(changed, wanted.brightness, random)
    if wanted.contrast:
        changed = contrast_randomly(changed, wanted.contrast, random)
    return changed


def shift_randomly(images: Bytes, reach: int, random: Random) -> Bytes:
    """Return a copy of the images, each moved by up to `reach` pixels in both directions."""
    if not reach:
        return images.copy()
    down, right = random.integers(-reach, reach + 1, (2, len(images)))
    return move(images, down, right)


def move(images: Bytes, down: Shifts, right: Shifts) -> Bytes:
    """Return a copy in which image i is moved by down[i] and right[i] pixels; the uncovered edge is black."""
    count, height, width, _ = images.shape
    reach = int(max(np.abs(down).max(initial=0), np.abs(right).max(initial=0)))
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    rows = np.arange(height)[None, :] + (reach - down)[:, None]
    columns = np.arange(width)[None, :] + (reach - right)[:, None]
    moved: Bytes = padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved


def mirror_randomly(images: Bytes, random: Random) -> Bytes:
    """Return a copy in which about half of the images are flipped left to right."""
    flipped = random.random(len(images)) < 0.5
    return np.where(flipped[:, None, None, None], images[:, :, ::-1], images)


def crop_randomly(images: Bytes, most: float, random: Random) -> Bytes:
    """Cut up to the share `most` of height and width away, somewhere, and enlarge the rest to the images' size."""
    count, height, width, _ = images.shape
    cut, top, left = random.random((3, count))
    kept = 1 - most * cut
    higher = _read_rows(images.astype(np.float32), _places(height, kept, top))
    wider = _read_rows(higher.swapaxes(1, 2), _places(width, kept, left))
    return _to_bytes(wider.swapaxes(1, 2))


def brighten_randomly(images: Bytes, most: float, random: Random) -> Bytes:
    """Multiply each image by a factor between 1 - most and 1 + most; what leaves 0 to 255 is clipped."""
    return _to_bytes(images * _factors(len(images), most, random))


def contrast_randomly(images: Bytes, most: float, random: Random) -> Bytes:
    """Multiply the distance of each image's pixels from their mean by a factor between 1 - most and 1 + most."""
    means = images.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float32)
    return _to_bytes((images - means) * _factors(len(images), most, random) + means)


def _factors(count: int, most: float, random: Random) -> NDArray[np.float32]:
    return random.uniform(1 - most, 1 + most, (count, 1, 1, 1)).astype(np.float32)


def _places(side: int, kept: Floats, start: Floats) -> NDArray[np.float32]:
    """Return where each of `side` pixels of an enlarged image comes from, (n, side); `start` is 0 to 1."""
    first = (1 - kept) * start * (side - 1)
    places = first[:, None] + kept[:, None] * np.arange(side)[None, :]
    return np.minimum(places, side - 1).astype(np.float32)


def _read_rows(images: NDArray[np.float32], places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the images with the rows at `places` (n, side), each blended from the two nearest."""
    each = np.arange(len(images))[:, None]
    before = places.astype(np.int64)
    after = np.minimum(before + 1, images.shape[1] - 1)
    share = (places - before)[:, :, None, None]
    blended: NDArray[np.float32] = images[each, before] * (1 - share) + images[each, after] * share
    return blended


def _to_bytes(pixels: NDArray[np.floating]) -> Bytes:
    clipped: Bytes = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return clipped
