"""The figures of a report that are worked out from a version's predictions, each with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Bytes
from fashion.evaluation.estimates import CONFIDENCE, Estimate, proportion_of, raise_confidence
from fashion.evaluation.metrics import calibration_bins
from fashion.pages.report.kept import Predictions

MOST_CELLS = 20
"""Classes of which the confusion matrix is a table; of more it is a picture."""
BLUE, ORANGE, WHITE = ((0, 114, 178), (213, 94, 0), (255, 255, 255))
"""Colours that colour-blind readers tell apart: M. Okabe and K. Ito, "Color universal design", 2008."""
NORMAL_95 = 1.96


@dataclass(frozen=True)
class ClassRow:
    """A row of the classification report."""

    name: str
    images: int
    predictions: int
    precision: Estimate | None
    """None where it was never predicted."""
    recall: Estimate | None
    """None where the test set has no image of it."""
    f1: float | None


@dataclass(frozen=True)
class Bin:
    """The predictions of one range of confidence."""

    confidence: float
    accuracy: Estimate


@dataclass(frozen=True)
class Sureness:
    """How much surer a model is than it is right: positive where it is too sure."""

    confidence: float
    accuracy: float
    excess: Estimate
    """Mean confidence minus accuracy, with a normal interval of its mean over the images."""


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix, as a table of few classes or a picture of many."""

    counts: NDArray[np.intp]
    """(true, predicted)."""
    strengths: NDArray[np.float64]
    """The colour of each cell, 0 to 1: on the diagonal the share of the class, elsewhere of the largest mistake."""
    picture: Bytes | None


def draw_confusion(counts: NDArray[np.intp]) -> Confusion:
    """Return the confusion matrix with its colours: what is right in blue, mistakes in orange."""
    diagonal = np.eye(len(counts), dtype=bool)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    mistakes = np.where(diagonal, 0, shares)
    strengths = np.where(diagonal, shares, mistakes / max(mistakes.max(), 1e-9))
    if len(counts) <= MOST_CELLS:
        return Confusion(counts, strengths, None)
    # The smallest count is still seen beside none.
    visible = np.where(counts > 0, 0.25 + 0.75 * strengths, 0)[..., None]
    full = np.where(diagonal[..., None], BLUE, ORANGE)
    picture = (visible * full + (1 - visible) * np.array(WHITE)).round().astype(np.uint8)
    return Confusion(counts, strengths, picture)


def class_rows(counts: NDArray[np.intp], classes: Sequence[str], f1: Sequence[float]) -> list[ClassRow]:
    """Return the classification report; its intervals hold jointly for all classes (Bonferroni), as the gates' do."""
    confidence = raise_confidence(CONFIDENCE, len(classes))
    right, images, predictions = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)

    def estimate(number: int, of: NDArray[np.intp]) -> Estimate | None:
        return proportion_of(int(right[number]), int(of[number]), confidence) if of[number] else None

    return [
        ClassRow(
            name=name,
            images=int(images[number]),
            predictions=int(predictions[number]),
            precision=estimate(number, predictions),
            recall=estimate(number, images),
            f1=f1[number] if images[number] else None,
        )
        for number, name in enumerate(classes)
    ]


def reliability(found: Predictions, bins: int) -> list[Bin]:
    """Return the accuracy in each range of confidence that has predictions."""
    columns = calibration_bins(found.confidences, found.correct, bins)
    return [
        Bin(float(confidence), proportion_of(round(accuracy * count), count))
        for confidence, accuracy, share in zip(*columns.values(), strict=True)
        if (count := round(share * len(found.labels)))
    ]


def sureness(found: Predictions) -> Sureness:
    """Return how much surer the model is than it is right."""
    gaps = found.confidences - found.correct
    half = NORMAL_95 * float(gaps.std()) / len(gaps) ** 0.5
    mean = float(gaps.mean())
    excess = Estimate(mean, mean - half, mean + half, len(gaps))
    return Sureness(float(found.confidences.mean()), float(found.correct.mean()), excess)
