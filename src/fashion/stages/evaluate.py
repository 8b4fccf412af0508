"""Stage `evaluate`: the only one that touches the test sets, on every image of them."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import classification_report
from sklearn.metrics import confusion_matrix as count_confusions

from fashion.adapters import plots
from fashion.evaluation import metrics
from fashion.evaluation.abstention import Abstention, fit_abstention, reasons
from fashion.evaluation.estimates import (
    CALLS,
    CONFIDENCE,
    CalibrationError,
    Estimate,
    calibration_error,
    exact,
    median,
    proportion,
    proportion_of,
    raise_confidence,
)
from fashion.evaluation.gates import Gate, at_least, at_most
from fashion.images.nonsense import draw_nonsense
from fashion.model.networks import answer, temperature_of
from fashion.params import EvaluationGates, Params
from fashion.paths import Project
from fashion.stages.classifier import load_classifier
from fashion.stages.dataset import RECENT, Split, has_recent, load_split, read_prepared
from fashion.stages.history import read_history
from fashion.stages.reference import Examples, Reference, write_examples, write_reference
from fashion.storage import atomic_file, atomic_folder, file_digest, write_json, write_text

SHOWN = 32
"""Images on the pages of samples and of mistakes."""
TIMED = 50
"""Predictions of one image of which the median time is taken; with fewer than 6 there is no interval."""
NONSENSE, NONSENSE_SEED = 75, 0
"""Drawn images of each kind: 600 in all, so that a share near 1 is known to one or two points."""
MOST_EXAMPLES = 2000
"""Training images that go with the reference: with their embeddings some 2 MB."""


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found on the test set."""

    accuracy: Estimate
    gate: Gate


@dataclass(frozen=True)
class _Estimates:
    """What the gates are about; the recalls' intervals hold for all classes together."""

    nonsense: Estimate
    """Share of drawn noise and textures to which the model gives no answer."""

    accuracy: Estimate
    recalls: Mapping[str, Estimate]
    calibration: CalibrationError
    model_bytes: Estimate
    latency: Estimate


@dataclass(frozen=True)
class _Outputs:
    """Everything the model says about the test images; each array has one row an image."""

    uncalibrated: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    embedding: NDArray[np.float32]
    predictions: NDArray[np.intp]
    confidences: NDArray[np.float32]
    correct: NDArray[np.bool_]


def evaluate(project: Project, params: Params) -> Evaluation:
    """Measure artifacts/model/model.keras on the test set, and on the recent one if any; write artifacts/evaluation/.

    Beside the figures lies the reference: what the model says about the validation images, when it should abstain, and
    some training images that later ones can be compared with.

    Raises:
        ArtifactError: the model or the prepared dataset is missing or damaged.
    """
    model = load_classifier(project.model_file)
    test = load_split(project, "test")
    outputs = _predict(model, test)
    validation = load_split(project, "validation")
    reference = _refer(model, validation, params, learned_collected=_has_learned_collected(project))
    nonsense = _nonsense(model, reference.abstention, test.images.shape[1:])
    found = _estimate(project, params, model, test, outputs, nonsense)
    figures = (
        _quality(outputs, test, found, params)
        | _abstained(reference, test, outputs)
        | {
            "abstained_on_nonsense": found.nonsense.value,
            "abstained_on": nonsense,
            "temperature": temperature_of(model),
            "parameters": model.count_params(),
            "model_bytes": int(found.model_bytes.value),
            "latency_milliseconds": found.latency.value,
        }
    )
    if has_recent(project):
        figures |= _recent(model, load_split(project, RECENT))
    gate = _gate(found, params.evaluate.gates)
    with atomic_folder(project.evaluation) as folder:
        _write_tables(folder, outputs, test, params.data.classes)
        write_reference(folder, reference, validation.images)
        write_examples(folder, _choose_examples(model, load_split(project, "train")))
        _draw(folder, project, outputs, test, params)
        write_json(folder / "metrics.json", figures)
        write_json(folder / "gate.json", {"model_sha256": file_digest(project.model_file)} | gate.to_dict())
    return Evaluation(found.accuracy, gate)


def _predict(model: keras.Model, test: Split) -> _Outputs:
    outputs = answer(model, test.images)
    predictions = outputs.probabilities.argmax(axis=1)
    return _Outputs(
        uncalibrated=softmax(outputs.logits, axis=1),
        probabilities=outputs.probabilities,
        embedding=outputs.embedding,
        predictions=predictions,
        confidences=outputs.probabilities.max(axis=1),
        correct=predictions == test.labels,
    )


def _estimate(
    project: Project,
    params: Params,
    model: keras.Model,
    test: Split,
    outputs: _Outputs,
    nonsense: Mapping[str, float],
) -> _Estimates:
    classes = params.data.classes
    confidence = raise_confidence(CONFIDENCE, len(classes))
    rights = [outputs.correct[test.labels == label] for label in range(len(classes))]
    unanswered = round(NONSENSE * sum(nonsense.values()))
    return _Estimates(
        nonsense=proportion_of(unanswered, NONSENSE * len(nonsense)),
        accuracy=proportion(outputs.correct),
        recalls={
            name: proportion_of(int(right.sum()), len(right), confidence)
            for name, right in zip(classes, rights, strict=True)
        },
        calibration=calibration_error(outputs.confidences, outputs.correct, params.evaluate.calibration_bins),
        model_bytes=exact(project.model_file.stat().st_size),
        latency=median(_latencies(model, test.images[:1]), CALLS),
    )


def _quality(outputs: _Outputs, test: Split, found: _Estimates, params: Params) -> dict[str, Any]:
    accuracy, calibration, corrected = found.accuracy, found.calibration, found.calibration.corrected
    uncalibrated, bins = outputs.uncalibrated.max(axis=1), params.evaluate.calibration_bins
    classes = metrics.class_figures(test.labels, outputs.predictions, len(params.data.classes))
    return {
        "images": accuracy.n,
        "accuracy": accuracy.value,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "macro_precision": float(np.mean([figures.precision for figures in classes])),
        "macro_recall": float(np.mean([figures.recall for figures in classes])),
        "macro_f1": float(np.mean([figures.f1 for figures in classes])),
        "expected_calibration_error": calibration.plug_in,
        "expected_calibration_error_bias": calibration.bias,
        "expected_calibration_error_before": calibration_error(uncalibrated, outputs.correct, bins).plug_in,
        "corrected_calibration_error": corrected.value,
        "corrected_calibration_error_low": corrected.low,
        "corrected_calibration_error_high": corrected.high,
        "per_class": {name: asdict(figures) for name, figures in zip(params.data.classes, classes, strict=True)},
    }


def _has_learned_collected(project: Project) -> bool:
    """Whether there are images among the training images that came in while a model was in use."""
    dataset = read_prepared(project)
    return bool(dataset.get("collected", 0) > 0)  # Datasets of earlier code do not say.


def _refer(model: keras.Model, validation: Split, params: Params, learned_collected: bool) -> Reference:
    outputs, limits = answer(model, validation.images), params.evaluate.abstention
    return Reference(
        embeddings=outputs.embedding,
        probabilities=outputs.probabilities,
        labels=validation.labels,
        predicted=outputs.probabilities.argmax(axis=1).astype(np.uint8),
        abstention=fit_abstention(
            validation.images, outputs.embedding, limits.distance_quantile, limits.confidence_at_least
        ),
        learned_collected=learned_collected,
    )


def _choose_examples(model: keras.Model, train: Split) -> Examples:
    chosen = np.random.default_rng(0).permutation(len(train.labels))[:MOST_EXAMPLES]
    images = train.images[chosen]
    return Examples(images, train.labels[chosen], answer(model, images).embedding)


def _nonsense(model: keras.Model, rule: Abstention, size: tuple[int, int]) -> dict[str, float]:
    """By kind of drawn nonsense, the share that gets no answer: the picture is refused, or the model abstains."""
    shares = {}
    for name, (images, cluttered) in draw_nonsense(NONSENSE, size, NONSENSE_SEED).items():
        outputs = answer(model, images) if len(images) else None
        found = reasons(rule, images, outputs.probabilities, outputs.embedding, cluttered) if outputs else []
        shares[name] = 1 - found.count(None) / NONSENSE
    return shares


def _abstained(reference: Reference, test: Split, outputs: _Outputs) -> dict[str, float]:
    """How often the model would rather say nothing, and its accuracy where it answers."""
    found = reasons(reference.abstention, test.images, outputs.probabilities, outputs.embedding)
    answered = np.array([reason is None for reason in found])
    accuracy = {"accuracy_when_answering": float(outputs.correct[answered].mean())} if answered.any() else {}
    return {"abstained": float(1 - answered.mean())} | accuracy


def _recent(model: keras.Model, recent: Split) -> dict[str, Any]:
    """How the model does on images that came in while a model was in use."""
    accuracy = proportion(_predict(model, recent).correct)
    return {
        "recent_images": accuracy.n,
        "recent_accuracy": accuracy.value,
        "recent_accuracy_low": accuracy.low,
        "recent_accuracy_high": accuracy.high,
    }


def _latencies(model: keras.Model, image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Milliseconds for one image through the compiled function, after a warm-up: (TIMED,)."""
    times = []
    for _ in range(TIMED + 1):
        start = time.perf_counter()
        model.predict_on_batch(image)
        times.append(time.perf_counter() - start)
    return 1000 * np.array(times[1:])


def _gate(found: _Estimates, limits: EvaluationGates) -> Gate:
    recalls = [
        at_least(f"recall of {name}", recall, limits.recall_of_every_class_at_least)
        for name, recall in found.recalls.items()
    ]
    calibration = found.calibration.corrected
    checks = (
        at_least("accuracy", found.accuracy, limits.accuracy_at_least),
        *recalls,
        at_least("abstention_on_nonsense", found.nonsense, limits.abstention_on_nonsense_at_least),
        at_most("corrected_calibration_error", calibration, limits.expected_calibration_error_at_most),
        at_most("model_bytes", found.model_bytes, limits.model_bytes_at_most),
        at_most("latency_milliseconds", found.latency, limits.latency_milliseconds_at_most),
    )
    return Gate(checks)


def _write_tables(folder: Path, outputs: _Outputs, test: Split, classes: tuple[str, ...]) -> None:
    predictions = pd.DataFrame(
        {
            "index": np.arange(len(test.labels)),
            "label": test.labels,
            "prediction": outputs.predictions.astype(np.uint8),
            "confidence": outputs.confidences,
            "correct": outputs.correct,
            "probabilities": list(outputs.probabilities),
        }
    )
    with atomic_file(folder / "predictions.parquet") as path:
        predictions.to_parquet(path, index=False)
    named = pd.DataFrame({"actual": [classes[label] for label in test.labels]})
    named["predicted"] = [classes[prediction] for prediction in outputs.predictions]
    write_text(folder / "confusion.csv", named.to_csv(index=False))
    report = classification_report(
        test.labels, outputs.predictions, labels=range(len(classes)), target_names=classes, digits=4, zero_division=0.0
    )
    write_text(folder / "classification_report.txt", report)


def _draw(folder: Path, project: Project, outputs: _Outputs, test: Split, params: Params) -> None:
    classes, bins = params.data.classes, params.evaluate.calibration_bins
    plots.training_curves(read_history(project), folder / "training_curves.png")
    counts = count_confusions(test.labels, outputs.predictions, labels=range(len(classes)))
    plots.confusion_matrix(counts, classes, folder / "confusion_matrix.png")
    plots.reliability(
        metrics.calibration_bins(outputs.uncalibrated.max(axis=1), outputs.correct, bins),
        metrics.calibration_bins(outputs.confidences, outputs.correct, bins),
        folder / "calibration.png",
    )
    samples = np.random.default_rng(0).choice(len(test.labels), min(SHOWN, len(test.labels)), replace=False)
    _show(folder / "sample_predictions.png", "Predictions on images of the test set", samples, outputs, test, classes)
    mistakes = metrics.most_confident_mistakes(outputs.probabilities, test.labels, SHOWN)
    _show(folder / "confident_mistakes.png", "The most confident mistakes", mistakes, outputs, test, classes)


def _show(
    path: Path, title: str, chosen: NDArray[np.intp], outputs: _Outputs, test: Split, classes: tuple[str, ...]
) -> None:
    captions = [
        f"{classes[outputs.predictions[index]]} {outputs.confidences[index]:.0%}\ntrue: {classes[test.labels[index]]}"
        for index in chosen
    ]
    colours = [plots.CORRECT if outputs.correct[index] else plots.WRONG for index in chosen]
    plots.contact_sheet(test.images[chosen], captions, path, title, colours)
