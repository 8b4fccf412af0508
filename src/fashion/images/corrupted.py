"""Test images, corrupted in every way and severity: the same copies for every model."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Bytes
from fashion.images.augmentation import Random
from fashion.images.corruptions import CORRUPTIONS, SEVERITIES, corrupt

IMAGES = 200
"""The most test images for each corruption: an accuracy of 70 % is known to within six points at each severity, and the
mean over all corruptions to within one."""
SHARE = 0.2
"""And the most as a share of the test set: all copies together are at most nine times as many as its images."""
VALUES = 200 * 64 * 64 * 3
"""The most pixels times channels for each corruption and severity: of larger images there are fewer ..."""
FEWEST = 20
"""... but not fewer than these, if the test set has as many."""


@dataclass(frozen=True)
class Copies:
    """Some images of a test set, corrupted in one way."""

    corruption: str
    rows: NDArray[np.int64]
    """Which images of the test set, (n,)."""
    images: Bytes
    """(severities * n, height, width, channels): all of them at the first severity, then all at the next."""


def make_copies(images: Bytes) -> Iterator[Copies]:
    """Yield copies of some images (n, height, width, channels), one corruption after the other.

    What is random comes from seeds that are fixed, one for each corruption and severity: each model meets the same
    copies, and a new corruption changes none of the others. Each corruption has images of its own, so that the mean
    over all corruptions rests on more of the test set; all severities of one have the same.
    """
    count = count_copied(images)
    for name in CORRUPTIONS:
        rows = np.sort(_random(name).permutation(len(images))[:count])
        chosen = images[rows]
        changed = [corrupt(name, severity, chosen, _random(name, severity)) for severity in SEVERITIES]
        yield Copies(name, rows, np.concatenate(changed))


def count_copied(images: Bytes) -> int:
    """Return how many of the images are copied for each corruption."""
    wanted = min(IMAGES, round(SHARE * len(images)), VALUES // math.prod(images.shape[1:]))
    return min(len(images), max(FEWEST, wanted))


def _random(name: str, severity: int = 0) -> Random:
    return np.random.default_rng([crc32(name.encode()), severity])
