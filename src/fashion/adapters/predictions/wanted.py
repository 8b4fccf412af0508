"""Predictions whose label was asked for at random: those that wait for it, and how many have one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, exists, func, select, union_all

from fashion.adapters.predictions.log import PredictionLog
from fashion.adapters.predictions.tables import ASKED, Model, labels, pictures, predictions, removed_requests
from fashion.arrays import Bytes
from fashion.evaluation.survey import Survey

ANSWERED = exists().where(labels.c.prediction_id == predictions.c.id).correlate(predictions)
"""Of a row of `predictions`: whether it has a label."""


@dataclass(frozen=True)
class Wanted:
    """A prediction whose label is wanted; what was predicted is left out, so that it leads nobody."""

    id: str
    image: Bytes
    """(height, width, channels)."""
    has_picture: bool
    """Whether the picture from which the image was made is there, for `read_wanted_picture`."""


def read_wanted(log: PredictionLog, model: str, limit: int, after: str | None = None) -> list[Wanted]:
    """Return a registered model's predictions that wait for the label that was asked for, the oldest first.

    Args:
        after: the id of a prediction; those that came before it are left out, unless it is in the log no more.

    Raises:
        ServiceError: the log is away.
    """
    columns = [predictions.c[name] for name in ("id", "image", "height", "width", "channels")]
    pictured = exists().where(pictures.c.prediction_id == predictions.c.id).correlate(predictions)
    rows = select(*columns, pictured.label("pictured")).where(_wanted(model))
    rows = rows.order_by(predictions.c.number).limit(limit)
    if after is not None:
        number = select(predictions.c.number).where(predictions.c.id == after).scalar_subquery()
        rows = rows.where(predictions.c.number > func.coalesce(number, 0))
    with log.transaction() as connection:
        found = connection.execute(rows).all()
    return [Wanted(row.id, _image(row), bool(row.pictured)) for row in found]


def count_wanted(log: PredictionLog, model: str) -> int:
    """Return how many predictions of a registered model wait for the label that was asked for.

    Raises:
        ServiceError: the log is away.
    """
    with log.transaction() as connection:
        return connection.scalar(select(func.count()).select_from(predictions).where(_wanted(model))) or 0


def read_wanted_picture(log: PredictionLog, model: str, prediction_id: str) -> bytes | None:
    """Return the picture, as a file, of one of the predictions that `read_wanted` gives; None if there is none.

    Raises:
        ServiceError: the log is away.
    """
    rows = select(pictures.c.picture).join(predictions, predictions.c.id == pictures.c.prediction_id)
    with log.transaction() as connection:
        return connection.scalar(rows.where(_wanted(model), predictions.c.id == prediction_id))


def _wanted(model: str) -> ColumnElement[bool]:
    return ASKED & (predictions.c.model == model) & ~ANSWERED


def _image(row: Any) -> Bytes:
    return np.frombuffer(row.image, np.uint8).reshape(row.height, row.width, row.channels)


def read_survey(log: PredictionLog, model: Model) -> Survey:
    """Count the labels that were asked for at random, and those that have come, up to the newest that has.

    Later ones may still be answered: who labels begins with the oldest. The count begins with the oldest that is in the
    log, and includes those removed since.

    Raises:
        ServiceError: the log is away.
    """
    mine = ASKED & model.rows(predictions)
    oldest = select(func.min(predictions.c.number)).where(mine).scalar_subquery()
    there = select(predictions.c.number, ANSWERED.label("answered")).where(mine)
    removed = select(removed_requests.c.number, removed_requests.c.answered)
    removed = removed.where(removed_requests.c.model == model.name, removed_requests.c.number > oldest)
    requests = union_all(there, removed).subquery()
    newest = select(func.max(requests.c.number)).where(requests.c.answered).scalar_subquery()
    counts = select(func.count(), func.count().filter(requests.c.answered)).where(requests.c.number <= newest)
    with log.transaction() as connection:
        asked, answered = connection.execute(counts).one()
    return Survey(asked, answered)
