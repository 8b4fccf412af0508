"""Answers in the log that nobody asked the service for: for whoever reads the table, and for nothing that goes by it.

Their source is `:batch`, which cannot be the name of a key. They have not arrived in the order of the others: their
numbers are below zero. So what monitors, forgets or collects leaves them out by one comparison of the index.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

from fashion.adapters.predictions.log import PredictionLog, insert_missing, uuid7
from fashion.adapters.predictions.order import take_numbers
from fashion.adapters.predictions.rows import Record, to_rows
from fashion.adapters.predictions.tables import counters, predictions

BATCH = ":batch"
"""As the source of a prediction, and as the name of a counter."""


def id_of(moment: datetime, text: str) -> str:
    """Return a UUID of version 7, as `new_id` does, that is the same for the same moment and text."""
    random = int.from_bytes(sha256(text.encode()).digest()[:10])
    return uuid7(int(moment.timestamp() * 1000), random >> 68, random)


def write_apart(log: PredictionLog, records: Sequence[Record]) -> None:
    """Write all of them or none; those that are there already stay as they are, so it can be repeated.

    Raises:
        ServiceError: the log is away.
    """
    rows = to_rows(records)
    with log.transaction() as connection:
        insert_missing(connection, counters, [{"name": BATCH, "value": 0}])
        numbers = take_numbers(connection, len(rows), BATCH)
        numbered = [row | {"number": -number} for row, number in zip(rows, numbers, strict=True)]
        insert_missing(connection, predictions, numbered)
