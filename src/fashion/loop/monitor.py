"""Holds the champion's latest predictions against its reference, and keeps a history of what was found."""

import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fashion.adapters.predictions import (
    NO_LABEL,
    JudgedWindow,
    ModelVersion,
    PredictionLog,
    Window,
    WindowHistory,
)
from fashion.adapters.tracking import Champion
from fashion.errors import ArtifactError, DataError
from fashion.evaluation.alarm import Decision, Verdict, decide, is_drifted, name_beyond
from fashion.evaluation.drift import Sample, build_detector, calibrate, descriptor_values, measure, score
from fashion.evaluation.estimates import proportion_of
from fashion.evaluation.survey import Survey
from fashion.locks import one_at_a_time
from fashion.loop.settling import settle
from fashion.params import Params
from fashion.paths import Project
from fashion.registry.champion import Found, find_champion
from fashion.settings import predictions_url
from fashion.stages.reference import Known, read_descriptors, read_examples, read_reference
from fashion.storage import atomic_folder

KEPT = 50
"""Windows that are shown, and whose figures follow the labels."""

BY_HAND = "by-hand"
"""The folder of the page about the last window that was chosen by hand."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watched:
    """What a look at the predictions found."""

    window: int | None
    """Its number in the history; None where it was too small to judge, or chosen by hand and so not recorded."""
    version: str
    """Of the champion, whose predictions were looked at."""
    start: str | None
    """Of the first prediction, UTC, ISO 8601; None where there is none."""
    end: str | None
    predictions: int
    asked: int
    """Predictions whose label was asked for at random."""
    labelled: int
    """Of those, that have one. What people say of their own accord is no random sample, and is left out."""
    drifted: bool
    alarm: bool
    because: str
    scores: dict[str, float] = field(default_factory=dict)
    """By statistic; more than 1 is drift. This and what follows is left out where the window was too small to judge."""
    estimated_accuracy: float | None = None
    """The mean confidence."""
    accuracy: float | None = None
    """Of the labelled predictions as above, with its 95 % interval; None where there is no label."""
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    report: str | None = None
    """Path of the page about the window."""
    unknown_labels: int = 0
    """Labels that are none of the champion's classes, and count as none."""


def monitor(project: Project, params: Params, *, last: int | None = None, since: datetime | None = None) -> Watched:
    """Judge the champion's predictions since the last look, record what was found, and write a page about it.

    Predictions of other versions are not looked at: each version is measured by its own reference. Too few predictions
    wait for the next look. Of more than `monitor.largest_window` the newest are looked at.

    Args:
        last: look at so many of the newest predictions instead. Like `since`, such a look is shown and not recorded: it
            raises no alarm, does not count in one, and the next look starts where it would have started without it.
        since: look at the predictions from this moment on, with its zone, instead.

    Raises:
        ArtifactError: the champion's reference is missing or damaged.
        DataError: the predictions in the log are by another model of the same version number.
        ServiceError: there is no champion, or the log's database is away.
    """
    with one_at_a_time(project, "monitor"):
        found = find_champion(project, params)
        if found.trouble:
            logger.warning("The last known champion, version %s, is taken: %s", found.champion.version, found.trouble)
        log = PredictionLog(predictions_url(project))
        try:
            return _look(project, params, found, log, last, since)
        finally:
            log.close()


def read_history(project: Project, limit: int = KEPT) -> list[JudgedWindow]:
    """The last windows that were recorded, the oldest first, with the labels that have come since.

    Raises:
        ServiceError: the log's database is away.
    """
    log = PredictionLog(predictions_url(project))
    try:
        history = WindowHistory(log)
        history.refresh(limit)
        return history.read(limit)
    finally:
        log.close()


def send_alarms(project: Project, params: Params, send: Callable[[JudgedWindow], bool]) -> list[JudgedWindow]:
    """Send the recorded alarms that nobody was told of, the oldest first; those that were sent.

    An alarm is marked after it was sent: whoever is killed in between sends it again.

    Args:
        send: sends one, and says whether it arrived; if not, it is sent again next time.

    Raises:
        ServiceError: the log's database is away.
    """
    sent = []
    with one_at_a_time(project, "monitor"), closing(PredictionLog(predictions_url(project))) as log:
        history = WindowHistory(log)
        for window in history.read_unsent(params.register_.name):
            if send(window):
                history.mark_announced(window.number)
                sent.append(window)
    return sent


def _look(
    project: Project, params: Params, found: Found, log: PredictionLog, last: int | None, since: datetime | None
) -> Watched:
    champion, lineage = found.champion, found.lineage
    created = datetime.fromisoformat(lineage.created)
    version = ModelVersion(lineage.number, lineage.identity, created, params.register_.name)
    log.name_labels(version, champion.classes)
    if clock := log.describe_clock():
        logger.warning(clock)
    history = WindowHistory(log)
    history.refresh(KEPT)
    by_hand = last is not None or since is not None
    policy = params.monitor.alarm
    earlier = history.read(max(policy.of, policy.cool_down), version)
    largest = params.monitor.largest_window
    window = log.read_window(
        after=earlier[-1].last_number if earlier and not by_hand else None,
        since=since,
        limit=min(last or largest, largest),
        version=version,
        classes=champion.classes,
    )
    if len(window) < policy.smallest_window:
        return _too_few(params, champion, window)
    known, window = _reference(project, params, champion, version, window, by_hand)
    if known is None:
        return _settling(params, champion, window)
    if len(window) < policy.smallest_window:
        return _too_few(params, champion, window)
    scores = _score(params, champion, known, window)
    decision = _by_hand(scores) if by_hand else decide([one.verdict for one in earlier], scores, policy)
    past = history.read(KEPT)
    judged = _judge(window, version, champion.classes, scores, decision, past)
    page = _write_page(project, champion, window, judged, past, known, by_hand)
    if not by_hand:
        history.add(judged)
        _forget_pages(project, judged.number)
    _write_index(project, past if by_hand else [*past, judged])
    return _watched(judged, _survey(window), window.unknown_labels, page, by_hand)


def _reference(
    project: Project, params: Params, champion: Champion, version: ModelVersion, window: Window, by_hand: bool
) -> tuple[Known | None, Window]:
    """What to hold the window against, None if that is not there yet; and the window without what it consists of."""
    known = _read_known(champion)
    if not known.reference.learned_collected:
        return known, window
    folder = project.state / "references" / f"{version.identity}"
    return settle(folder, known, window, params.monitor.settling, by_hand)


def _score(params: Params, champion: Champion, known: Known, window: Window) -> dict[str, float]:
    """How far the window departs from the reference; the limits are for its size and number of labels.

    Of the labels, only those count that were asked for at random, and only if nearly all of them have come.
    """
    clean = known.reference
    labels = clean.labels.astype(np.int64)
    reference = Sample(descriptor_values(known.descriptors), clean.embeddings, clean.probabilities, labels)
    sample = Sample(
        descriptor_values(window.descriptors), window.embeddings, window.probabilities, _sampled_labels(params, window)
    )
    if _widths(sample) != _widths(reference):
        raise DataError(
            f"The log holds predictions of another model that was version {champion.version}, too: they have other "
            "numbers of classes or embeddings. Give each registry a log of its own: FASHION_PREDICTIONS_URL"
        )
    detector = build_detector(reference, params.monitor.overconfidence_tolerated)
    labelled = int((sample.labels >= 0).sum())
    limits = calibrate(detector, len(sample), labelled, params.monitor.alarm.false_alarm_rate)
    scores = score(limits, measure(detector, sample), np.arange(len(sample))[None])
    return {name: float(value[0]) for name, value in scores.items()}


def _sampled_labels(params: Params, window: Window) -> NDArray[np.int64]:
    """The labels of the window that are a random sample; -1 elsewhere, and everywhere if too few were answered."""
    trusted = _survey(window).response >= params.monitor.response_at_least
    return np.where(window.asked & trusted, window.labels, NO_LABEL)


def _survey(window: Window) -> Survey:
    return Survey(int(window.asked.sum()), int((window.asked & (window.labels != NO_LABEL)).sum()))


def _widths(sample: Sample) -> list[tuple[int, ...]]:
    return [values.shape[1:] for values in vars(sample).values()]


def _read_known(champion: Champion) -> Known:
    folder = champion.model.parent
    try:
        return Known(read_reference(folder), read_descriptors(folder), read_examples(folder))
    except ArtifactError as error:
        raise ArtifactError(f"Version {champion.version} cannot be monitored: {error}") from error


def _by_hand(scores: dict[str, float]) -> Decision:
    if is_drifted(scores):
        return Decision(Verdict.DRIFTED, f"{name_beyond(scores)}; chosen by hand, so it does not count")
    return Decision(Verdict.CLEAN, "")


def _judge(
    window: Window,
    version: ModelVersion,
    classes: tuple[str, ...],
    scores: dict[str, float],
    decision: Decision,
    past: Sequence[JudgedWindow],
) -> JudgedWindow:
    start, end = _ends(window)
    return JudgedWindow(
        number=past[-1].number + 1 if past else 1,
        time=datetime.now(UTC),
        model_version=str(window.versions[0]),
        first_id=str(window.ids[0]),
        last_id=str(window.ids[-1]),
        first_number=int(window.numbers[0]),
        last_number=int(window.numbers[-1]),
        start=start,
        end=end,
        predictions=len(window),
        scores=scores,
        verdict=decision.verdict,
        because=decision.reason if is_drifted(scores) else f"{len(window):,} predictions like the reference",
        estimated_accuracy=float(window.probabilities.max(axis=1).mean()),
        by_class=_count(window),
        model_identity=version.identity,
        model=version.model,
        classes=classes,
    )


def _count(window: Window) -> dict[str, tuple[int, int]]:
    """Predictions whose label was asked for and has come, and correct ones among them, by the true class's number."""
    labels = np.where(window.asked, window.labels, NO_LABEL)
    correct = window.predicted == labels
    known = np.unique(labels[labels != NO_LABEL])
    return {str(label): (int((labels == label).sum()), int(correct[labels == label].sum())) for label in known}


def _ends(window: Window) -> tuple[datetime, datetime]:
    """The earliest and the latest time of a prediction, by the clocks of those who made them."""
    first, final = (time.astype(datetime).replace(tzinfo=UTC) for time in (window.times.min(), window.times.max()))
    return first, final


def _write_page(
    project: Project,
    champion: Champion,
    window: Window,
    judged: JudgedWindow,
    past: Sequence[JudgedWindow],
    known: Known,
    by_hand: bool,
) -> Path:
    # Evidently takes seconds to import, and most looks of a quiet service find too little to judge.
    from fashion.loop.window_page import PAGE, write_page  # noqa: PLC0415

    folder = project.monitoring / (BY_HAND if by_hand else str(judged.number))
    with atomic_folder(folder) as temporary:
        trend = None if by_hand else project.state / "evidently"
        write_page(temporary, window, judged, past, known, champion.classes, trend)
    return folder / PAGE


def _write_index(project: Project, windows: Sequence[JudgedWindow]) -> None:
    from fashion.loop.window_page import write_index  # noqa: PLC0415, as above

    write_index(project.monitoring, windows[-KEPT:])


def _forget_pages(project: Project, newest: int) -> None:
    for folder in project.monitoring.iterdir():
        if folder.name.isdecimal() and int(folder.name) <= newest - KEPT:
            shutil.rmtree(folder)


def _too_few(params: Params, champion: Champion, window: Window) -> Watched:
    wanted = params.monitor.alarm.smallest_window
    because = f"{len(window):,} predictions, {wanted:,} are wanted (monitor.alarm.smallest_window)"
    return _not_judged(champion, window, because)


def _settling(params: Params, champion: Champion, window: Window) -> Watched:
    because = (
        f"{len(window):,} predictions; version {champion.version} has learned from collected images, so its first "
        f"{params.monitor.settling:,} will be its reference (monitor.settling)"
    )
    return _not_judged(champion, window, because)


def _not_judged(champion: Champion, window: Window, because: str) -> Watched:
    start, end = (moment.isoformat() for moment in _ends(window)) if len(window) else (None, None)
    survey = _survey(window)
    return Watched(
        window=None,
        version=champion.version,
        start=start,
        end=end,
        predictions=len(window),
        asked=survey.asked,
        labelled=survey.answered,
        drifted=False,
        alarm=False,
        because=because,
    )


def _watched(window: JudgedWindow, survey: Survey, unknown_labels: int, page: Path, by_hand: bool) -> Watched:
    accuracy = proportion_of(window.correct, window.labelled) if window.labelled else None
    return Watched(
        window=None if by_hand else window.number,
        version=window.model_version,
        start=window.start.isoformat(),
        end=window.end.isoformat(),
        predictions=window.predictions,
        asked=survey.asked,
        labelled=survey.answered,
        drifted=window.drifted,
        alarm=window.alarm,
        because=window.because,
        scores=dict(window.scores),
        estimated_accuracy=window.estimated_accuracy,
        accuracy=accuracy.value if accuracy else None,
        accuracy_low=accuracy.low if accuracy else None,
        accuracy_high=accuracy.high if accuracy else None,
        report=str(page),
        unknown_labels=unknown_labels,
    )
