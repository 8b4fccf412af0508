"""How the log stands: what it holds, and what it waits for."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from fashion.adapters.predictions.history import JudgedWindow, WindowHistory
from fashion.adapters.predictions.log import PredictionLog
from fashion.adapters.predictions.retention import count_waiting
from fashion.adapters.predictions.tables import ARRIVED, of_model, predictions
from fashion.adapters.predictions.wanted import count_wanted


@dataclass(frozen=True)
class Use:
    """How a registered model was used."""

    predictions: int
    """In the log, of all models."""
    newest: datetime | None
    """When the last one of all models was made; None where there is none."""
    unjudged: int
    """How many of this model came after its last window."""
    wanted: int
    """Labels that were asked for at random and have not come."""
    uncollected: int
    """Predictions of this model with a label that was not collected."""
    windows: tuple[JudgedWindow, ...]
    """The last ones, the oldest first. Their labels are those of the last look."""


def read_use(log: PredictionLog, model: str, windows: int) -> Use:
    """Return how the log stands; nothing is counted anew.

    Args:
        model: a registered model's name.
        windows: at most so many of the last ones.

    Raises:
        ServiceError: the log is away.
    """
    known = WindowHistory(log, model).read(windows)
    after = predictions.c.number > (known[-1].last_number if known else 0)
    last = select(predictions.c.time).where(ARRIVED).order_by(predictions.c.number.desc()).limit(1)
    with log.transaction() as connection:
        newest = connection.scalar(last)
        unjudged = connection.scalar(select(func.count()).where(after, of_model(predictions, model))) or 0
    return Use(log.count(), newest, unjudged, count_wanted(log, model), count_waiting(log, model), tuple(known))
