"""The tables and pictures that `evaluate` leaves beside its figures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import classification_report
from sklearn.metrics import confusion_matrix as count_confusions

from fashion.adapters import plots
from fashion.arrays import LabelledImages
from fashion.evaluation import metrics
from fashion.evaluation.outputs import Outputs
from fashion.storage import atomic_file, write_text

SHOWN = 32
"""Images on the pages of samples and of mistakes."""


def write_tables(folder: Path, outputs: Outputs, test: LabelledImages, classes: tuple[str, ...]) -> None:
    """Write predictions.parquet, confusion.csv and classification_report.txt into the existing `folder`."""
    predicted = outputs.predicted
    predictions = pd.DataFrame(
        {
            "index": np.arange(len(test.labels)),
            "label": test.labels,
            "prediction": predicted.astype(np.uint8),
            "confidence": outputs.confidences,
            "correct": outputs.correct(test.labels),
            "probabilities": list(outputs.probabilities),
        }
    )
    with atomic_file(folder / "predictions.parquet") as path:
        predictions.to_parquet(path, index=False)
    named = pd.DataFrame({"actual": [classes[label] for label in test.labels]})
    named["predicted"] = [classes[prediction] for prediction in predicted]
    write_text(folder / "confusion.csv", named.to_csv(index=False))
    report = classification_report(
        test.labels, predicted, labels=range(len(classes)), target_names=classes, digits=4, zero_division=0.0
    )
    write_text(folder / "classification_report.txt", report)


def draw_pictures(folder: Path, outputs: Outputs, test: LabelledImages, classes: tuple[str, ...], bins: int) -> None:
    """Write the confusion matrix, the reliability diagram, samples and the worst mistakes into the existing `folder`.

    Args:
        bins: of confidence, in the reliability diagram.
    """
    counts = count_confusions(test.labels, outputs.predicted, labels=range(len(classes)))
    names = plots.legible(classes)
    plots.confusion_matrix(counts, names, folder / "confusion_matrix.png")
    correct = outputs.correct(test.labels)
    plots.reliability(
        metrics.calibration_bins(outputs.uncalibrated_confidences, correct, bins),
        metrics.calibration_bins(outputs.confidences, correct, bins),
        folder / "calibration.png",
    )
    samples = np.random.default_rng(0).choice(len(test.labels), min(SHOWN, len(test.labels)), replace=False)
    mistakes = metrics.most_confident_mistakes(outputs.probabilities, test.labels, SHOWN)
    pages = {
        "sample_predictions.png": ("Predictions on images of the test set", samples),
        "confident_mistakes.png": ("The most confident mistakes", mistakes),
    }
    for name, (title, chosen) in pages.items():
        captions, colours = _captions(outputs, test, names, chosen)
        plots.contact_sheet(test.images[chosen], captions, folder / name, title, colours)


def _captions(
    outputs: Outputs, test: LabelledImages, names: Sequence[str], chosen: NDArray[np.intp]
) -> tuple[list[str], list[str]]:
    predicted, confidences, correct = outputs.predicted, outputs.confidences, outputs.correct(test.labels)
    captions = [
        f"{names[predicted[index]]} {confidences[index]:.0%}\ntrue: {names[test.labels[index]]}" for index in chosen
    ]
    return captions, [plots.CORRECT if correct[index] else plots.WRONG for index in chosen]
