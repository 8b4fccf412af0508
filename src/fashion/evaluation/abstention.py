"""When a model should abstain: it is unsure, or the image is unlike those it was measured on.

An image may be unlike in two ways. Its embedding may be far away: the distance is that of Y. Sun et al.,
"Out-of-distribution detection with deep nearest neighbors", ICML 2022. Or it may look different, whatever its
embedding: a network that has never seen noise can mistake it for anything. Both are distances to the nearest known
images, not to their mean, since these may be of several kinds: pictures from two cameras have nothing in between.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Booleans, Bytes, Floats
from fashion.evaluation.outputs import Outputs
from fashion.images.grey import to_grey

CLUTTERED, UNSURE, UNLIKE = "cluttered", "unsure", "unlike"
"""The reasons; if several apply, the first is given."""
EXPLANATIONS = {
    CLUTTERED: "the picture does not show one object on a plain background",
    UNSURE: "the model is not sure enough",
    UNLIKE: "the image is unlike any that the model knows",
}
NEIGHBOUR = 5
"""The distance to the fifth nearest image counts: one odd image among the known ones must not excuse another."""
MOST_NEIGHBOURS = 1000
"""More detect no more foreign images on Fashion-MNIST, and with all 6,000 the search takes longer than the model."""
IMAGES_AT_ONCE = 256
"""Bounds memory."""


@dataclass(frozen=True)
class Appearance:
    """The looks of known images: the distance is P. C. Mahalanobis's, in a few descriptors, squared."""

    centres: Floats
    """(m, 5), one for each known image; of a version that was registered when there was one for all, (1, 5)."""
    precision: Floats
    """(5, 5), the inverse of the covariance of images that look alike."""
    limit: float


@dataclass(frozen=True)
class Abstention:
    """The rule of one model."""

    neighbours: Floats
    """Embeddings (n, d) of known images, each of length 1."""
    distance_limit: float
    confidence_limit: float
    appearance: Appearance | None = None
    """None for versions that were registered without one."""


def fit_abstention(images: Bytes, embeddings: Floats, distance_quantile: float, confidence_limit: float) -> Abstention:
    """Fit the rule to images that the model was not trained on, n at least 2, in any order.

    Half of them, drawn at random and at most 1000, are the known images; the limits are computed from the others.

    Args:
        embeddings: (n, d), the model's embeddings of the images.
        distance_quantile: share of the others that lie within both limits.
        confidence_limit: the least confidence with which the model answers.
    """
    # Drawn, because collected images, which may look different, come after all others.
    order = np.random.default_rng(0).permutation(len(embeddings))
    count = min(MOST_NEIGHBOURS, len(order) // 2)
    known, others = order[:count], order[count:]
    neighbours, looks = unit_length(embeddings[known]), _looks(images)
    centres, precision = looks[known], _precision_among_neighbours(looks[known])
    distances, oddness = _distances(neighbours, embeddings[others]), _oddness(centres, precision, looks[others])
    # Each alone may reject half of the share; then both limits move together until the share is reached.
    far, odd = (_limit(values, (1 + distance_quantile) / 2) for values in (distances, oddness))
    moved = _limit(np.maximum(distances / far, oddness / odd), distance_quantile)
    return Abstention(neighbours, moved * far, confidence_limit, Appearance(centres, precision, moved * odd))


def _limit(values: Floats, quantile: float) -> float:
    """Return the quantile, more than 0 even if all known images are the same."""
    return max(float(np.quantile(values, quantile)), float(np.finfo(np.float32).tiny))


def reasons(
    rule: Abstention | None,
    images: Bytes,
    outputs: Outputs,
    cluttered: Sequence[bool] | Booleans | None = None,
) -> list[str | None]:
    """Return why the model should abstain on each of the images; None where it should answer.

    Args:
        rule: None for a version that was registered without one: it is never unsure, and nothing is unlike.
        cluttered: whether the picture that became the image is cluttered; None if the images are not from pictures.
    """
    found: list[str | None] = [None] * len(images)
    if rule is not None:
        unsure = outputs.confidences < rule.confidence_limit
        unlike = np.zeros(len(images), np.bool_)
        if outputs.embedding.shape[1]:
            unlike |= _distances(rule.neighbours, outputs.embedding) > rule.distance_limit
        if rule.appearance is not None:
            look = rule.appearance
            unlike |= _oddness(look.centres, look.precision, _looks(images)) > look.limit
        found = [UNSURE if one else UNLIKE if other else None for one, other in zip(unsure, unlike, strict=True)]
    if cluttered is None:
        return found
    return [CLUTTERED if one else reason for one, reason in zip(cluttered, found, strict=True)]


def _looks(images: Bytes) -> Floats:
    """Compute five descriptors of each image, (n, 5), as shares of white.

    They are the mean and the standard deviation of the pixels, the mean difference of neighbours across and down, and
    the mean along the border; of colours, of their brightness.
    """
    return _in_parts(_look, images)


def _in_parts(measure: Callable[[NDArray[Any]], NDArray[Any]], rows: NDArray[Any]) -> NDArray[Any]:
    """Apply `measure`, whose memory grows with the rows, to a few rows at a time."""
    return np.concatenate([measure(rows[at : at + IMAGES_AT_ONCE]) for at in range(0, len(rows), IMAGES_AT_ONCE)])


def _look(images: Bytes) -> Floats:
    pixels = to_grey(images).astype(np.float32) / np.float32(255)
    border = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], axis=1)
    across, down = (np.abs(np.diff(pixels, axis=axis)) for axis in (2, 1))
    of_all = [measure.mean(axis=(1, 2)) for measure in (pixels, across, down)]
    return np.stack([*of_all, pixels.std(axis=(1, 2)), border.mean(axis=1)], axis=1)


def _precision_among_neighbours(looks: Floats) -> Floats:
    """Return the inverse covariance of the differences between rows of descriptors (m, 5) and their nearest, (5, 5).

    Differences from the mean would grow with the distance between kinds of images, until everything in between is
    within the limit: D. Art, R. Gnanadesikan and J. R. Kettenring, "Data-based metrics for cluster analysis",
    Utilitas Mathematica 21A, 1982.
    """
    whitened = looks @ np.linalg.cholesky(_precision(looks - looks.mean(axis=0)))
    # The nearest of all is the row itself, whose difference of 0 changes the covariance by a factor alone.
    nearest = _in_parts(lambda some: _nearest(some, whitened), whitened)
    return _precision((looks[:, None] - looks[nearest]).reshape(-1, looks.shape[1]))


def _nearest(rows: Floats, others: Floats) -> NDArray[np.intp]:
    return np.argsort(_squared_distances(rows, others), axis=1)[:, : NEIGHBOUR + 1]


def _squared_distances(rows: Floats, others: Floats) -> NDArray[np.float64]:
    """Return those between each of the rows (n, d) and each of the others (m, d), (n, m)."""
    found = np.zeros((len(rows), len(others)))
    for ours, theirs in zip(rows.T.astype(np.float64), others.T.astype(np.float64), strict=True):
        found += np.subtract.outer(ours, theirs) ** 2
    return found


def _precision(deviations: Floats) -> Floats:
    """Return the inverse covariance of deviations (n, 5) from 0."""
    deviations = deviations.astype(np.float64)
    # A difference of one grey level does not count, even if all known images are alike.
    covariance = deviations.T @ deviations / len(deviations) + np.eye(deviations.shape[1]) / 255**2
    return np.linalg.inv(covariance).astype(np.float32)


def _oddness(centres: Floats, precision: Floats, looks: Floats) -> Floats:
    """Return the squared Mahalanobis distance of each row of descriptors to the fifth nearest centre, (n,)."""
    rank, whitening = min(NEIGHBOUR, len(centres)), np.linalg.cholesky(precision)

    def measure(some: Floats) -> Floats:
        distances = _squared_distances(some @ whitening, centres @ whitening)
        fifth: Floats = np.partition(distances, rank - 1, axis=1)[:, rank - 1]
        return fifth

    return _in_parts(measure, looks)


def _distances(neighbours: Floats, embeddings: Floats) -> Floats:
    """Return 1 minus the cosine of the angle to the fifth nearest neighbour, (n,), 0 to 2."""
    rank = min(NEIGHBOUR, len(neighbours))

    def measure(some: Floats) -> Floats:
        similarities = unit_length(some) @ neighbours.T
        nearest: Floats = np.partition(similarities, -rank, axis=1)[:, -rank]
        return 1 - nearest

    return _in_parts(measure, embeddings)


def unit_length(embeddings: Floats) -> Floats:
    """Scale embeddings (n, d) to length 1; one of length 0 stays so: it is at distance 1 from everything."""
    lengths: Floats = np.linalg.norm(embeddings, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    return embeddings / lengths
