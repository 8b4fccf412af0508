"""All pairs of near copies among tens of thousands of images; `copies` says when two images are near copies.

Comparing every pair as `copies` does takes minutes for 70,000 images. Here most pairs are ruled out cheaply, and none
wrongly. Let a and b be two signatures, p and q their projections on some directions, and r and s the lengths of what
is left of them. By the inequality of Cauchy and Schwarz a.b <= p.q + rs: the product of the short vectors (p, r) and
(q, s), which have the length 1, too. So two images can be near copies only if these are; and then no
coordinate of them differs by more than the distance of two unit vectors with that product, so that they are compared in
the order of one of them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fashion.images.copies import ALIKE, signatures
from fashion.images.parts import Parts, sample, shrink

LONGEST_EDGE = 32
"""In pixels: larger images are compared reduced to that, which bounds time and memory."""
MOST = 80_000
"""Images that are compared, at random: their signatures take up to 660 MB."""
DIRECTIONS, LEARNED_FROM = 32, 4000
"""The directions are those in which so many of the signatures are largest."""
ROUNDING = 1e-4
"""How far a short product may be wrong, in float32."""
REACH = float(np.sqrt(2 * (1 - ALIKE + ROUNDING)))
"""The distance of two unit vectors whose product is `ALIKE`, rounded up."""
ROWS, COLUMNS = 512, 8192
"""Pairs that are compared at once: 16 MB."""

Pairs = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
"""The positions of one image and of the other, (n,) each, and their correlation."""
Run = Callable[[Callable[..., object], Iterable[object]], Iterator[object]]
"""As `map`, or that of an executor."""


@dataclass(frozen=True)
class Search:
    """What is needed to look for near copies."""

    positions: NDArray[np.int64]
    """Of the images that are compared, (n,)."""
    signed: NDArray[np.float32]
    """Their signatures, (n, d)."""
    order: NDArray[np.int64]
    """In which the short vectors stand, (n,)."""
    short: NDArray[np.float32]
    """(n, DIRECTIONS + 1)."""
    key: NDArray[np.float32]
    """The coordinate of the short vectors by which they are in order, (n,)."""

    def tiles(self) -> Iterator[tuple[slice, slice]]:
        """Yield the rows and columns between which there can be near copies."""
        for start in range(0, len(self.order), ROWS):
            rows = slice(start, min(start + ROWS, len(self.order)))
            end = int(np.searchsorted(self.key, self.key[rows.stop - 1] + REACH, side="right"))
            for left in range(start, end, COLUMNS):
                yield rows, slice(left, min(left + COLUMNS, end))

    def find(self, tile: tuple[slice, slice]) -> Pairs:
        """Return the near copies between rows and columns, each pair once."""
        rows, columns = (np.arange(part.start, part.stop) for part in tile)
        near = self.short[tile[0]] @ self.short[tile[1]].T >= ALIKE - ROUNDING
        near &= rows[:, None] < columns
        # What is left is compared exactly: few images in most datasets, all of them before a camera that stands still.
        rows, columns = rows[near.any(axis=1)], columns[near.any(axis=0)]
        products = self.signed[self.order[rows]] @ self.signed[self.order[columns]].T
        first, second = np.nonzero((products >= ALIKE) & (rows[:, None] < columns))
        one, other = (self.positions[self.order[found]] for found in (rows[first], columns[second]))
        return np.minimum(one, other), np.maximum(one, other), products[first, second]


def prepare_search(parts: Parts, run: Run = map) -> Search:
    """Return a search among the images, or `MOST` of them, at random.

    Args:
        run: maps a function over blocks of images, possibly at the same time.
    """
    positions = sample(len(parts), MOST)
    step = parts.step
    height, width, _ = shrink(parts.take(positions[:1]), LONGEST_EDGE).shape[1:]
    signed = np.empty((len(positions), 2 * height * width), np.float32)

    def sign(start: int) -> None:
        chosen = slice(start, start + step)
        signed[chosen] = signatures(shrink(parts.take(positions[chosen]), LONGEST_EDGE))

    for _ in run(sign, range(0, len(positions), step)):
        pass  # An error of any block is raised here.
    short = _shorten(signed)
    spread = int(short.std(axis=0).argmax())
    order = np.argsort(short[:, spread], kind="stable")
    return Search(positions, signed, order, short[order], short[order, spread])


def _shorten(signed: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the projections of the vectors on some directions, and the length of what is left of each."""
    some = signed[sample(len(signed), LEARNED_FROM)].astype(np.float64)
    directions = np.linalg.eigh(some.T @ some)[1][:, -DIRECTIONS:].astype(np.float32)
    projected = signed @ directions
    lengths, kept = (np.einsum("ij,ij->i", vectors, vectors) for vectors in (signed, projected))
    rest = np.sqrt(np.maximum(lengths - kept, 0))
    return np.column_stack([projected, rest]).astype(np.float32)
