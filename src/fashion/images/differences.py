"""What differs between two sets of images: their descriptors, and the shares of their classes.

Two samples of the same source differ, too, by chance. So each difference comes with the size that chance reaches in one
of a hundred pages: beyond it, something differs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import ks_2samp, norm

RISK = 0.01
"""The probability that any of the differences of two samples from one source is larger than `by_chance`."""


@dataclass(frozen=True)
class Difference:
    """One figure of two samples."""

    name: str
    one: float
    other: float
    """The means of a descriptor, or the shares of a class."""
    distance: float
    by_chance: float
    """Larger distances are unlikely if both samples come from one source."""

    @property
    def differs(self) -> bool:
        return self.distance > self.by_chance


def compare_descriptors(one: pd.DataFrame, other: pd.DataFrame, columns: Sequence[str]) -> list[Difference]:
    """Return the distance of Kolmogorov and Smirnov for each descriptor, the largest first.

    It is the largest difference of the two distribution functions, 0 to 1. What it reaches by chance is the asymptotic
    limit of N. Smirnov, "Table for estimating the goodness of fit of empirical distributions", Annals of Mathematical
    Statistics 19 (1948), at `RISK` divided by the number of descriptors (Bonferroni).

    Args:
        one, other: one row for each image, at least one row each.
    """
    limit = np.sqrt(-np.log(RISK / len(columns) / 2) / 2 * (len(one) + len(other)) / (len(one) * len(other)))
    found = [
        Difference(name, one[name].mean(), other[name].mean(), _distance(one[name], other[name]), min(1.0, limit))
        for name in columns
    ]
    return sorted(found, key=lambda difference: -difference.distance)


def compare_shares(one: NDArray[np.int64], other: NDArray[np.int64], names: Sequence[str]) -> list[Difference]:
    """Return how the shares of the classes differ, the largest difference first.

    What they reach by chance is the limit of the normal approximation for two proportions with one common share, at
    `RISK` divided by the number of classes (Bonferroni).

    Args:
        one, other: how many images each class has, (classes,); at least one image each.
    """
    sizes = one.sum(), other.sum()
    common = (one + other) / sum(sizes)
    deviations = np.sqrt(common * (1 - common) * (1 / sizes[0] + 1 / sizes[1]))
    limits = norm.isf(RISK / len(names) / 2) * deviations
    shares = one / sizes[0], other / sizes[1]
    rows = zip(names, *shares, np.abs(shares[0] - shares[1]), limits, strict=True)
    found = [Difference(str(row[0]), *map(float, row[1:])) for row in rows]
    return sorted(found, key=lambda difference: -difference.distance)


def _distance(one: pd.Series, other: pd.Series) -> float:
    return float(ks_2samp(one.to_numpy(float), other.to_numpy(float), method="asymp").statistic)
