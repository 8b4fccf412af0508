"""The pictures of a source as a dataset: classes with numbers, groups, and every picture in one split or left out."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Bytes, LabelledImages
from fashion.errors import DataError
from fashion.images.assignment import Fractions, assign_splits, group_copies, join_given
from fashion.images.near_copies import group_parts
from fashion.images.parts import Parts
from fashion.intake.dealt import Former
from fashion.intake.layout import order_classes
from fashion.intake.scan import Scanned

HELD_OUT = Fractions(test=0.2, validation=0.1)
"""Where a source has no test or no validation split."""
FEWEST_GROUPS = 2
"""One for training, one for validation."""
STAY = ". Pictures of the former import stay in its splits; to deal all anew, begin another dataset with --name NAME"
ALL_GONE = (
    "No test picture of the former import is there any more, or their files are others, and what a champion has "
    "learned must not become a test picture. Bring them back, or begin another dataset with --name NAME"
)
NAMED = 5
"""Classes that a message names."""


@dataclass(frozen=True)
class Arranged:
    """Every picture that can be used, in the order of the scan."""

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    """The number of each picture's class, (n,)."""
    copies: NDArray[np.int64]
    """The number of each picture's group of near copies, (n,)."""
    groups: NDArray[np.int64]
    """The number of each picture's group, (n,): near copies, and what the source puts together."""
    splits: tuple[str, ...]
    """`train`, `validation`, `test` or `left out`."""
    largest_group: int

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the positions of the pictures in a split."""
        return np.flatnonzero(np.array(self.splits) == split)

    @property
    def learned(self) -> NDArray[np.int64]:
        """Positions of what the stages call the split `train`: `prepare` sets its own part aside for validation."""
        return np.concatenate([self.rows("train"), self.rows("validation")])

    def group_names(self) -> list[str | None]:
        """Return a name for each group of several pictures; a picture alone has none."""
        sizes = Counter(self.groups.tolist())
        return [f"group-{group}" if sizes[group] > 1 else None for group in self.groups.tolist()]


def arrange(scanned: Scanned, known: Sequence[str], given: Sequence[str] | None, former: Former, seed: int) -> Arranged:
    """Put every picture into a split.

    Args:
        known: classes in the order that they had so far.
        given: classes in the order that the source has for them, if it has one; those without pictures are left out.
        former: what became of pictures of this dataset before.
        seed: decides what is held out.

    Raises:
        DataError: classes have too few pictures.
    """
    names = [item.label for item in scanned.items]
    classes = order_classes(names, known, given)
    number = {name: place for place, name in enumerate(classes)}
    labels = np.array([number[name] for name in names], np.int64)
    with ThreadPoolExecutor() as threads:
        copies = group_copies(scanned.images, threads.map)
    groups = join_given(copies, [item.group for item in scanned.items])
    splits, fractions = _given(scanned, groups, former), HELD_OUT
    if former.dealt and any(item.split == "validation" for item in scanned.items):
        fractions = replace(HELD_OUT, validation=0)  # The source says which are for that.
    assigned = assign_splits(labels, groups, splits, fractions, seed)
    arranged = Arranged(classes, labels, copies, groups, assigned.split, assigned.largest_group)
    if rare := [name for label, name in enumerate(classes) if _is_too_rare(arranged, label)]:
        raise DataError(f"{_too_rare(rare, Counter(names))}{STAY if former.dealt else ''}")
    return arranged


def _given(scanned: Scanned, groups: NDArray[np.int64], former: Former) -> list[str | None]:
    """Return the splits that are known: those of the source, and those of the former import.

    Where a source gives some, everything else is for training. What was dealt stays: a champion has learned it, or has
    not. Nothing is added to a group in the former test split, so what is not in that is left out: it may be a picture
    that a champion has learned before it was left out. New pictures of what was collected are for training.

    Raises:
        DataError: there was a former import, and none of its test pictures is there.
    """
    splits = [item.split for item in scanned.items]
    if any(splits) and not former.dealt:
        return [split or "train" for split in splits]
    dealt = [former.dealt.get(one.digest) for one in scanned.looked]
    tested = {group for group, split in zip(groups.tolist(), dealt, strict=True) if split == "test"}
    if former.dealt and not tested:
        raise DataError(ALL_GONE)
    collected = _collected(scanned.images, groups, former)
    given: list[str | None] = []
    for split, before, group in zip(splits, dealt, groups.tolist(), strict=True):
        if before == "test":
            given.append("test")
        elif split == "validation" and group not in tested:
            given.append("validation")
        elif group in tested or (before is None and group in collected):
            given.append("train")
        else:
            given.append(before)
    return given


def _collected(images: Bytes, groups: NDArray[np.int64], former: Former) -> set[int]:
    """Return the groups with a near copy of an image that was collected: a champion may have learned that."""
    batches = [batch for batch in former.collected if batch.shape[1:] == images.shape[1:]]
    if not batches:
        return set()
    parts = [images, *batches]
    there = {str(number): LabelledImages(part, np.zeros(len(part), np.uint8)) for number, part in enumerate(parts)}
    known = np.concatenate([groups, np.arange(len(groups), sum(map(len, parts)))])
    with ThreadPoolExecutor() as threads:
        linked = group_parts(Parts(there), known, threads.map)
    return set(groups[np.isin(linked[: len(groups)], linked[len(groups) :])].tolist())


def _too_rare(names: Sequence[str], counts: Counter[str]) -> str:
    shown = ", ".join(f"{name!r} ({counts[name]})" for name in names[:NAMED])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return (
        f"Too few different pictures to divide into training, validation and test: {shown}{more}. Add pictures that "
        "are no near copies of each other, or leave the class out with --skip"
    )


def _is_too_rare(arranged: Arranged, label: int) -> bool:
    """Return whether a class lacks a group for training, another one for validation, or pictures for testing."""
    learned = arranged.learned[arranged.labels[arranged.learned] == label]
    return (
        len(np.unique(arranged.groups[learned])) < FEWEST_GROUPS or label not in arranged.labels[arranged.rows("test")]
    )
