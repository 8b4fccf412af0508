"""What the images of each class look like together: their mean, how they vary, how bright their pixels are."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion.arrays import Bytes, Labels
from fashion.images.parts import Parts, shrink

LONGEST_EDGE = 64
"""In pixels: the means of larger images are those of the images reduced to that."""
LEVELS = 256


@dataclass(frozen=True)
class ClassStatistics:
    """One row for each class; of a class without images, zeros."""

    counts: NDArray[np.int64]
    """Images of each class in each part, (classes, parts)."""
    means: Bytes
    """The mean image of each class, (classes, height, width, channels)."""
    deviations: Bytes
    """The standard deviation of each of its pixels, in the same form."""
    pixels: NDArray[np.int64]
    """How many pixels have which brightness, (classes, channels, 256)."""


def measure_classes(parts: Parts, classes: int) -> ClassStatistics:
    """Measure each class over all parts, in one pass; labels that are no class are left out."""
    small = shrink(np.zeros((1, *parts.shape), np.uint8), LONGEST_EDGE).shape[1:]
    sums, squares = np.zeros((2, classes, *small))
    pixels = np.zeros((classes, small[2], LEVELS), np.int64)
    for labels, images in parts.blocks():
        reduced = shrink(images, LONGEST_EDGE)
        for label in np.unique(labels[labels < classes]):
            mine = labels == label
            sums[label] += reduced[mine].sum(axis=0, dtype=np.int64)
            squares[label] += (reduced[mine].astype(np.int64) ** 2).sum(axis=0)
            pixels[label] += _count_pixels(images[mine])
    counts = _count(parts, classes)
    images_of = np.maximum(counts.sum(axis=1), 1)[:, None, None, None]
    means = sums / images_of
    deviations = np.sqrt(np.maximum(squares / images_of - means**2, 0))
    return ClassStatistics(counts, _to_bytes(means), _to_bytes(deviations), pixels)


def choose_samples(labels: Labels, classes: int, each: int) -> list[NDArray[np.int64]]:
    """Return for each class the positions of `each` of its images, at random; of all of them if it has no more."""
    shuffled = np.random.default_rng(0).permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    starts = np.searchsorted(labels[order], np.arange(classes + 1))
    return [order[first:last][:each] for first, last in pairwise(starts)]


def explained_by_class(values: pd.Series, labels: Labels) -> float:
    """Return the share of the variance of a descriptor that lies between the classes, 0 to 1 (eta squared).

    Source: R. A. Fisher, "Statistical Methods for Research Workers" (1925), chapter 8, correlation ratio.
    """
    numbers = values.astype(float)
    total = float(((numbers - numbers.mean()) ** 2).sum())
    within = float(((numbers - numbers.groupby(labels).transform("mean")) ** 2).sum())
    return 1 - within / total if total > 0 else 0.0


def _count(parts: Parts, classes: int) -> NDArray[np.int64]:
    known = parts.labels < classes
    counts = np.zeros((classes, len(parts.parts)), np.int64)
    np.add.at(counts, (parts.labels[known], parts.of[known]), 1)
    return counts


def _count_pixels(images: Bytes) -> NDArray[np.int64]:
    return np.stack([np.bincount(images[..., one].ravel(), minlength=LEVELS) for one in range(images.shape[3])])


def _to_bytes(values: NDArray[np.float64]) -> Bytes:
    pixels: Bytes = np.rint(values).astype(np.uint8)
    return pixels
