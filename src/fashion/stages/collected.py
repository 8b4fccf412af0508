"""Collected images beside those of the dataset: which of them are learned from, and which are tested on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion.arrays import Booleans, Bytes, LabelledImages, Labels
from fashion.images.near_copies import group_near_copies, group_parts
from fashion.images.parts import Parts
from fashion.images.split import hold_out_groups
from fashion.params import Params
from fashion.stages.dataset import RECENT


@dataclass(frozen=True)
class Collected:
    """The collected images that are fit for training, each with the label that counts; one row per image."""

    images: Bytes
    labels: Labels
    batches: NDArray[np.int64]
    """The number of the batch in which the image first appeared; images are in the order of their arrival."""
    asked: Booleans
    """Whether the image's label was requested at random."""

    def take(self, rows: NDArray[np.int64]) -> "Collected":
        return Collected(self.images[rows], self.labels[rows], self.batches[rows], self.asked[rows])


@dataclass(frozen=True)
class Split:
    """Images of one split, where they lie and in their order; they are copied only as they are written."""

    pieces: tuple[tuple[Bytes, NDArray[np.int64]], ...]
    """Images (n, height, width, channels), and which of them."""
    labels: Labels


def choose(split: LabelledImages, chosen: NDArray[np.int64]) -> Split:
    """Return the split of some of these images, in that order."""
    return Split(((split.images, chosen),), split.labels[chosen])


def add_collected(
    params: Params, splits: Mapping[str, Split], collected: Collected, salt: bytes
) -> tuple[dict[str, Split], int]:
    """Add collected images to the training and validation splits, and to a split `recent` for testing if there are any.

    Copies and near copies of an image are on the same side, whatever their batch. Of a group on the test side, only
    images whose label was requested are tested on, and none that was learned before a later image joined two groups;
    the others are left out. What belongs to an image of the dataset is never on the other side: nothing is trained on
    beside the frozen test set, and what is held out beside a training image is left out.

    Returns:
        The splits, and how many collected images are used for training and validation.
    """
    groups, beside = _group(splits, collected)
    fraction = params.prepare.recent_test_fraction
    apart = _is_apart(collected, groups, fraction, salt)
    # What is beside the dataset is left out, not learned: it would be tested on once the image beside it is gone.
    tested = apart & collected.asked & ~beside["train"] & ~beside["validation"]
    grown = np.flatnonzero(_has_grown(groups, collected.batches, tested & ~beside["test"]))
    tested[grown] &= _stayed_apart(collected.take(grown), fraction, salt)
    fit = ~apart & ~beside["test"]
    learned = LabelledImages(collected.images[fit], collected.labels[fit])
    chosen = hold_out_groups(learned.images[:, ::-1], groups[fit], params.prepare.validation_fraction, salt)
    chosen = (chosen | beside["validation"][fit]) & ~beside["train"][fit]
    held_out = LabelledImages(collected.images, collected.labels)
    recent = {RECENT: choose(held_out, np.flatnonzero(tested))} if tested.any() else {}
    return {
        **splits,
        "train": _extend(splits["train"], learned, ~chosen, params.prepare.recent_copies),
        "validation": _extend(splits["validation"], learned, chosen, 1),
        **recent,
    }, len(learned.labels)


def _group(splits: Mapping[str, Split], collected: Collected) -> tuple[NDArray[np.int64], dict[str, Booleans]]:
    """Return the group of near copies of each collected image, and whether it has images of each split, (n,)."""
    (train, learned), (_, held_out), (test, tested) = (
        splits[name].pieces[0] for name in ("train", "validation", "test")
    )
    parts = {"collected": collected.images, "train": train, "test": test}
    there = Parts({name: LabelledImages(images, np.zeros(len(images), np.uint8)) for name, images in parts.items()})
    groups = group_parts(there)
    mine, of_train, of_test = (groups[there.of == number] for number in range(len(parts)))
    beside = {"train": of_train[learned], "validation": of_train[held_out], "test": of_test[tested]}
    return mine, {name: np.isin(mine, each) for name, each in beside.items()}


def _is_apart(collected: Collected, groups: NDArray[np.int64], fraction: float, salt: bytes) -> Booleans:
    """Return whether each image is held out, by its group."""
    chosen: Booleans = _first_asked(groups, collected) & hold_out_groups(collected.images, groups, fraction, salt)
    return chosen


def _has_grown(groups: NDArray[np.int64], batches: NDArray[np.int64], chosen: Booleans) -> Booleans:
    """Return whether each image is in the group of a chosen one, and that has images of several batches."""
    several = pd.Series(batches).groupby(groups).transform("nunique").to_numpy() > 1
    return np.asarray(several & np.isin(groups, groups[chosen]))


def _stayed_apart(collected: Collected, fraction: float, salt: bytes) -> Booleans:
    """Return whether each image was held out in every batch since its own: a later image may have joined two groups."""
    apart = np.ones(len(collected.batches), np.bool_)
    groups = np.empty(0, np.int64)
    for batch in np.unique(collected.batches):
        count = int(np.searchsorted(collected.batches, batch, "right"))
        known = collected.take(np.arange(count))
        groups = group_near_copies(known.images, np.concatenate([groups, np.arange(len(groups), count)]))
        apart[:count] &= _is_apart(known, groups, fraction, salt)
    return apart


def _first_asked(groups: NDArray[np.int64], collected: Collected) -> Booleans:
    """Return whether a label in each image's group was requested in its first batch; if not, it was trained on."""
    first = pd.Series(collected.batches).groupby(groups).transform("min")
    asked = collected.asked & (collected.batches == first)
    return np.asarray(asked.groupby(groups).transform("any"))


def _extend(split: Split, more: LabelledImages, chosen: Booleans, copies: int) -> Split:
    added = choose(more, np.flatnonzero(chosen))
    return Split(split.pieces + added.pieces * copies, np.concatenate([split.labels, *[added.labels] * copies]))
