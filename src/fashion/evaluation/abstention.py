"""When a model should abstain: it is unsure, or the image is unlike those it was measured on.

An image may be unlike in two ways. Its embedding may be far away: the distance is that of Y. Sun et al.,
"Out-of-distribution detection with deep nearest neighbors", ICML 2022. Or it may look different, whatever its
embedding: a network that has never seen noise can mistake it for anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
    """The looks of known images: the distance is P. C. Mahalanobis's, in a few descriptors."""

    centre: Floats
    """(5,), their mean."""
    precision: Floats
    """(5, 5), the inverse of their covariance."""
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

    The first half, at most 1000, are the known images; the limits are computed from the others.

    Args:
        embeddings: (n, d), the model's embeddings of the images.
        distance_quantile: share of the others that lie within both limits.
        confidence_limit: the least confidence with which the model answers.
    """
    known = min(MOST_NEIGHBOURS, len(embeddings) // 2)
    neighbours = unit_length(embeddings[:known])
    looks = _looks(images)
    centre, precision = _centre_and_precision(looks[:known])
    distances, oddness = _distances(neighbours, embeddings[known:]), _oddness(centre, precision, looks[known:])
    # Each alone may reject half of the share; then both limits move together until the share is reached.
    far, odd = (_limit(values, (1 + distance_quantile) / 2) for values in (distances, oddness))
    moved = _limit(np.maximum(distances / far, oddness / odd), distance_quantile)
    return Abstention(neighbours, moved * far, confidence_limit, Appearance(centre, precision, moved * odd))


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
            unlike |= _oddness(look.centre, look.precision, _looks(images)) > look.limit
        found = [UNSURE if one else UNLIKE if other else None for one, other in zip(unsure, unlike, strict=True)]
    if cluttered is None:
        return found
    return [CLUTTERED if one else reason for one, reason in zip(cluttered, found, strict=True)]


def _looks(images: Bytes) -> Floats:
    """Compute five descriptors of each image, (n, 5), as shares of white.

    They are the mean and the standard deviation of the pixels, the mean difference of neighbours across and down, and
    the mean along the border; of colours, of their brightness.
    """
    parts = [images[start : start + IMAGES_AT_ONCE] for start in range(0, len(images), IMAGES_AT_ONCE)]
    return np.concatenate([_look(to_grey(part).astype(np.float32) / np.float32(255)) for part in parts])


def _look(pixels: Floats) -> Floats:
    border = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], axis=1)
    across, down = (np.abs(np.diff(pixels, axis=axis)) for axis in (2, 1))
    of_all = [measure.mean(axis=(1, 2)) for measure in (pixels, across, down)]
    return np.stack([*of_all, pixels.std(axis=(1, 2)), border.mean(axis=1)], axis=1)


def _centre_and_precision(looks: Floats) -> tuple[Floats, Floats]:
    centre = looks.mean(axis=0)
    deviations = (looks - centre).astype(np.float64)
    # A difference of one grey level does not count, even if all known images are alike.
    covariance = deviations.T @ deviations / len(looks) + np.eye(looks.shape[1]) / 255**2
    return centre, np.linalg.inv(covariance).astype(np.float32)


def _oddness(centre: Floats, precision: Floats, looks: Floats) -> Floats:
    """Return the squared Mahalanobis distance of each row of descriptors, (n,)."""
    deviations = looks - centre
    oddness: Floats = ((deviations @ precision) * deviations).sum(axis=1)
    return oddness


def _distances(neighbours: Floats, embeddings: Floats) -> Floats:
    """Return 1 minus the cosine of the angle to the fifth nearest neighbour, (n,), 0 to 2."""
    rank = min(NEIGHBOUR, len(neighbours))
    similarities = unit_length(embeddings) @ neighbours.T
    nearest: Floats = np.partition(similarities, -rank, axis=1)[:, -rank]
    return 1 - nearest


def unit_length(embeddings: Floats) -> Floats:
    """Scale embeddings (n, d) to length 1; one of length 0 stays so: it is at distance 1 from everything."""
    lengths: Floats = np.linalg.norm(embeddings, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    return embeddings / lengths
