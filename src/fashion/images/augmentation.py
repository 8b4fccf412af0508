"""Light augmentation of raw uint8 images, vectorised: a batch costs far less than the network's step on it."""

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]


def augment(images: Images, flip: bool, shift: int, random: np.random.Generator) -> Images:
    """A changed copy of images (n, height, width): half of them mirrored, each moved by up to `shift` pixels."""
    if flip:
        images = mirror(images, random.random(len(images)) < 0.5)
    if shift:
        down, right = random.integers(-shift, shift + 1, (2, len(images)))
        images = move(images, down, right)
    return images


def mirror(images: Images, chosen: NDArray[np.bool_]) -> Images:
    """A copy in which the chosen images (n,) are mirrored left to right."""
    return np.where(chosen[:, None, None], images[:, :, ::-1], images)


def move(images: Images, down: NDArray[np.integer], right: NDArray[np.integer]) -> Images:
    """A copy in which image i is moved by down[i] and right[i] pixels; what comes in is black."""
    count, height, width = images.shape
    reach = int(max(np.abs(down).max(initial=0), np.abs(right).max(initial=0)))
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach)))
    rows = np.arange(height)[None, :] + (reach - down)[:, None]
    columns = np.arange(width)[None, :] + (reach - right)[:, None]
    return padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
