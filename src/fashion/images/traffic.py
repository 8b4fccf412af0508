"""What comes to a service when the world changes: labelled images in the order in which they are sent."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Booleans, Bytes, Floats, Labels
from fashion.images.corruptions import CORRUPTIONS, MIX_CHANGES, add_label_noise, change_mix, corrupt

LABEL_NOISE = "label noise"
DRIFTS = (*CORRUPTIONS, *MIX_CHANGES, LABEL_NOISE)
"""Names of what can change."""


@dataclass(frozen=True)
class Traffic:
    """Each array has one element an image."""

    images: Bytes
    """(n, height, width), as they are sent."""
    labels: Labels
    """What is truly in them."""
    given: Labels
    """What people will say is in them."""
    drifted: Booleans
    """Whether it was sent after the change set in."""


def draw_traffic(  # noqa: PLR0913, PLR0917 - the options of `fashion simulate` that say what is sent
    images: Bytes,
    labels: Labels,
    count: int,
    drift: str | None = None,
    severity: int = 3,
    onset: int = 0,
    seed: int = 0,
) -> Traffic:
    """Images drawn from a labelled set, each once before any comes again; from `onset` on they have changed.

    Args:
        images, labels: (n, height, width) uint8 and (n,) uint8.
        count: how many are sent.
        drift: one of `DRIFTS`; without it nothing changes.
        severity: 1 to 5.
        onset: how many are sent before the change sets in.
        seed: of the order and of the change.
    """
    random = np.random.default_rng(seed)
    drifted = np.arange(count) >= (count if drift is None else onset)
    before, after = int((~drifted).sum()), int(drifted.sum())
    order = _endless_order(len(labels), random)
    clean = np.fromiter(order, np.int64, before)
    if drift is not None and drift in MIX_CHANGES:
        changed = _draw_mix(labels, change_mix(drift, severity, _shares(labels), random), after, random)
    else:
        changed = np.fromiter(order, np.int64, after)
    chosen = np.concatenate([clean, changed])
    sent, truth = images[chosen], labels[chosen]
    given = truth.copy()
    if drift is not None and drift in CORRUPTIONS:
        sent[drifted] = corrupt(drift, severity, sent[drifted], random)
    if drift == LABEL_NOISE:
        given[drifted] = add_label_noise(truth[drifted].astype(np.int64), severity, len(_shares(labels)), random)
    return Traffic(sent, truth, given, drifted)


def _endless_order(images: int, random: np.random.Generator) -> Iterator[int]:
    while True:
        yield from random.permutation(images)


def _shares(labels: Labels) -> NDArray[np.float64]:
    return np.bincount(labels) / len(labels)


def _draw_mix(labels: Labels, shares: Floats, count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Positions of images whose classes come in these shares; each image as probable as the others of its class."""
    weights = (shares / np.bincount(labels))[labels]
    drawn: NDArray[np.int64] = random.choice(len(labels), count, p=weights / weights.sum())
    return drawn
