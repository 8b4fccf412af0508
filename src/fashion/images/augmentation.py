"""Light augmentation of raw uint8 images, vectorised: a batch costs far less than the network's step on it."""

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]


def shift_randomly(images: Images, reach: int, random: np.random.Generator) -> Images:
    """A copy of images (n, height, width), each moved by up to `reach` pixels in both directions."""
    if not reach:
        return images.copy()
    down, right = random.integers(-reach, reach + 1, (2, len(images)))
    return move(images, down, right)


def move(images: Images, down: NDArray[np.integer], right: NDArray[np.integer]) -> Images:
    """A copy in which image i is moved by down[i] and right[i] pixels; what comes in is black."""
    count, height, width = images.shape
    reach = int(max(np.abs(down).max(initial=0), np.abs(right).max(initial=0)))
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach)))
    rows = np.arange(height)[None, :] + (reach - down)[:, None]
    columns = np.arange(width)[None, :] + (reach - right)[:, None]
    return padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
