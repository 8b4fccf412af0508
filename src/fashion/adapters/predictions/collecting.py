"""Several clones that collect labels from one log in PostgreSQL: one at a time, and which batch came last.

A log in SQLite belongs to one project, whose lock file does the same.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, func, insert, select, text

from fashion.adapters.predictions.log import PredictionLog
from fashion.adapters.predictions.tables import collections
from fashion.locks import wait_until

PRESENCE = {"tcp_keepalives_idle": 5, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}
"""By which the server notices within 20 seconds, not two hours, that the machine of a collection is gone."""
HOLDER = """
SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname =
current_database()) AND (classid::bigint << 32 | objid::bigint) = :key
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Collection:
    """The last collection of a model's labels."""

    batch: str
    """The folder below data/batches."""
    data_version: str
    """The digest that data.dvc had with it."""
    clone: str
    """Where it was made: user@host:folder."""


class Turn:
    """The right to collect a model's labels, as long as the connection lasts."""

    def __init__(self, connection: Connection, model: str) -> None:
        self._connection = connection
        self._model = model

    def last(self) -> Collection | None:
        """Return the last collection, by whichever clone."""
        return _read(self._connection, self._model)

    def record(self, collection: Collection) -> None:
        """Let the others know of a collection when this turn ends."""
        self._connection.execute(delete(collections).filter_by(model=self._model))
        row = {"model": self._model, **asdict(collection), "time": datetime.now(UTC)}
        self._connection.execute(insert(collections), row)


@contextmanager
def collecting(log: PredictionLog, model: str, clone: str) -> Iterator[Turn | None]:
    """Collect a model's labels one at a time, after waiting for another clone; None, for a log in SQLite, is no turn.

    By an advisory lock, which the server releases when the connection ends, however it ends.

    Args:
        clone: who collects, for those who wait.

    Raises:
        ServiceError: the log is away, or went away meanwhile.
    """
    with log.transaction() as connection:
        if connection.dialect.name != "postgresql":
            yield None
            return
        name = func.hashtextextended(f"fashion collect {model}", 0)
        key = connection.execute(select(name)).scalar_one()
        connection.execute(select(func.set_config("application_name", clone[-63:], True)))
        for setting, value in PRESENCE.items():
            connection.execute(select(func.set_config(setting, str(value), True)))
        wait_until(
            lambda: bool(connection.scalar(select(func.pg_try_advisory_xact_lock(key)))),
            lambda: connection.scalar(text(HOLDER), {"key": key}) or "a collection that has just ended",
            lambda holder: logger.info("Waiting for fashion collect in %s", holder),
        )
        yield Turn(connection, model)


def last_collection(log: PredictionLog, model: str) -> Collection | None:
    """Return the last collection of a model's labels by a clone; None if there was none, or none is recorded.

    Raises:
        ServiceError: the log is away.
    """
    with log.transaction() as connection:
        return _read(connection, model)


def _read(connection: Connection, model: str) -> Collection | None:
    columns = (collections.c.batch, collections.c.data_version, collections.c.clone)
    row = connection.execute(select(*columns).filter_by(model=model)).first()
    return Collection(*row) if row else None
