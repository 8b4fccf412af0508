"""Simulated traffic to a service when the world changes: labelled images in the order in which they are sent."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Booleans, Floats, LabelledImages, Labels
from fashion.images.corruptions import CORRUPTIONS, MIX_CHANGES, add_label_noise, change_mix, corrupt

LABEL_NOISE = "label noise"
DRIFTS = (*CORRUPTIONS, *MIX_CHANGES, LABEL_NOISE)
"""Names of the possible changes."""


@dataclass(frozen=True)
class Change:
    """How the world changes."""

    drift: str
    """One of `DRIFTS`."""
    severity: int = 3
    """1 to 5."""
    onset: int = 0
    """How many images are sent before it changes."""


@dataclass(frozen=True)
class Traffic(LabelledImages):
    """Images as they are sent, with their true labels; each array has one element per image."""

    given: Labels
    """The labels that people will give."""
    drifted: Booleans
    """Whether the image was sent after the change began."""


def draw_traffic(known: LabelledImages, count: int, change: Change | None = None, seed: int = 0) -> Traffic:
    """Draw images from a labelled set, each once before any is repeated.

    Args:
        known: the labelled set.
        count: how many images are sent.
        change: what changes, if anything does.
        seed: for the order and the change.
    """
    random, labels = np.random.default_rng(seed), known.labels
    change = change or Change("nothing", onset=count)
    drift, severity = change.drift, change.severity
    drifted = np.arange(count) >= change.onset
    before, after = int((~drifted).sum()), int(drifted.sum())
    order = _endless_order(len(labels), random)
    clean = np.fromiter(order, np.int64, before)
    if drift in MIX_CHANGES:
        changed = _draw_mix(labels, change_mix(drift, severity, _shares(labels), random), after, random)
    else:
        changed = np.fromiter(order, np.int64, after)
    chosen = np.concatenate([clean, changed])
    sent, truth = known.images[chosen], labels[chosen]
    given = truth.copy()
    if drift in CORRUPTIONS:
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
    """Draw positions of images with these class shares; each image is as probable as the others of its class."""
    weights = (shares / np.bincount(labels))[labels]
    drawn: NDArray[np.int64] = random.choice(len(labels), count, p=weights / weights.sum())
    return drawn
