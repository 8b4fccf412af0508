"""What is removed from the prediction log, and which labelled predictions are kept all the same."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from fashion.adapters.predictions.log import IDS_AT_ONCE, PredictionLog
from fashion.adapters.predictions.order import AHEAD
from fashion.adapters.predictions.tables import (
    ARRIVED,
    ASKED,
    labels,
    of_model,
    pictures,
    predictions,
    removed_requests,
)
from fashion.adapters.predictions.wanted import ANSWERED

AT_ONCE = 500
"""Predictions that are removed in one transaction, of which one of large colour images takes seconds at 5,000: others
may write in between."""
KEPT_FOR_LABELS = 100_000
"""Old predictions with a label that was not collected: the newest of them stay, at 28 x 28 pixels some 200 MB."""


def _waits(prediction_id: Column[str]) -> ColumnElement[bool]:
    """Return whether a prediction has a label that was not collected; the column is that of its id, in any table."""
    waiting = exists().where(labels.c.prediction_id == prediction_id, labels.c.collected.is_(None))
    return waiting.correlate(prediction_id.table)


WAITS = _waits(predictions.c.id)


@dataclass(frozen=True)
class Retention:
    """What is kept at most."""

    days: int
    rows: int
    """The newest predictions."""
    pictures: int
    """Of how many of the newest predictions the pictures are kept; 0 keeps none."""


@dataclass(frozen=True)
class Forgotten:
    """What became of the old predictions."""

    removed: int
    kept: int = 0
    """Since their labels were not collected yet."""
    lost: int = 0
    """Removed, although their labels were not collected: there were too many of them."""


def forget(log: PredictionLog, before: datetime, beyond: int, go_on: Callable[[], bool] = lambda: True) -> Forgotten:
    """Remove predictions made before a moment and all but the newest `beyond`, with their labels and pictures.

    Those with a label that was not collected stay, the newest `KEPT_FOR_LABELS` of them. Removed ones whose label was
    requested at random are still counted, as many at most, while one from before them stays.

    Args:
        go_on: called before each part of `AT_ONCE` is removed; when it returns False, the rest stays for now.
    """
    with log.transaction() as connection:
        end = max(_last_beyond(connection, beyond), _last_before(connection, before))
        waiting = select(predictions.c.number).where(ARRIVED, predictions.c.number <= end, WAITS)
        newest = waiting.order_by(predictions.c.number.desc())
        none_kept_to = connection.scalar(newest.offset(KEPT_FOR_LABELS).limit(1)) or 0
        surplus = waiting.where(predictions.c.number <= none_kept_to)
        waiting_count, surplus_count = _count(connection, waiting), _count(connection, surplus)
    old = and_(ARRIVED, predictions.c.number <= end, or_(~WAITS, predictions.c.number <= none_kept_to))
    removed = _remove(log, predictions, old, go_on)
    with log.transaction() as connection:  # What was not removed, since it was to stop, is not lost.
        left = _count(connection, surplus)
    _forget_requests(log)
    return Forgotten(removed, waiting_count - surplus_count, surplus_count - left)


def forget_pictures(log: PredictionLog, beyond: int, go_on: Callable[[], bool] = lambda: True) -> int:
    """Remove the pictures of all but the newest `beyond` predictions, and return how many they were.

    Those of predictions with a label that was not collected stay, the newest `KEPT_FOR_LABELS` of them, unless `beyond`
    is 0.

    Args:
        go_on: as of `forget`.
    """
    number, waits = pictures.c.number, _waits(pictures.c.prediction_id)
    with log.transaction() as connection:
        end = _last_beyond(connection, beyond)
        newest = select(number).where(number <= end, waits).order_by(number.desc())
        none_kept_to = connection.scalar(newest.offset(KEPT_FOR_LABELS if beyond else 0).limit(1)) or 0
    return _remove(log, pictures, and_(number <= end, or_(~waits, number <= none_kept_to)), go_on)


def count_waiting(log: PredictionLog, model: str | None = None) -> int:
    """Return how many predictions, of a registered model or of all, have a label that was not collected."""
    known = labels.join(predictions, labels.c.prediction_id == predictions.c.id)
    waiting = select(func.count(labels.c.prediction_id.distinct())).select_from(known)
    if model is not None:
        waiting = waiting.where(of_model(predictions, model))
    with log.transaction() as connection:
        return connection.scalar(waiting.where(ARRIVED, labels.c.collected.is_(None))) or 0


def mark_collected(log: PredictionLog, rows: pd.DataFrame) -> None:
    """Say of rows that `read_labels` gave that nothing more is wanted of them: they may be removed once old.

    What they corrected is marked, too; a correction that came since is not.
    """
    rows = rows[~rows["collected"]]
    with log.transaction() as connection:
        for start in range(0, len(rows), IDS_AT_ONCE):
            _mark(connection, rows.iloc[start : start + IDS_AT_ONCE])


def _mark(connection: Connection, rows: pd.DataFrame) -> None:
    read = labels.alias()
    corrected = (
        exists()
        .where(
            read.c.prediction_id == labels.c.prediction_id,
            read.c.number.in_([int(number) for number in rows["label_number"]]),
            read.c.number >= labels.c.number,
        )
        .correlate(labels)
    )
    unmarked = labels.c.collected.is_(None) & labels.c.prediction_id.in_(list(rows["id"]))
    connection.execute(update(labels).where(unmarked, corrected).values(collected=datetime.now(UTC)))


def _last_beyond(connection: Connection, beyond: int) -> int:
    """Return the number of the newest prediction that has `beyond` newer ones."""
    newest = select(predictions.c.number).where(ARRIVED).order_by(predictions.c.number.desc())
    return connection.scalar(newest.offset(beyond).limit(1)) or 0


def _last_before(connection: Connection, before: datetime) -> int:
    """Return the number of the last one that arrived before all that are surely younger than `before`.

    A clock that was behind makes none old, and one that was ahead keeps none from being removed.
    """
    number, time = predictions.c.number, predictions.c.time
    young = select(number).where(ARRIVED, time >= before, time <= datetime.now(UTC) + AHEAD).order_by(number).limit(1)
    first_young: int | None = connection.scalar(young)
    if first_young is not None:
        return first_young - 1
    return connection.scalar(select(func.max(number)).where(ARRIVED, time < before)) or 0


def _remove(log: PredictionLog, table: Table, old: ColumnElement[bool], go_on: Callable[[], bool]) -> int:
    """Remove rows of `predictions` or `pictures`, the oldest first, and return how many."""
    removed = 0
    last: int | None = 0
    while last is not None and go_on():
        count, last = _remove_some(log, table, and_(old, table.c.number > last))
        removed += count
    return removed


def _remove_some(log: PredictionLog, table: Table, old: ColumnElement[bool]) -> tuple[int, int | None]:
    """Remove the oldest ones; return how many, and the number up to which all are gone, None if nothing is left."""
    oldest = select(table.c.number).where(old).order_by(table.c.number).limit(AT_ONCE).subquery()
    with log.transaction() as connection:
        last = connection.scalar(select(func.max(oldest.c.number)))
        if last is None:
            return 0, None
        these = and_(old, table.c.number <= last)
        if table is pictures:
            return connection.execute(delete(pictures).where(these)).rowcount, last
        return _remove_predictions(connection, these), last


def _remove_predictions(connection: Connection, these: ColumnElement[bool]) -> int:
    """Remove predictions with what belongs to them. One that gets a label in between waits, and stays."""
    columns = predictions.c.number, predictions.c.model, ANSWERED.label("answered")
    requests = connection.execute(select(*columns).where(these, ASKED)).all()
    gone = select(predictions.c.id).where(these)
    for other in (labels, pictures):
        connection.execute(delete(other).where(other.c.prediction_id.in_(gone)))
    removed = set(connection.scalars(delete(predictions).where(these).returning(predictions.c.number)))
    if rows := [row._asdict() for row in requests if row.number in removed]:
        connection.execute(insert(removed_requests), rows)
    return len(removed)


def _forget_requests(log: PredictionLog) -> None:
    """Forget the removed requests that are older than all in the log, and all but the newest `KEPT_FOR_LABELS`."""
    number = removed_requests.c.number
    with log.transaction() as connection:
        oldest = connection.scalar(select(func.min(predictions.c.number)).where(ASKED))
        surplus = connection.scalar(select(number).order_by(number.desc()).offset(KEPT_FOR_LABELS).limit(1)) or 0
        old = or_(number <= surplus, number < oldest) if oldest is not None else true()
        connection.execute(delete(removed_requests).where(old))


def _count(connection: Connection, rows: Select[tuple[int]]) -> int:
    return connection.scalar(select(func.count()).select_from(rows.subquery())) or 0
