"""What is said of a window of predictions: how far it departs from the champion's reference, and its verdict."""

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from fashion.adapters.predictions import NO_LABEL, JudgedWindow, ModelVersion, Window
from fashion.errors import DataError
from fashion.evaluation.alarm import Decision
from fashion.evaluation.drift import Sample, build_detector, descriptor_values, measure
from fashion.evaluation.limits import calibrate, score
from fashion.params import MonitorParams
from fashion.stages.reference import Known


def score_window(params: MonitorParams, known: Known, window: Window) -> dict[str, float]:
    """Return by statistic how far a window departs from the reference; the limits are for its size and labels.

    Of the labels, only those count that were asked for at random, and only if nearly all of them have come.

    Raises:
        DataError: the predictions are by a model with different outputs.
    """
    clean = known.reference
    labels = clean.labels.astype(np.int64)
    reference = Sample(descriptor_values(known.descriptors), clean.embeddings, clean.probabilities, labels)
    sample = Sample(
        descriptor_values(window.descriptors), window.embeddings, window.probabilities, _sampled_labels(params, window)
    )
    if _widths(sample) != _widths(reference):
        raise DataError(
            f"The log also holds predictions of a different model that was version {window.versions[0]}, with other "
            "numbers of classes or embeddings. Give each registry its own log: FASHION_PREDICTIONS_URL"
        )
    detector = build_detector(reference, params.overconfidence_tolerated, mix_by_chance=known.settled)
    limits = calibrate(detector, len(sample), int((sample.labels >= 0).sum()), params.alarm.false_alarm_rate)
    scores = score(limits, measure(detector, sample), np.arange(len(sample))[None])
    return {name: float(value[0]) for name, value in scores.items()}


def judge(window: Window, version: ModelVersion, number: int, decision: Decision, because: str) -> JudgedWindow:
    """Return what the history keeps of a window; it gets this number."""
    start, end = window.span
    return JudgedWindow(
        number=number,
        time=datetime.now(UTC),
        model_version=str(window.versions[0]),
        first_id=str(window.ids[0]),
        last_id=str(window.ids[-1]),
        first_number=int(window.numbers[0]),
        last_number=int(window.numbers[-1]),
        start=start,
        end=end,
        predictions=len(window),
        scores=decision.scores,
        verdict=decision.verdict,
        because=because,
        estimated_accuracy=float(window.probabilities.max(axis=1).mean()),
        by_class=_count(window),
        model_identity=version.identity,
        model=version.model,
        classes=version.classes,
    )


def _sampled_labels(params: MonitorParams, window: Window) -> NDArray[np.int64]:
    """Return the labels of the window that are a random sample; -1 elsewhere, and everywhere if too few came."""
    trusted = window.survey.response >= params.response_at_least
    return np.where(window.asked & trusted, window.labels, NO_LABEL)


def _widths(sample: Sample) -> list[tuple[int, ...]]:
    return [values.shape[1:] for values in vars(sample).values()]


def _count(window: Window) -> dict[str, tuple[int, int]]:
    """Count the labels that were asked for and have come, and the correct ones, by the number of the true class."""
    labels = np.where(window.asked, window.labels, NO_LABEL)
    correct = window.predicted == labels
    known = np.unique(labels[labels != NO_LABEL])
    return {str(label): (int((labels == label).sum()), int(correct[labels == label].sum())) for label in known}
