"""The images of a dataset, part by part, as if they stood in one array; only what is asked for is copied."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Bytes, LabelledImages

AT_ONCE = 1000
"""Images in memory at once, fewer where they are large:"""
PIXELS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Parts:
    """Images of one form in parts with names, such as the splits of a dataset; a position counts through all parts."""

    parts: Mapping[str, LabelledImages]

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """The class of each image, (n,)."""
        return np.concatenate([part.labels for part in self.parts.values()]).astype(np.int64)

    @cached_property
    def of(self) -> NDArray[np.int64]:
        """The number of the part of each image, (n,)."""
        return np.repeat(np.arange(len(self.parts)), [len(part.labels) for part in self.parts.values()])

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width and channels of an image."""
        return next(iter(self.parts.values())).images.shape[1:]

    @property
    def starts(self) -> NDArray[np.int64]:
        """The position of the first image of each part."""
        lengths = [len(part.labels) for part in self.parts.values()]
        return np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)

    def take(self, positions: NDArray[np.int64]) -> Bytes:
        """Return a copy of these images, (n, height, width, channels)."""
        images = np.empty((len(positions), *self.shape), np.uint8)
        of = self.of[positions]
        for number, part in enumerate(self.parts.values()):
            mine = of == number
            images[mine] = part.images[positions[mine] - self.starts[number]]
        return images

    def take_small(self, positions: NDArray[np.int64], longest: int) -> Bytes:
        """Return a copy of these images, reduced as by `shrink`, without holding all of them in their full size."""
        step = self.step
        parts = [
            shrink(self.take(positions[start : start + step]), longest) for start in range(0, len(positions), step)
        ]
        return np.concatenate(parts or [shrink(self.take(positions), longest)])

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], Bytes]]:
        """Yield all images, some at once without a copy, and their labels."""
        for part in self.parts.values():
            for start in range(0, len(part.labels), self.step):
                chosen = slice(start, start + self.step)
                yield part.labels[chosen].astype(np.int64), part.images[chosen]

    @property
    def step(self) -> int:
        """How many images may be in memory at once."""
        return max(1, min(AT_ONCE, PIXELS_AT_ONCE // math.prod(self.shape)))


def shrink(images: Bytes, longest: int) -> Bytes:
    """Return the images (n, height, width, channels) with no edge longer than `longest`: means of square blocks."""
    factor = -(-max(images.shape[1:3]) // longest)
    if factor == 1:
        return images
    rows, columns = (np.arange(0, length, factor) for length in images.shape[1:3])
    sums = np.add.reduceat(np.add.reduceat(images, rows, axis=1, dtype=np.uint32), columns, axis=2)
    covered = np.outer(*(np.diff([*at, length]) for at, length in zip((rows, columns), images.shape[1:3], strict=True)))
    means: Bytes = np.rint(sums / covered[..., None]).astype(np.uint8)
    return means


def sample(count: int, most: int) -> NDArray[np.int64]:
    """Return the positions of `most` of `count` things, at random and in order; of all if there are no more."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, most, replace=False))
