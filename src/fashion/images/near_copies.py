"""All pairs of near copies among hundreds of thousands of images; `copies` says when two images are near copies.

Comparing every pair as `copies` does takes minutes for 70,000 images. Here most pairs are ruled out cheaply, and none
wrongly. Let a and b be two signatures, p and q their projections on some directions, and r and s the lengths of what
is left of them. By the inequality of Cauchy and Schwarz a.b <= p.q + rs: the product of the short vectors (p, r) and
(q, s), which have the length 1, too. So two images can be near copies only if these are; and then no
coordinate of them differs by more than the distance of two unit vectors with that product: only images in the same or
in adjoining cells of that size are compared. What is left is compared by its pixels.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fashion.arrays import Bytes, LabelledImages
from fashion.images.copies import ALIKE, SAME_DETAILS, SAME_HUES, details, hues, signatures
from fashion.images.parts import Parts, sample

LONGEST_EDGE = 32
"""In pixels: larger images are compared reduced to that, which bounds time."""
DIRECTIONS, LEARNED_FROM = 64, 1000
"""The directions are those in which so many of the signatures are largest."""
ROUNDING = 1e-4
"""How far a short product may be wrong, in float32."""
REACH = float(np.sqrt(2 * (1 - ALIKE + ROUNDING)))
"""The distance of two unit vectors whose product is `ALIKE`, rounded up."""
ACROSS = 3
"""Coordinates by which images are sorted into cells."""
MOST = 80_000
"""Images among which all pairs are found, at random: of more, the pairs are too many for a page."""
ROWS, COLUMNS = 512, 8192
"""Pairs that are compared at once: 16 MB."""
JOINED_AT_ONCE = 1 << 18
"""Pairs that are joined to groups together."""

Positions = NDArray[np.int64]
Pairs = tuple[Positions, Positions, NDArray[np.float32]]
"""The positions of one image and of the other, (n,) each, the lower one first, and their correlation."""
NONE: Pairs = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
Products = NDArray[np.float32]
Run = Callable[[Callable[..., object], Iterable[object]], Iterator[object]]
"""As `map`, or that of an executor."""


@dataclass(frozen=True)
class Search:
    """What is needed to look for near copies."""

    parts: Parts
    order: Positions
    """The positions of the images that are compared, cell by cell, (n,)."""
    short: NDArray[np.float32]
    """The short vectors in this order, (n, DIRECTIONS + 1)."""
    cells: tuple[tuple[slice, ...], ...]
    """For each cell where its images are in the order, and then those of later cells that adjoin it."""

    def tiles(self) -> Iterator[tuple[slice, Positions]]:
        """Yield the rows and columns, counted in the order, between which there can be near copies."""
        for cell, *beside in self.cells:
            for start in range(cell.start, cell.stop, ROWS):
                rows = slice(start, min(start + ROWS, cell.stop))
                columns = np.concatenate([np.arange(start, cell.stop), *(np.arange(c.start, c.stop) for c in beside)])
                for left in range(0, len(columns), COLUMNS):
                    yield rows, columns[left : left + COLUMNS]

    def find(self, tile: tuple[slice, Positions], groups: Positions | None = None) -> Pairs:
        """Return the near copies between rows and columns, each pair once.

        Args:
            groups: the number of each image's group: near copies within a group are not looked for.
        """
        rows, columns = np.arange(tile[0].start, tile[0].stop), tile[1]
        near = self.short[rows] @ self.short[columns].T >= ALIKE - ROUNDING
        near &= rows[:, None] < columns
        if groups is not None:
            near &= groups[self.order[rows]][:, None] != groups[self.order[columns]]
        if not near.any():
            return NONE
        # What is left is compared exactly: few images in most datasets, all of them before a camera that stands still.
        rows, columns, near = _narrow(rows, columns, near)
        products = self._compare(signatures, rows, columns)
        near &= products >= ALIKE
        if not near.any():
            return NONE
        rows, columns, near, products = _narrow(rows, columns, near, products)
        again, enough = (hues, SAME_HUES) if self.parts.shape[-1] > 1 else (details, SAME_DETAILS)
        near &= self._compare(again, rows, columns) >= enough
        first, second = np.nonzero(near)
        one, other = self.order[rows[first]], self.order[columns[second]]
        return np.minimum(one, other), np.maximum(one, other), products[first, second]

    def _compare(self, sign: Callable[[Bytes], NDArray[np.float32]], rows: Positions, columns: Positions) -> Products:
        """Return the products of the signatures of these images."""
        one, other = (sign(self.parts.take_small(self.order[some], LONGEST_EDGE)) for some in (rows, columns))
        return one @ other.T


def prepare_search(parts: Parts, run: Run = map, most: int = MOST) -> Search:
    """Return a search among the images, or `most` of them, at random.

    Args:
        run: maps a function over blocks of images, possibly at the same time.
    """
    positions = sample(len(parts), most)
    directions = _learn(parts, positions)
    short = np.empty((len(positions), directions.shape[1] + 1), np.float32)

    def shorten(start: int) -> None:
        chosen = slice(start, start + parts.step)
        signed = signatures(parts.take_small(positions[chosen], LONGEST_EDGE))
        projected = signed @ directions
        lengths, kept = (np.einsum("ij,ij->i", vectors, vectors) for vectors in (signed, projected))
        short[chosen] = np.column_stack([projected, np.sqrt(np.maximum(lengths - kept, 0))])

    for _ in run(shorten, range(0, len(positions), parts.step)):
        pass  # An error of any block is raised here.
    order, cells = _arrange(short)
    return Search(parts, positions[order], short[order], cells)


def _learn(parts: Parts, positions: Positions) -> NDArray[np.float32]:
    """Return orthonormal directions in which the signatures of some images are large, (d, `DIRECTIONS` or fewer)."""
    learned_from = positions[sample(len(positions), LEARNED_FROM)]
    some = signatures(parts.take_small(learned_from, LONGEST_EDGE)).astype(np.float64)
    # Of fewer images than coordinates the products have the same directions, and are sooner taken apart.
    _, vectors = np.linalg.eigh(some @ some.T)
    directions: NDArray[np.float64] = np.linalg.qr(some.T @ vectors[:, -DIRECTIONS:])[0]
    return directions.astype(np.float32)


def _arrange(short: NDArray[np.float32]) -> tuple[Positions, tuple[tuple[slice, ...], ...]]:
    """Return the order of the short vectors by cells, and for each cell itself and the later ones that adjoin it."""
    widest = np.argsort(short.std(axis=0))[-ACROSS:]  # Fewer where there are fewer images.
    cell = np.floor(short[:, widest] / REACH).astype(np.int64)
    order = np.lexsort(cell.T[::-1])
    names, starts = np.unique(cell[order], axis=0, return_index=True)
    where = {
        name: slice(start, end)
        for name, (start, end) in zip(map(tuple, names.tolist()), pairwise([*starts.tolist(), len(order)]), strict=True)
    }
    steps = [step for step in product((-1, 0, 1), repeat=len(widest)) if step >= (0,) * len(widest)]
    beside = ([tuple(np.add(name, step).tolist()) for step in steps] for name in where)
    return order, tuple(tuple(where[name] for name in names if name in where) for names in beside)


def _narrow(rows: Positions, columns: Positions, *tables: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Return the rows and columns in which the first table is true anywhere, and what the tables say about these."""
    down, across = (np.flatnonzero(tables[0].any(axis=axis)) for axis in (1, 0))
    return rows[down], columns[across], *(table[np.ix_(down, across)] for table in tables)


def group_near_copies(images: Bytes, groups: Positions | None = None, run: Run = map) -> Positions:
    """Return the number of each image's group, (n,). Near copies of near copies are in the same group, too.

    Args:
        images: (n, height, width, channels).
        groups: numbers below n of groups that are known already, (n,): what is in one of them stays in one.
        run: as in `prepare_search`.
    """
    return group_parts(Parts({"": LabelledImages(images, np.zeros(len(images), np.uint8))}), groups, run)


def group_parts(parts: Parts, groups: Positions | None = None, run: Run = map) -> Positions:
    """Do the same with images in parts."""
    count = len(parts)
    found = np.arange(count) if groups is None else groups
    if not count:
        return found
    search = prepare_search(parts, run, count)
    pairs: list[Pairs] = []
    # Joined some at once: a stationary camera produces more pairs than fit into memory, but then few groups are left.
    for tile in search.tiles():
        pairs.append(search.find(tile, found))
        if sum(len(one) for one, _, _ in pairs) > JOINED_AT_ONCE:
            found, pairs = _join(found, pairs), []
    return _join(found, pairs) if pairs else found


def _join(groups: Positions, pairs: Iterable[Pairs]) -> Positions:
    return join_groups(groups, *(np.concatenate([pair[side] for pair in pairs]) for side in (0, 1)))


def join_groups(groups: Positions, one: Positions, other: Positions) -> Positions:
    """Return new numbers of the groups (n,), after those of one and of the other image of each pair were joined."""
    links = coo_array((np.ones(len(one)), (groups[one], groups[other])), shape=(len(groups),) * 2)
    joined: Positions = connected_components(links, directed=False)[1][groups].astype(np.int64)
    return joined
