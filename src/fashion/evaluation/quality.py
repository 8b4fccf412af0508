"""How good a model is on labelled images: estimates with their intervals, the figures derived, and the gates."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from fashion.arrays import Labels
from fashion.evaluation.estimates import (
    CONFIDENCE,
    CalibrationError,
    Estimate,
    calibration_error,
    proportion,
    raise_confidence,
)
from fashion.evaluation.gates import Check, Gate, at_least, at_most
from fashion.evaluation.metrics import class_figures
from fashion.evaluation.outputs import Outputs
from fashion.params import EvaluationGates


@dataclass(frozen=True)
class Quality:
    """The estimates that the gates check."""

    accuracy: Estimate
    recalls: Mapping[str, Estimate]
    """By class; their intervals hold jointly for all classes."""
    calibration: CalibrationError
    nonsense: Estimate
    """Share of generated noise and textures on which the model abstains."""
    model_bytes: Estimate
    latency: Estimate
    """Milliseconds for one image."""


def estimate_recalls(outputs: Outputs, labels: Labels, classes: tuple[str, ...]) -> dict[str, Estimate]:
    """Return the recall of each class; the intervals hold jointly for all classes (Bonferroni)."""
    confidence = raise_confidence(CONFIDENCE, len(classes))
    correct = outputs.correct(labels)
    return {name: proportion(correct[labels == label], confidence) for label, name in enumerate(classes)}


def figures(outputs: Outputs, labels: Labels, quality: Quality, classes: tuple[str, ...], bins: int) -> dict[str, Any]:
    """Return the figures in metrics.json about accuracy, classes and calibration."""
    accuracy, calibration, corrected = quality.accuracy, quality.calibration, quality.calibration.corrected
    before = calibration_error(outputs.uncalibrated_confidences, outputs.correct(labels), bins)
    of_classes = class_figures(labels, outputs.predicted, len(classes))
    return {
        "images": accuracy.n,
        "accuracy": accuracy.value,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "macro_precision": float(np.mean([one.precision for one in of_classes])),
        "macro_recall": float(np.mean([one.recall for one in of_classes])),
        "macro_f1": float(np.mean([one.f1 for one in of_classes])),
        "expected_calibration_error": calibration.plug_in,
        "expected_calibration_error_bias": calibration.bias,
        "expected_calibration_error_before": before.plug_in,
        "corrected_calibration_error": corrected.value,
        "corrected_calibration_error_low": corrected.low,
        "corrected_calibration_error_high": corrected.high,
        "per_class": {name: asdict(one) for name, one in zip(classes, of_classes, strict=True)},
    }


def recent_figures(outputs: Outputs, labels: Labels) -> dict[str, Any]:
    """Return the figures in metrics.json about images collected while a model was in use."""
    accuracy = proportion(outputs.correct(labels))
    return {
        "recent_images": accuracy.n,
        "recent_accuracy": accuracy.value,
        "recent_accuracy_low": accuracy.low,
        "recent_accuracy_high": accuracy.high,
    }


def check_gates(quality: Quality, limits: EvaluationGates) -> Gate:
    """Check every estimate against its limit."""
    recalls = [
        at_least(f"recall of {name}", recall, limits.recall_of_every_class_at_least)
        for name, recall in quality.recalls.items()
    ]
    calibration = quality.calibration.corrected
    return Gate(
        (
            at_least("accuracy", quality.accuracy, limits.accuracy_at_least),
            *recalls,
            _fixed(at_least("abstention_on_nonsense", quality.nonsense, limits.abstention_on_nonsense_at_least)),
            at_most("corrected_calibration_error", calibration, limits.expected_calibration_error_at_most),
            at_most("model_bytes", quality.model_bytes, limits.model_bytes_at_most),
            _fixed(at_most("latency_milliseconds", quality.latency, limits.latency_milliseconds_at_most)),
        )
    )


def _fixed(check: Check) -> Check:
    """Return the check without how many images or calls would decide: nobody but the code can make them more."""
    return replace(check, needed=None)
