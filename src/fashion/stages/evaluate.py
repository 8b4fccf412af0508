"""Stage `evaluate`: the only stage that uses the test sets, and every image in them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from fashion.adapters import plots
from fashion.arrays import Bytes, LabelledImages
from fashion.evaluation.abstention import Abstention, fit_abstention, reasons
from fashion.evaluation.estimates import (
    CALLS,
    TIMED_CALLS,
    Estimate,
    calibration_error,
    exact,
    median,
    proportion,
    proportion_of,
)
from fashion.evaluation.gates import Gate
from fashion.evaluation.outputs import Outputs
from fashion.evaluation.quality import Quality, check_gates, estimate_recalls, figures, recent_figures
from fashion.images.nonsense import draw_nonsense
from fashion.images.photos import Form, form_of
from fashion.model.networks import answer, temperature_of
from fashion.params import AbstentionParams, Params
from fashion.paths import GATE, METRICS, Project
from fashion.stages.classifier import load_classifier
from fashion.stages.dataset import RECENT, has_recent, load_split, read_history, read_prepared
from fashion.stages.evaluation_pictures import draw_pictures, write_tables
from fashion.stages.reference import Examples, Reference, count_examples, write_examples, write_reference
from fashion.stages.robustness import measure_robustness, write_robustness
from fashion.storage import atomic_folder, file_digest, write_json

NONSENSE, NONSENSE_SEED = 75, 0
"""Generated images of each kind: 600 in total, so that a share near 1 is known to within one or two points."""


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found on the test set."""

    accuracy: Estimate
    corrupted: Estimate
    """Accuracy over all corruptions and severities; n is the number of different images."""
    gate: Gate


@dataclass(frozen=True)
class _Tested:
    """A model and its answers to the test set."""

    model: keras.Model
    size: int
    """Bytes of its file."""
    test: LabelledImages
    outputs: Outputs
    classes: tuple[str, ...]
    bins: int
    """Of the calibration."""


def evaluate(project: Project, params: Params) -> Evaluation:
    """Measure artifacts/model/model.keras on the test set, and on the recent one if any; write artifacts/evaluation/.

    Beside the figures it writes the reference: the model's outputs for the validation images, its abstention rule, and
    some training images to compare later ones with. It makes one pass over each set of images.

    Raises:
        ArtifactError: the model or the prepared dataset is missing or damaged.
    """
    tested, validation, train = _test(project, params), load_split(project, "validation"), load_split(project, "train")
    reference = _refer(project, answer(tested.model, validation.images), validation, params.evaluate.abstention)
    nonsense = _nonsense(tested.model, reference.abstention, form_of(params.data))
    quality = _estimate(tested, nonsense)
    found = _figures(tested, quality, nonsense, reference.abstention) | _recent_figures(project, tested.model)
    gate = check_gates(quality, params.evaluate.gates)
    robust = measure_robustness(
        lambda images: answer(tested.model, images).predicted,
        {"train": train, "test": tested.test},
        tested.outputs.correct(tested.test.labels),
        form_of(params.data),
        tested.classes,
    )
    found |= {"corrupted_accuracy": robust.corrupted.value}
    with atomic_folder(project.evaluation) as folder:
        write_tables(folder, tested.outputs, tested.test, tested.classes)
        write_reference(folder, reference, validation.images)
        write_examples(folder, _choose_examples(tested.model, train))
        plots.training_curves(read_history(project), folder / "training_curves.png")
        draw_pictures(folder, tested.outputs, tested.test, tested.classes, tested.bins)
        write_robustness(folder, robust)
        write_json(folder / METRICS, found)
        write_json(folder / GATE, {"model_sha256": file_digest(project.model_file)} | gate.to_dict())
    return Evaluation(quality.accuracy, robust.corrupted, gate)


def _test(project: Project, params: Params) -> _Tested:
    model, test = load_classifier(project.model_file), load_split(project, "test")
    return _Tested(
        model=model,
        size=project.model_file.stat().st_size,
        test=test,
        outputs=answer(model, test.images),
        classes=params.data.classes,
        bins=params.evaluate.calibration_bins,
    )


def _refer(project: Project, outputs: Outputs, validation: LabelledImages, limits: AbstentionParams) -> Reference:
    return Reference(
        embeddings=outputs.embedding,
        probabilities=outputs.probabilities,
        labels=validation.labels,
        predicted=outputs.predicted.astype(np.uint8),
        abstention=fit_abstention(
            validation.images, outputs.embedding, limits.distance_quantile, limits.confidence_at_least
        ),
        learned_collected=read_prepared(project).get("collected", 0) > 0,  # Datasets of earlier releases lack it.
    )


def _estimate(tested: _Tested, nonsense: Mapping[str, float]) -> Quality:
    """Return what the gates check; `nonsense` is the share of each kind that the model does not answer."""
    correct = tested.outputs.correct(tested.test.labels)
    return Quality(
        accuracy=proportion(correct),
        recalls=estimate_recalls(tested.outputs, tested.test.labels, tested.classes),
        calibration=calibration_error(tested.outputs.confidences, correct, tested.bins),
        nonsense=proportion_of(round(NONSENSE * sum(nonsense.values())), NONSENSE * len(nonsense)),
        model_bytes=exact(tested.size),
        latency=median(_latencies(tested.model, tested.test.images[:1]), CALLS),
    )


def _figures(tested: _Tested, quality: Quality, nonsense: Mapping[str, float], rule: Abstention) -> dict[str, Any]:
    """Return the figures in metrics.json about the test set and the model."""
    return (
        figures(tested.outputs, tested.test.labels, quality, tested.classes, tested.bins)
        | _abstained(rule, tested.test, tested.outputs)
        | {
            "abstained_on_nonsense": quality.nonsense.value,
            "abstained_on": nonsense,
            "temperature": temperature_of(tested.model),
            "parameters": tested.model.count_params(),
            "model_bytes": tested.size,
            "latency_milliseconds": quality.latency.value,
        }
    )


def _recent_figures(project: Project, model: keras.Model) -> dict[str, Any]:
    """Return the figures about the recent test set; none if nothing has been collected."""
    if not has_recent(project):
        return {}
    recent = load_split(project, RECENT)
    return recent_figures(answer(model, recent.images), recent.labels)


def _choose_examples(model: keras.Model, train: LabelledImages) -> Examples:
    chosen = np.random.default_rng(0).permutation(len(train.labels))[: count_examples(train.images.shape[1:])]
    images = train.images[chosen]
    return Examples(images, train.labels[chosen], answer(model, images).embedding)


def _nonsense(model: keras.Model, rule: Abstention, form: Form) -> Mapping[str, float]:
    """Return, by kind of drawn nonsense, the share without an answer: the picture is refused, or the model abstains."""
    shares = {}
    for name, (images, cluttered) in draw_nonsense(NONSENSE, form, NONSENSE_SEED).items():
        found = reasons(rule, images, answer(model, images), cluttered) if len(images) else []
        shares[name] = 1 - found.count(None) / NONSENSE
    return shares


def _abstained(rule: Abstention, test: LabelledImages, outputs: Outputs) -> dict[str, float]:
    """Return how often the model abstains, and its accuracy where it answers."""
    found = reasons(rule, test.images, outputs)
    answered = np.array([reason is None for reason in found])
    correct = outputs.correct(test.labels)
    accuracy = {"accuracy_when_answering": float(correct[answered].mean())} if answered.any() else {}
    return {"abstained": float(1 - answered.mean())} | accuracy


def _latencies(model: keras.Model, image: Bytes) -> NDArray[np.float64]:
    """Return the milliseconds per image through the compiled function, after a warm-up: (TIMED_CALLS,)."""
    times = []
    for _ in range(TIMED_CALLS + 1):
        start = time.perf_counter()
        model.predict_on_batch(image)
        times.append(time.perf_counter() - start)
    return 1000 * np.array(times[1:])
