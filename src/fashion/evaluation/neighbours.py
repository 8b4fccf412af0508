"""The known images most similar to a later one, and whether later images can be told from known ones, by embeddings."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fashion.arrays import Floats
from fashion.evaluation.abstention import unit_length

FOLDS = 5
MOST_ROWS = 1000
"""Rows of either side that the classifier is fitted to; more take longer and hardly change the area."""


def nearest(known: Floats, embeddings: Floats, count: int) -> tuple[NDArray[np.intp], Floats]:
    """Find the nearest of the `known` embeddings (m, d) to each of `embeddings` (n, d), by angle.

    Returns:
        Their rows in `known` and their distances, 1 minus the cosine; both (n, at most `count`), the nearest first.
    """
    distances = 1 - unit_length(embeddings) @ unit_length(known).T
    rows = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return rows, np.take_along_axis(distances, rows, axis=1)


def domain_auc(some: Floats, others: Floats) -> float:
    """Return how well a linear classifier tells embeddings (n, d) from others (m, d); n and m at least `FOLDS`.

    The area under the ROC curve of scores for rows that the classifier was not fitted to: 0.5 where the two cannot be
    told apart, 1 where they always can. Source: D. Lopez-Paz and M. Oquab, "Revisiting classifier two-sample tests",
    ICLR 2017.
    """
    random = np.random.default_rng(0)
    parts = [side[random.permutation(len(side))[:MOST_ROWS]] for side in (some, others)]
    sides = np.repeat([1, 0], [len(part) for part in parts])
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000, class_weight="balanced"))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    scores = cross_val_predict(classifier, np.concatenate(parts), sides, cv=folds, method="decision_function")
    return float(roc_auc_score(sides, scores))
