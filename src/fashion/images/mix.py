"""The class frequencies of labelled images, and how many images to take if a class is too frequent."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Floats, Labels

Shares = Floats


@dataclass(frozen=True)
class Mix:
    """A mix of classes, and how far labels may deviate from it."""

    classes: Labels
    shares: Shares
    """One per class; they add up to 1."""
    divergence: float
    """The largest divergence (Kullback and Leibler's, natural logarithm) of the labels from the shares."""


def choose_balanced(labels: Labels, mix: Mix, most: int) -> NDArray[np.intp]:
    """Return the positions of the last labels, at most `most`, or of fewer if that is needed to keep to the mix.

    If the last ones do not keep to it, each class is capped at its share of a common total, the largest at which the
    mix is kept; of a class that is too frequent the last labels are taken. The divergence falls with that total, as
    everything above it is cut to the exact mix. If a class is missing or nearly so, there may be no such total: then
    the result is empty.

    Args:
        labels: (n,), in order of arrival.
    """
    last = np.arange(len(labels))[-most:]
    if _is_within(_count(labels[last], mix), mix):
        return last
    counts, expected = _count(labels, mix), mix.shares > 0
    low, high = 0, int(np.ceil((counts[expected] / mix.shares[expected]).max(initial=0))) + 1
    while high - low > 1:
        middle = (low + high) // 2
        capped = _cap(counts, middle, mix)
        low, high = (middle, high) if capped.sum() <= most and _is_within(capped, mix) else (low, middle)
    caps = zip(mix.classes, _cap(counts, low, mix), strict=True)
    chosen = [np.flatnonzero(labels == one)[-cap:] for one, cap in caps if cap]
    return np.sort(np.concatenate([np.empty(0, np.intp), *chosen]))


def _count(labels: Labels, mix: Mix) -> Labels:
    return np.asarray((labels[:, None] == mix.classes).sum(axis=0))


def _cap(counts: Labels, measure: int, mix: Mix) -> Labels:
    return np.asarray(np.minimum(counts, np.floor(measure * mix.shares + 1e-9).astype(int)))


def _is_within(counts: Labels, mix: Mix) -> bool:
    """Return whether the shares are within their limits; with no labels at all they are."""
    there = counts > 0
    shares = counts[there] / counts.sum()
    with np.errstate(divide="ignore"):  # For a class that should not occur at all.
        return bool((shares * np.log(shares / mix.shares[there])).sum() <= mix.divergence)
