"""What was found in a source, in figures: shown before anything is written."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion.arrays import Booleans
from fashion.images.assignment import LEFT_OUT, SPLITS
from fashion.images.descriptors import content_hashes
from fashion.intake.arrange import Arranged
from fashion.intake.scan import Scanned
from fashion.intake.sources import Source

COPIES_ON_DISK = 2
"""data/, and DVC's cache."""
DARK = 32
"""Of 255: what 12 bits are at most in a file of 16 bits is half as much."""


@dataclass(frozen=True)
class Repeated:
    """Pictures that are there more than once."""

    images: int
    groups: int
    across: int
    """How many of them are in a group that the source has in several splits."""
    two_labels: int
    """How many are in a group with several classes."""


@dataclass(frozen=True)
class Found:
    """The figures of a source that are said before the question."""

    counts: dict[str, dict[str, int]]
    """By class, then by split."""
    given: tuple[str, ...]
    """The splits that the source has."""
    sizes: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    """Height and width of the smallest, the middle and the largest picture."""
    grey: int
    transparent: int
    dark: int
    """Images without a value of `DARK` or more."""
    empty: tuple[str, ...]
    """Classes that the source names, and has no pictures of."""
    exact: Repeated
    near: Repeated
    """Without the exact copies."""
    leaked: int
    disk: int
    """Bytes that are needed."""

    @property
    def images(self) -> int:
        return sum(sum(splits.values()) for splits in self.counts.values())

    @property
    def majority(self) -> tuple[str, float]:
        """The most frequent class, and its share."""
        totals = {name: sum(splits.values()) for name, splits in self.counts.items()}
        largest = max(totals, key=lambda name: totals[name])
        return largest, totals[largest] / self.images

    def in_split(self, split: str) -> int:
        return sum(splits.get(split, 0) for splits in self.counts.values())


def find(source: Source, scanned: Scanned, arranged: Arranged) -> Found:
    """Return what is said of a source."""
    hashes = pd.factorize(np.array(content_hashes(scanned.images)))[0]
    brought_in = zip(scanned.items, arranged.splits, strict=True)
    content = sum(item.size for item, split in brought_in if split != LEFT_OUT)
    shapes = sorted((one.shape for one in scanned.looked), key=lambda shape: shape[0] * shape[1])
    given = {item.split for item in scanned.items}
    return Found(
        counts=_counts(arranged),
        given=tuple(split for split in SPLITS if split in given),
        sizes=(shapes[0], shapes[len(shapes) // 2], shapes[-1]),
        grey=sum(one.grey for one in scanned.looked),
        transparent=sum(one.transparent for one in scanned.looked),
        dark=int((scanned.images.max(axis=(1, 2, 3)) < DARK).sum()),
        empty=tuple(name for name in source.classes or () if name not in arranged.classes),
        exact=_repeated(hashes, np.bincount(hashes)[hashes] > 1, scanned, arranged),
        near=_repeated(arranged.copies, _varied(arranged.copies, hashes), scanned, arranged),
        leaked=arranged.splits.count(LEFT_OUT),
        disk=COPIES_ON_DISK * content,
    )


def _counts(arranged: Arranged) -> dict[str, dict[str, int]]:
    counted = Counter(zip(arranged.labels.tolist(), arranged.splits, strict=True))
    return {
        name: {split: counted[number, split] for split in SPLITS if counted[number, split]}
        for number, name in enumerate(arranged.classes)
    }


def _repeated(groups: NDArray[np.int64], several: Booleans, scanned: Scanned, arranged: Arranged) -> Repeated:
    """Return what groups tell of the images that are there several times, (n,)."""
    splits = np.array([item.split or "" for item in scanned.items])
    return Repeated(
        images=int(several.sum()),
        groups=len(np.unique(groups[several])),
        across=int((several & _varied(groups, splits)).sum()),
        two_labels=int((several & _varied(groups, arranged.labels)).sum()),
    )


def _varied(groups: NDArray[np.int64], values: NDArray[Any]) -> Booleans:
    """Return whether an image is in a group with several values."""
    return np.asarray(pd.Series(values).groupby(groups).transform("nunique") > 1)
