"""Which split each image of a new dataset belongs to: by group and class, and never a group on two sides."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Booleans, Bytes, Labels
from fashion.images.descriptors import content_hashes
from fashion.images.near_copies import Run, group_near_copies, join_groups

SPLITS = ("train", "validation", "test")
"""In the order in which they give way: of a group, the images in the last of its splits are kept."""
LEFT_OUT = "left out"
NOWHERE, TRAIN, VALIDATION, TEST = -1, 0, 1, 2


@dataclass(frozen=True)
class Fractions:
    """How much of each class is held out where that is to be decided; 0 for a split that is not to be made."""

    test: float
    """Share of all images."""
    validation: float
    """Share of the images that are not in the test split, as in `prepare.validation_fraction`."""


@dataclass(frozen=True)
class Assignment:
    """The split of every image, and what people should know about it."""

    split: tuple[str, ...]
    """For each image one of `SPLITS`, or `LEFT_OUT`."""
    leaked: NDArray[np.int64]
    """The positions of the images that are left out because others of their group are in a later split."""
    too_rare: tuple[int, ...]
    """The classes without an image in one of the splits, because they have too few groups."""
    largest_group: int
    """Images in it."""


def group_copies(images: Bytes, run: Run = map) -> NDArray[np.int64]:
    """Return the number of each image's group, (n,): of equal images, near copies, and what a chain of these links.

    Args:
        images: (n, height, width, channels).
        run: as in `prepare_search`.
    """
    # A picture of one shade is no near copy of anything, but it may be there twice.
    equal = _first_of_each(content_hashes(images))
    return _number(group_near_copies(images, equal, run))


def join_given(groups: NDArray[np.int64], given: Sequence[str | None]) -> NDArray[np.int64]:
    """Return new numbers of the groups, (n,), after those of images with the same given group were joined.

    Args:
        given: what is known of each image's group, None for nothing.
    """
    return _number(join_groups(groups, np.arange(len(groups)), _first_of_each(given)))


def _first_of_each(names: Sequence[Hashable]) -> NDArray[np.int64]:
    """Return for each name where it stands first; None is no name."""
    first: dict[Hashable, int] = {}
    return np.array([at if name is None else first.setdefault(name, at) for at, name in enumerate(names)], np.int64)


def _number(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the groups numbered from 0 in the order of their first images."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[group].astype(np.int64)


def assign_splits(
    labels: Labels, groups: NDArray[np.int64], given: Sequence[str | None], fractions: Fractions, seed: int
) -> Assignment:
    """Return a split for every image: the given one, or one by its group and class.

    If no image is given a test split, one is held out, from images that are given for training, too; likewise for
    validation. An image without a given split is in that of its group, where the group has one; otherwise it is held
    out, or for training, by the share that its class still lacks. If a group is given in several splits, its images in
    the last of `SPLITS` stay, and the others are left out: so the test split stays whole.

    A group counts for the class of its first image; or, where a class would lack a split then, for that of its classes
    which is in the fewest groups. A class that has too few groups for all splits is in the training split first, then
    in the test split.

    Args:
        labels: (n,), from 0.
        groups: the number of each image's group, (n,).
        given: a split of `SPLITS` for each image, or None.
        seed: 0 or more; the same seed divides the same way.
    """
    sides = np.array([NOWHERE if name is None else SPLITS.index(name) for name in given], np.int64)
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    before = np.full(len(first), NOWHERE)
    np.maximum.at(before, group, sides)
    leaked = (sides != NOWHERE) & (sides < before[group])
    kept, classes = labels[~leaked].astype(np.int64), np.unique(labels)
    sizes, there = np.bincount(group[~leaked], minlength=len(first)), set(sides.tolist())

    def divide(counted: NDArray[np.int64]) -> tuple[NDArray[np.int64], tuple[int, ...]]:
        side = _divide(_Shares(counted, sizes), before, there, fractions, seed)
        return side, _too_rare(kept, side[group][~leaked], classes, fractions)

    side, too_rare = divide(labels[first].astype(np.int64))
    if too_rare:
        side, too_rare = min((side, too_rare), divide(_rarest(labels, group)), key=lambda divided: len(divided[1]))
    return Assignment(
        split=tuple(LEFT_OUT if out else SPLITS[number] for out, number in zip(leaked, side[group], strict=True)),
        leaked=np.flatnonzero(leaked),
        too_rare=too_rare,
        largest_group=int(np.bincount(group).max(initial=0)),
    )


def _divide(
    shares: "_Shares", before: NDArray[np.int64], given: set[int], fractions: Fractions, seed: int
) -> NDArray[np.int64]:
    """Return the side of each group, after what is not given was held out."""
    side = before.copy()
    for number, fraction in ((TEST, fractions.test), (VALIDATION, fractions.validation)):
        free = side == NOWHERE if number in given else side <= TRAIN
        side[shares.hold_out(side, free, number, fraction, np.random.default_rng([seed, number]))] = number
    side[side == NOWHERE] = TRAIN
    return side


def _rarest(labels: Labels, group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each group that of its classes which is in the fewest groups."""
    groups, classes = np.unique(np.stack([group, labels.astype(np.int64)]), axis=1)
    order = np.lexsort((classes, np.bincount(classes, minlength=1)[classes], groups))
    rarest: NDArray[np.int64] = classes[order][np.unique(groups[order], return_index=True)[1]]
    return rarest


@dataclass(frozen=True)
class _Shares:
    """The groups that are divided."""

    labels: NDArray[np.int64]
    """The class for which each group counts."""
    sizes: NDArray[np.int64]
    """How many images of each group are kept."""

    def hold_out(
        self, side: NDArray[np.int64], free: Booleans, number: int, fraction: float, random: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return the free groups that go into a split, so that it has its share of each class."""
        chosen: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        for label in np.unique(self.labels) if fraction else ():
            mine = self.labels == label
            there = mine & (side == number)
            wanted = fraction * self.sizes[mine & (side <= number)].sum() - self.sizes[there].sum()
            order = random.permutation(np.flatnonzero(mine & free))
            most = len(order) - (not (mine & (side == TRAIN) & ~free).any())
            taken = _take(self.sizes[order], wanted, most)
            if not taken and most > 0 and not there.any():
                taken = [int(self.sizes[order].argmin())]
            chosen.append(order[taken])
        return np.concatenate(chosen)


def _take(sizes: NDArray[np.int64], wanted: float, most: int) -> list[int]:
    """Return the positions of sizes, from the first on, that bring their sum closer to what is wanted.

    One that is too large is passed over, so that a large group does not become the whole split.
    """
    taken: list[int] = []
    for position, size in enumerate(sizes.tolist()):
        if len(taken) >= most or wanted <= 0:
            break
        if size < 2 * wanted:
            taken.append(position)
            wanted -= size
    return taken


def _too_rare(
    labels: NDArray[np.int64], sides: NDArray[np.int64], classes: NDArray[np.integer], fractions: Fractions
) -> tuple[int, ...]:
    """Return the classes without an image in one of the splits that there are."""
    there = [TRAIN]
    there += [number for number in (VALIDATION, TEST) if (sides == number).any()]
    there += [number for number, each in ((VALIDATION, fractions.validation), (TEST, fractions.test)) if each]
    full = set.intersection(*(set(labels[sides == number].tolist()) for number in there))
    return tuple(sorted(set(classes.tolist()) - full))
