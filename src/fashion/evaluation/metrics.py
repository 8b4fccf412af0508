"""Figures about predictions on labelled images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from fashion.arrays import Booleans, Floats, Labels


@dataclass(frozen=True)
class ClassFigures:
    """The figures of one class; `support` is the number of images whose true label it is."""

    precision: float
    recall: float
    f1: float
    support: int


def class_figures(labels: Labels, predictions: Labels, classes: int) -> list[ClassFigures]:
    """Return precision, recall and F1 of each class; a class that is never predicted has precision 0."""
    columns = precision_recall_fscore_support(labels, predictions, labels=range(classes), zero_division=0.0)
    return [
        ClassFigures(float(precision), float(recall), float(f1), int(support))
        for precision, recall, f1, support in zip(*columns, strict=True)
    ]


def calibration_bins(confidences: Floats, correct: Booleans, bins: int) -> dict[str, NDArray[np.float64]]:
    """Return mean confidence, accuracy and share of images in each non-empty bin of `bins` equal bins of confidence."""
    members = np.minimum((confidences * bins).astype(int), bins - 1)
    counts = np.bincount(members, minlength=bins)
    filled = counts > 0
    return {
        "confidence": np.bincount(members, weights=confidences, minlength=bins)[filled] / counts[filled],
        "accuracy": np.bincount(members, weights=correct, minlength=bins)[filled] / counts[filled],
        "share": counts[filled] / len(confidences),
    }


def agreement(some: Floats, others: Floats) -> float:
    """Return the share of images for which two arrays of probabilities (n, classes) predict the same class."""
    return float(np.mean(some.argmax(axis=1) == others.argmax(axis=1)))


def most_confident_mistakes(probabilities: Floats, labels: Labels, count: int) -> NDArray[np.intp]:
    """Return the indices of at most `count` wrongly classified images, the most confident first."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    order = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return wrong[order[:count]]
