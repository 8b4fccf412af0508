"""Which images belong together, and on which side of the split each group stands."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fashion.arrays import Bytes, Labels
from fashion.images.copies import group_near_copies

ORDER = ("train", "validation", "test")
LEFT_OUT = "left out"


@dataclass(frozen=True)
class Fractions:
    """Shares of the images that are held out where a split is missing."""

    test: float
    validation: float


@dataclass(frozen=True)
class Assignment:
    """The split of every image."""

    split: tuple[str, ...]
    leaked: tuple[int, ...]
    too_rare: tuple[int, ...]
    largest_group: int


def group_copies(images: Bytes, given: Sequence[str | None]) -> NDArray[np.int64]:
    """Return the number of each image's group: near copies, joined with the given groups."""
    near = group_near_copies(images)
    numbers = pd.factorize(np.array(given, object))[0]
    known = np.flatnonzero(numbers >= 0)
    first = np.full(numbers.max(initial=-1) + 1, -1)
    first[numbers[known][::-1]] = known[::-1]
    count = near.max(initial=-1) + 1
    links = coo_array((np.ones(len(known)), (near[known], near[first[numbers[known]]])), shape=(count, count))
    joined: NDArray[np.int64] = connected_components(links, directed=False)[1][near].astype(np.int64)
    return joined


def assign_splits(
    labels: Labels, groups: NDArray[np.int64], given: Sequence[str | None], fractions: Fractions, seed: int
) -> Assignment:
    """Hold out the splits that are missing, in whole groups, and leave out what stands in a later split, too."""
    stage = np.array([ORDER.index(one or "train") for one in given])
    latest = np.zeros(groups.max(initial=-1) + 1, np.int64)
    np.maximum.at(latest, groups, stage)
    leaked = np.flatnonzero(stage < latest[groups])
    split = np.array(ORDER, object)[stage]
    split[leaked] = LEFT_OUT
    missing = [name for name in ("test", "validation") if name not in given]
    random = np.random.default_rng(seed)
    rare = set()
    for number, name in enumerate(missing):
        fraction = fractions.test if name == "test" else fractions.validation
        for label in np.unique(labels):
            mine = np.flatnonzero((labels == label) & (split == "train"))
            found, sizes = np.unique(groups[mine], return_counts=True)
            if len(found) < 1 + len(missing) - number:
                rare.add(int(label))
                continue
            order = random.permutation(len(found))
            missed = np.abs(np.cumsum(sizes[order]) - fraction * sizes.sum())
            chosen = found[order[: 1 + missed[:-1].argmin()]]
            split[np.isin(groups, chosen) & (split == "train")] = name
    return Assignment(
        tuple(split), tuple(leaked.tolist()), tuple(sorted(rare)), int(np.bincount(groups).max(initial=0))
    )
