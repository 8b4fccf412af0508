"""Fewer images of the same kind: nested parts of a labelled set in which every class has its share."""

import numpy as np

from fashion.arrays import Labels
from fashion.images.split import Positions


def stratified_order(labels: Labels, seed: int) -> Positions:
    """Return all positions of `labels` (n,) in a random order in which every beginning has the shares of the classes.

    A beginning holds the rounded share of each class, or one image more or less; one of as many images as there are
    classes holds each class once, however rare it is. A shorter beginning is part of a longer one.

    Args:
        seed: the same seed gives the same order.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    shuffled = labels[order]
    counts = np.bincount(shuffled)
    starts = np.cumsum(counts) - counts
    # Which image of its class each one is, from 0, in the random order.
    rank = np.empty(len(labels), np.int64)
    rank[np.argsort(shuffled, kind="stable")] = np.arange(len(labels)) - np.repeat(starts, counts)
    place = np.where(rank == 0, 0.0, (rank + 0.5) / counts[shuffled])
    return order[np.argsort(place, kind="stable")].astype(np.int64)


def repeated_part(labels: Labels, size: int, seed: int) -> Positions:
    """Return `size` positions, drawn by `stratified_order`, as often as they go into the whole: at least once."""
    return np.tile(stratified_order(labels, seed)[:size], repeats_of(len(labels), size))


def repeats_of(images: int, size: int) -> int:
    """Return how often `size` images are repeated so that they are not more than `images`."""
    return max(1, images // size)
