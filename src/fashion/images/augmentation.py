"""Light augmentation of raw uint8 images, vectorised: a batch costs far less than the network's step on it."""

import numpy as np

from fashion.arrays import Bytes, Labels

Shifts = Labels
"""Pixels, one number per image."""


def shift_randomly(images: Bytes, reach: int, random: np.random.Generator) -> Bytes:
    """Return a copy of images (n, height, width, channels), each moved by up to `reach` pixels in both directions."""
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
