"""The windows of predictions that were judged: what was said of them, and how right the model was once labels came."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from fashion.adapters.predictions.log import PredictionLog
from fashion.adapters.predictions.rows import NO_LABEL, class_number
from fashion.adapters.predictions.tables import ModelVersion, labels, of_model, predictions, windows
from fashion.errors import ServiceError
from fashion.evaluation.alarm import Verdict
from fashion.evaluation.estimates import Estimate, proportion_of

CHANGING = ("by_class", "labelled", "correct")
ByClass = Mapping[str, tuple[int, int]]
"""How many labels that were asked for at random have come, and how many of those predictions are correct, by the number
of the true class. Windows of earlier code have counted all labels."""


@dataclass(frozen=True)
class JudgedWindow:
    """A window of predictions of one model version, and what was said of it."""

    number: int
    time: datetime
    """When it was judged."""
    model_version: str
    first_id: str
    last_id: str
    first_number: int
    """Of its first prediction, as those of `Window`."""
    last_number: int
    start: datetime
    """Of the first prediction."""
    end: datetime
    """Of the last prediction."""
    predictions: int
    scores: Mapping[str, float]
    """By statistic; more than 1 is drift."""
    verdict: Verdict
    because: str
    estimated_accuracy: float
    """The mean confidence."""
    by_class: ByClass
    """As far as labels have come."""
    model_identity: str | None = None
    """As that of `ModelVersion`."""
    model: str | None = None
    """The registered model's name; None for a window that earlier code has judged."""
    classes: tuple[str, ...] | None = None
    """By whose names labels are counted; None where earlier code has judged it: there by their numbers."""
    announced: datetime | None = None
    """When somebody was told of its alarm."""

    @property
    def drifted(self) -> bool:
        return self.verdict is not Verdict.CLEAN

    @property
    def alarm(self) -> bool:
        return self.verdict is Verdict.ALARM

    @property
    def labelled(self) -> int:
        return sum(labelled for labelled, _ in self.by_class.values())

    @property
    def correct(self) -> int:
        return sum(correct for _, correct in self.by_class.values())

    @property
    def accuracy(self) -> Estimate | None:
        """Of the predictions whose label was asked for and has come; None where there is none."""
        return proportion_of(self.correct, self.labelled) if self.labelled else None


class WindowHistory:
    """The windows of a registered model, in a table beside the predictions. Those of earlier code, which name no model,
    are taken for its own. Every method raises ServiceError as those of the log do."""

    def __init__(self, log: PredictionLog, model: str) -> None:
        self._log = log
        self._model = model

    def next_number(self) -> int:
        """Return the number of the next window: they are counted over all models that share the log."""
        with self._log.transaction() as connection:
            return (connection.scalar(select(func.max(windows.c.number))) or 0) + 1

    def add(self, window: JudgedWindow) -> bool:
        """Write a window down; return whether its number was still free: a window of another model may have it by now.

        Raises:
            ServiceError: another monitor of this model has looked at these predictions in the meantime.
        """
        row = asdict(window) | {"verdict": window.verdict.value}
        row |= {name: getattr(window, name) for name in ("drifted", "alarm", *CHANGING)}
        try:
            with self._log.transaction() as connection:
                connection.execute(insert(windows), row)
        except IntegrityError as error:
            if not self._is_own(window.number):
                return False
            raise ServiceError(
                f"Window {window.number} of {self._model} was recorded by another monitor in the meantime; this look "
                "is discarded. Run one monitor per model. To see what the other found: fashion monitor --history"
            ) from error
        return True

    def read(self, limit: int, version: ModelVersion | None = None) -> list[JudgedWindow]:
        """Return the last windows, at most `limit`, of one version or all; the oldest first."""
        with self._log.transaction() as connection:
            return self._read(connection, limit, version)

    def read_unsent(self) -> list[JudgedWindow]:
        """Return the windows whose alarm nobody was told of, the oldest first.

        Earlier code, whose windows name no model, kept no such mark, and told of its alarms at once.
        """
        chosen = select(windows).where(windows.c.alarm, windows.c.announced.is_(None), windows.c.model == self._model)
        with self._log.transaction() as connection:
            return [_to_window(row) for row in connection.execute(chosen.order_by(windows.c.number))]

    def mark_announced(self, number: int) -> None:
        """Say of a window that somebody was told of it just now."""
        with self._log.transaction() as connection:
            connection.execute(update(windows).where(windows.c.number == number).values(announced=datetime.now(UTC)))

    def refresh(self, limit: int) -> None:
        """Count the labels that were asked for and have come since, in each of the last windows, at most `limit`.

        Of predictions that are not in the log any more, the labels stay counted as they were.
        """
        with self._log.transaction() as connection:
            known = self._read(connection, limit)
            # All are counted before the first is written, since the service cannot write from then on.
            counted = [replace(window, by_class=_count(connection, window)) for window in known]
            for before, now in zip(known, counted, strict=True):
                if now.labelled >= before.labelled and now != before:
                    values = {name: getattr(now, name) for name in CHANGING}
                    connection.execute(update(windows).where(windows.c.number == now.number).values(values))

    def _is_own(self, number: int) -> bool:
        chosen = select(func.count()).where(windows.c.number == number, of_model(windows, self._model))
        with self._log.transaction() as connection:
            return bool(connection.scalar(chosen))

    def _read(self, connection: Connection, limit: int, version: ModelVersion | None = None) -> list[JudgedWindow]:
        chosen = select(windows).where(of_model(windows, self._model)).order_by(windows.c.number.desc()).limit(limit)
        if version is not None:
            chosen = chosen.where(version.rows(windows))
        return [_to_window(row) for row in reversed(connection.execute(chosen).all())]


def _to_window(row: Any) -> JudgedWindow:
    values = {name: getattr(row, name) for name in JudgedWindow.__dataclass_fields__}
    by_class = {label: (labelled, correct) for label, (labelled, correct) in row.by_class.items()}
    classes = None if row.classes is None else tuple(row.classes)
    return JudgedWindow(**values | {"verdict": Verdict(row.verdict), "by_class": by_class, "classes": classes})


def _count(connection: Connection, window: JudgedWindow) -> ByClass:
    newest = (
        select(func.max(labels.c.number))
        .where(labels.c.prediction_id == predictions.c.id)
        .correlate(predictions)
        .scalar_subquery()
    )
    counts = (
        select(labels.c.label, labels.c.name, predictions.c.predicted, func.count())
        .join(predictions, labels.c.number == newest)
        .where(predictions.c.asked)
        .where(predictions.c.number.between(window.first_number, window.last_number))
        .where(predictions.c.model_version == window.model_version)
        .where(predictions.c.model_identity.is_(None) | (predictions.c.model_identity == window.model_identity))
        .where(predictions.c.model.is_(None) | (predictions.c.model == window.model))
        .group_by(labels.c.label, labels.c.name, predictions.c.predicted)
    )
    by_class: dict[int, tuple[int, int]] = {}
    for label, name, predicted, count in connection.execute(counts):
        number = class_number(label, name, window.classes)
        labelled, correct = by_class.get(number, (0, 0))
        by_class[number] = (labelled + count, correct + count * (number == predicted))
    return {str(number): by_class[number] for number in sorted(by_class) if number != NO_LABEL}
