"""How much of a batch may come from one source, so that no single source decides what a model learns."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion.arrays import Booleans

ROUNDING = 1e-9


def within_shares(sources: NDArray[np.str_], known: int, share: float, most: int) -> Booleans:
    """Choose the labels for one batch: the newest, but from no source more than its share of the batch.

    If there are too few sources for that, each may provide an equal part; a single one may provide all.

    Args:
        sources: (n,), who gave each label, the oldest label first.
        known: how many sources there are, including those that gave none of these labels.
        share: the largest share of the labels taken that may be by one source.
        most: labels in a batch.
    """
    names, of_source, counts = np.unique(sources, return_inverse=True, return_counts=True)
    share = max(share, 1 / max(known, len(names), 1))
    size, allowed = min(len(sources), most), 0
    while size:
        allowed = int(share * size + ROUNDING)
        possible = min(int(np.minimum(counts, allowed).sum()), most)
        if possible >= size:
            break
        size = possible
    newest = np.zeros(len(sources), np.bool_)
    if size:
        later = pd.Series(of_source).groupby(of_source).cumcount(ascending=False)  # By the same source.
        newest[np.flatnonzero(later < allowed)[-size:]] = True
    return newest
