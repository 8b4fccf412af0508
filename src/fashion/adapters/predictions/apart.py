"""Answers in the log that nobody asked the service for: for whoever reads the table, and for nothing that goes by it.

Their source is `:batch`, which cannot be the name of a key. They have not arrived in the order of the others: their
numbers are below zero. So what monitors, forgets or collects leaves them out by one comparison of the index.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from fashion.adapters.predictions.log import PredictionLog
from fashion.adapters.predictions.rows import Record, to_rows
from fashion.adapters.predictions.tables import counters, predictions

BATCH = ":batch"
"""As the source of a prediction, and as the name of a counter."""


def id_of(moment: datetime, text: str) -> str:
    """Return a UUID of version 7, as `new_id` does, that is the same for the same moment and text."""
    random = int.from_bytes(sha256(text.encode()).digest()[:10])
    milliseconds = int(moment.timestamp() * 1000)
    return str(UUID(int=milliseconds << 80 | 7 << 76 | (random >> 68 & 0xFFF) << 64 | 2 << 62 | random & (1 << 62) - 1))


def write_apart(log: PredictionLog, records: Sequence[Record]) -> None:
    """Write all of them or none; those that are there already stay as they are, so it can be repeated.

    Raises:
        ServiceError: the log is away.
    """
    rows = to_rows(records)
    with log.transaction() as connection:
        make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        first = make(counters).values(name=BATCH, value=0).on_conflict_do_nothing(index_elements=["name"])
        connection.execute(first)
        numbers = _take_numbers(connection, len(rows))
        numbered = [row | {"number": number} for row, number in zip(rows, numbers, strict=True)]
        connection.execute(make(predictions).on_conflict_do_nothing(index_elements=["id"]), numbered)


def _take_numbers(connection: Connection, count: int) -> range:
    """Reserve the next numbers below zero; whoever else wants some waits for the end of this transaction."""
    mine = counters.c.name == BATCH
    connection.execute(update(counters).where(mine).values(value=counters.c.value + count))
    last = connection.execute(select(counters.c.value).where(mine)).scalar_one()
    return range(-(last - count + 1), -last - 1, -1)
