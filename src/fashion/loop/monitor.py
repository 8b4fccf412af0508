"""Compares the champion's latest predictions with its reference, and keeps a history of what was found."""

import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from fashion.adapters.predictions import JudgedWindow, PredictionLog, Window, WindowHistory
from fashion.errors import ArtifactError, ServiceError
from fashion.evaluation.alarm import decide, decide_alone
from fashion.locks import one_at_a_time
from fashion.loop.judging import judge, score_window
from fashion.loop.settling import settle
from fashion.loop.wording import explain, show_settling, show_too_few
from fashion.params import Params
from fashion.paths import Project
from fashion.registry.champion import Found, find_champion, identify
from fashion.settings import predictions_url
from fashion.stages.reference import Known, read_descriptors, read_examples, read_reference
from fashion.storage import atomic_folder

KEPT = 50
"""Windows that are shown, and whose figures follow the labels."""

BY_HAND = "by-hand"
"""The folder of the page about the last window that was chosen by hand."""

TRIES = 5
"""Of a look beside the monitors of other models that share the log."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """A look at the champion's predictions."""

    version: str
    """Of the champion."""
    by_hand: bool
    """Whether the window was chosen by hand: then it is not recorded."""
    window: Window
    """The predictions that were looked at."""
    because: str
    judged: JudgedWindow | None = None
    """None where there were too few predictions to judge."""
    page: Path | None = None
    """The page about the judged window."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as `fashion monitor --json` prints it."""
        judged = self.judged
        start, end = (moment.isoformat() for moment in self.window.span) if len(self.window) else (None, None)
        accuracy = judged.accuracy if judged else None
        return {
            "window": judged.number if judged and not self.by_hand else None,
            "version": self.version,
            "start": start,
            "end": end,
            "predictions": len(self.window),
            "asked": self.window.survey.asked,
            "labelled": self.window.survey.answered,
            "drifted": bool(judged and judged.drifted),
            "alarm": bool(judged and judged.alarm),
            "because": self.because,
            "scores": dict(judged.scores) if judged else {},
            "estimated_accuracy": judged.estimated_accuracy if judged else None,
            "accuracy": accuracy.value if accuracy else None,
            "accuracy_low": accuracy.low if accuracy else None,
            "accuracy_high": accuracy.high if accuracy else None,
            "report": str(self.page) if self.page else None,
            "unknown_labels": self.window.unknown_labels if judged else 0,
        }


def monitor(project: Project, params: Params, *, last: int | None = None, since: datetime | None = None) -> Look:
    """Judge the champion's predictions since the last look, record what was found, and write a page about it.

    Predictions of other versions are not looked at: each version is measured by its own reference. Too few predictions
    wait for the next look. Of more than `monitor.largest_window` the newest are looked at.

    Args:
        last: look at so many of the newest predictions instead. Like `since`, such a look is shown and not recorded: it
            raises no alarm, does not count in one, and the next look starts where it would have started without it.
        since: look at the predictions from this moment on instead; with a time zone.

    Raises:
        ArtifactError: the champion's reference is missing or damaged.
        DataError: the predictions in the log are by another model of the same version number.
        ServiceError: there is no champion, the log's database is away, or another monitor of this model came first.
    """
    with one_at_a_time(project, "monitor"):
        found = find_champion(project, params)
        if found.trouble:
            logger.warning("Using the last known champion, version %s: %s", found.champion.version, found.trouble)
        with closing(PredictionLog(predictions_url(project))) as log:
            for _ in range(TRIES):
                if look := _look(project, params, found, log, _Choice(last, since)):
                    return look
    raise ServiceError(
        f"Other models that share the prediction log took the number of the window {TRIES} times. To look again, type: "
        "fashion monitor"
    )


def read_history(project: Project, params: Params) -> list[JudgedWindow]:
    """Return the last windows of this registered model, the oldest first, with the labels that have come since.

    Raises:
        ServiceError: the log's database is away.
    """
    with closing(PredictionLog(predictions_url(project))) as log:
        history = WindowHistory(log, params.register_.name)
        history.refresh(KEPT)
        return history.read(KEPT)


def send_alarms(project: Project, params: Params, send: Callable[[JudgedWindow], bool]) -> list[JudgedWindow]:
    """Send the recorded alarms that nobody was told of, the oldest first, and return those that were sent.

    An alarm is marked after it was sent: whoever is killed in between sends it again.

    Args:
        send: sends one, and says whether it arrived; if not, it is sent again next time.

    Raises:
        ServiceError: the log's database is away.
    """
    sent = []
    with one_at_a_time(project, "monitor"), closing(PredictionLog(predictions_url(project))) as log:
        history = WindowHistory(log, params.register_.name)
        for window in history.read_unsent():
            if send(window):
                history.mark_announced(window.number)
                sent.append(window)
    return sent


@dataclass(frozen=True)
class _Choice:
    """Which predictions were chosen by hand, if any."""

    last: int | None
    since: datetime | None

    @property
    def by_hand(self) -> bool:
        return self.last is not None or self.since is not None


def _look(project: Project, params: Params, found: Found, log: PredictionLog, choice: _Choice) -> Look | None:
    """Look once; None where another model that shares the log has taken the window's number in the meantime."""
    version, by_hand, policy = identify(params, found), choice.by_hand, params.monitor.alarm
    log.name_labels(version, found.champion.classes)
    if clock := log.describe_clock():
        logger.warning(clock)
    history = WindowHistory(log, params.register_.name)
    history.refresh(KEPT)
    # Before anything is read: what another monitor of this model adds from here on is noticed by this number.
    number = history.next_number()
    earlier = history.read(max(policy.of, policy.cool_down), version)
    after = earlier[-1].last_number if earlier and not by_hand else None
    limit = min(choice.last or params.monitor.largest_window, params.monitor.largest_window)
    window = log.read_window(after=after, since=choice.since, limit=limit, version=version)
    look = partial(Look, version.number, by_hand)
    if len(window) < policy.smallest_window:
        return look(window, show_too_few(len(window), policy))
    known, window = _reference(project, params, found, window, by_hand)
    if known is None:
        return look(window, show_settling(len(window), version.number, params.monitor))
    if len(window) < policy.smallest_window:  # Most of it is in the reference.
        return look(window, show_too_few(len(window), policy))
    scores = score_window(params.monitor, known, window)
    decision = decide_alone(scores) if by_hand else decide([one.verdict for one in earlier], scores, policy)
    because, past = explain(decision, len(window), policy), history.read(KEPT)
    judged = judge(window, version, number, decision, because)
    page = _write_page(project, window, [*past, judged], known, by_hand)
    if not by_hand:
        if not history.add(judged):
            shutil.rmtree(page.parent)
            return None
        past.append(judged)
    _write_index(project, past[-KEPT:])
    return look(window, because, judged, page)


def _reference(
    project: Project, params: Params, found: Found, window: Window, by_hand: bool
) -> tuple[Known | None, Window]:
    """Return what to compare the window with, None if there is nothing yet; and the window without what is in that."""
    folder = found.champion.model.parent
    try:
        known = Known(read_reference(folder), read_descriptors(folder), read_examples(folder))
    except ArtifactError as error:
        raise ArtifactError(f"Version {found.champion.version} cannot be monitored: {error}") from error
    if not known.reference.learned_collected:
        return known, window
    kept = project.state / "references" / f"{found.version.identity}"
    return settle(kept, known, window, params.monitor.settling, by_hand)


def _write_page(project: Project, window: Window, windows: Sequence[JudgedWindow], known: Known, by_hand: bool) -> Path:
    """Write about the last of the windows."""
    # Evidently takes seconds to import, and most looks of a quiet service find too little to judge.
    from fashion.loop.window_page import PAGE, write_page  # noqa: PLC0415

    folder = project.monitoring / (BY_HAND if by_hand else str(windows[-1].number))
    with atomic_folder(folder) as temporary:
        write_page(temporary, window, windows, known, None if by_hand else project.state / "evidently")
    return folder / PAGE


def _write_index(project: Project, windows: Sequence[JudgedWindow]) -> None:
    """List the recorded windows, and remove the pages of earlier ones."""
    from fashion.loop.window_page import write_index  # noqa: PLC0415, as above

    oldest = windows[0].number if windows else 0
    for folder in project.monitoring.iterdir():
        if folder.name.isdecimal() and int(folder.name) < oldest:
            shutil.rmtree(folder)
    write_index(project.monitoring, windows)
