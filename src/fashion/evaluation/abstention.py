"""When a model should rather say nothing: it is unsure, or the image is unlike those it was measured on.

The distance is that of Y. Sun et al., "Out-of-distribution detection with deep nearest neighbors", ICML 2022.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
UNSURE, UNLIKE = "unsure", "unlike"
"""The reasons: the confidence is too low; the image is far from all known ones."""
NEIGHBOUR = 5
"""The distance to the fifth nearest image counts: one odd image among the known ones does not excuse another."""
MOST_NEIGHBOURS = 1000
"""More find no more foreign images on Fashion-MNIST, and with all 6,000 the search takes longer than the model."""


@dataclass(frozen=True)
class Abstention:
    """The rule of one model."""

    neighbours: Floats
    """Embeddings (n, d) of known images, each of length 1."""
    distance_limit: float
    confidence_limit: float


def fit_abstention(embeddings: Floats, distance_quantile: float, confidence_limit: float) -> Abstention:
    """The rule from images that the model was not trained on.

    Args:
        embeddings: (n, d), n at least 2, in no particular order. The first half, at most 1000, are the neighbours; the
            limit is taken from the others.
        distance_quantile: share of those others that lie within the limit.
        confidence_limit: the least confidence with which the model answers.
    """
    known = min(MOST_NEIGHBOURS, len(embeddings) // 2)
    neighbours = unit_length(embeddings[:known])
    limit = np.quantile(_distances(neighbours, embeddings[known:]), distance_quantile)
    return Abstention(neighbours, float(limit), confidence_limit)


def reasons(rule: Abstention, probabilities: Floats, embeddings: Floats) -> list[str | None]:
    """Why the model should say nothing about each image, `unsure` before `unlike`; None where it should answer."""
    unsure = probabilities.max(axis=1) < rule.confidence_limit
    unlike = _distances(rule.neighbours, embeddings) > rule.distance_limit
    return [UNSURE if one else UNLIKE if other else None for one, other in zip(unsure, unlike, strict=True)]


def _distances(neighbours: Floats, embeddings: Floats) -> Floats:
    """1 minus the cosine of the angle to the fifth nearest neighbour, (n,), 0 to 2."""
    rank = min(NEIGHBOUR, len(neighbours))
    similarities = unit_length(embeddings) @ neighbours.T
    nearest: Floats = np.partition(similarities, -rank, axis=1)[:, -rank]
    return 1 - nearest


def unit_length(embeddings: Floats) -> Floats:
    """An embedding (n, d) of length 0 stays so: it is at distance 1 from everything."""
    lengths: Floats = np.linalg.norm(embeddings, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    return embeddings / lengths
