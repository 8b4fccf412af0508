"""What a small batch shows by chance although it is as the test images are: no limit may refuse it for that."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import rel_entr

FEWEST_IN_BATCH = 100
"""Images, for their labels to be judged."""
REFUSED = 0.02
"""Share of such batches that a limit may refuse."""
DRAWN = 1000
"""Batches, to see what they have."""


def least_support(support: pd.DataFrame, shares: Sequence[float]) -> float:
    """Return what the labels of a batch should have of support at least, on average.

    Halfway between labels that were dealt out at random, in these shares, and what test images have; but less if a
    small batch of such images is below that by chance.

    Args:
        support: `label_support` of test images.
    """
    found = support["label_support"].to_numpy()
    by_chance = float(np.square(shares).sum())
    means = found[np.random.default_rng(0).integers(len(found), size=(DRAWN, FEWEST_IN_BATCH))].mean(axis=1)
    return _rounded_down(min((by_chance + found.mean()) / 2, np.quantile(means, REFUSED)))


def least_support_of_a_class(support: pd.DataFrame, left: float) -> float:
    """Return what the labels of every class of a batch should have of support at least; 0: nothing can be asked.

    The share `left` of what the class with the least has among the test images; but less if a small batch of such
    images, in which a rare class has an image or two, is below that by chance.

    Args:
        support: `label`, and its `label_support` and `class_label_support`, of test images.
    """
    rows = np.random.default_rng(0).integers(len(support), size=(DRAWN, FEWEST_IN_BATCH))
    classes, labels = np.unique(support["label"], return_inverse=True)
    cells = (np.arange(DRAWN)[:, None] * len(classes) + labels[rows]).ravel()
    size = DRAWN * len(classes)
    counts = np.bincount(cells, minlength=size)
    sums = np.bincount(cells, support["label_support"].to_numpy()[rows].ravel(), minlength=size)
    means = np.divide(sums, counts, out=np.ones(size), where=counts > 0).reshape(DRAWN, -1)
    usual = left * support["class_label_support"].min()
    return _rounded_down(min(usual, np.quantile(means.min(axis=1), REFUSED)))


def divergence_by_chance(shares: Sequence[float]) -> float:
    """Return how far the shares of the classes in a small batch are from those that it is drawn from, in nats."""
    wanted = np.array(shares)
    found = np.random.default_rng(0).multinomial(FEWEST_IN_BATCH, wanted / wanted.sum(), DRAWN) / FEWEST_IN_BATCH
    return round(float(np.quantile(rel_entr(found, wanted).sum(axis=1), 1 - REFUSED)), 3)


def _rounded_down(share: float) -> float:
    return float(np.floor(1000 * share) / 1000)
