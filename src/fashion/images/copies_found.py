"""What copies tell about a dataset: how many there are, across which parts, and which carry two labels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fashion.images.near_copies import Pairs, join_groups
from fashion.images.parts import Parts

SHOWN = 12
"""Pairs of each kind that a page shows."""


@dataclass(frozen=True)
class Copies:
    """Exact copies, or near ones, among the images of several parts."""

    compared: int
    """How many images were compared with each other."""
    images: int
    """How many of them have a copy."""
    groups: int
    """Copies of copies are in one group, too."""
    in_other_part: tuple[int, ...]
    """How many images of each part have a copy in the first part; 0 for that part itself."""
    two_labels: int
    """How many images have a copy with another label."""
    examples: tuple[tuple[int, int], ...] = field(repr=False)
    """Some pairs of positions: with different labels first, then from different parts, then others."""


def find_exact(parts: Parts, contents: Sequence[str]) -> Copies:
    """Return the images that are equal pixel by pixel.

    Args:
        contents: a digest of each image's pixels, in the order of `parts`.
    """
    _, group = np.unique(np.asarray(contents, dtype=str), return_inverse=True)
    order = np.argsort(group, kind="stable")
    same = group[order][1:] == group[order][:-1]
    # Neighbours in this order are pairs: enough to show, while all pairs of a large group are too many.
    gathered = _Gathered(parts)
    gathered.add((order[:-1][same], order[1:][same], np.ones(int(same.sum()), np.float32)))
    first_part = np.isin(group, group[parts.of == 0])
    labels_of = np.zeros(group.max(initial=-1) + 1, np.int64)
    np.add.at(labels_of, np.unique(np.stack([group, parts.labels]), axis=1)[0], 1)
    copied = np.bincount(group)[group] > 1
    gathered.across, gathered.two_labels = first_part & (parts.of != 0), copied & (labels_of[group] > 1)
    return gathered.conclude(len(parts))


def gather_near(parts: Parts, found: Iterable[Pairs], contents: Sequence[str], compared: int) -> Copies:
    """Return what the pairs of near copies tell, without the exact copies among them.

    Args:
        found: pair by pair, some at once; a stationary camera has more pairs than fit into memory.
        contents: as in `find_exact`.
    """
    digests = np.unique(np.asarray(contents, dtype=str), return_inverse=True)[1]
    gathered = _Gathered(parts)
    for one, other, products in found:
        near = digests[one] != digests[other]
        gathered.add((one[near], other[near], products[near]))
    return gathered.conclude(compared)


class _Gathered:
    """What is known of the pairs so far."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._groups = np.arange(len(parts))
        self._copied, self.across, self.two_labels = (np.zeros(len(parts), np.bool_) for _ in range(3))
        self._examples: list[tuple[int, int, int, float]] = []

    def add(self, pairs: Pairs) -> None:
        one, other, _ = pairs
        if not len(one):
            return
        of, labels = self._parts.of, self._parts.labels
        self._copied[one] = self._copied[other] = True
        for here, there in ((one, other), (other, one)):
            self.across[here[(of[here] != 0) & (of[there] == 0)]] = True
            self.two_labels[here[labels[here] != labels[there]]] = True
        self._groups = join_groups(self._groups, one, other)
        self._keep_examples(pairs, (labels[one] == labels[other]) * 2 + (of[one] == of[other]))

    def _keep_examples(self, pairs: Pairs, rank: NDArray[np.int64]) -> None:
        """Keep the best of each rank: two labels come first, then two parts, then what is most alike."""
        one, other, products = pairs
        for number in range(4):
            mine = np.flatnonzero(rank == number)
            best = mine[np.argsort(-products[mine], kind="stable")[: 4 * SHOWN]]
            rows = zip([number] * len(best), one[best], other[best], -products[best], strict=True)
            self._examples += [(kind, int(first), int(second), float(product)) for kind, first, second, product in rows]
        self._examples.sort(key=lambda row: (row[0], row[3], row[1]))
        kept = [[row for row in self._examples if row[0] == number][: 4 * SHOWN] for number in range(4)]
        self._examples = [row for rows in kept for row in rows]

    def conclude(self, compared: int) -> Copies:
        of, count = self._parts.of, len(self._parts.parts)
        return Copies(
            compared,
            images=int(self._copied.sum()),
            groups=len(np.unique(self._groups[self._copied])),
            in_other_part=tuple(np.bincount(of[self.across], minlength=count).tolist()),
            two_labels=int(self.two_labels.sum()),
            examples=tuple(self._choose()),
        )

    def _choose(self) -> list[tuple[int, int]]:
        """Return pairs in which no image stands twice: variety shows more than ten pairs of one group."""
        seen: set[int] = set()
        chosen: list[tuple[int, int]] = []
        for _, one, other, _ in self._examples:
            if not {one, other} & seen and len(chosen) < SHOWN:
                seen |= {one, other}
                chosen.append((one, other))
        return chosen
