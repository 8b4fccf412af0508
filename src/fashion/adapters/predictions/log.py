"""Writing and reading the prediction log."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd
from sqlalchemy import ColumnElement, Connection, Engine, create_engine, delete, event, func, insert, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from fashion.adapters.predictions.rows import Labelled, Record, Window, to_labelled, to_labels, to_rows, to_window
from fashion.adapters.predictions.tables import ModelVersion, labels, make_tables, predictions
from fashion.errors import ParamsError, ServiceError

DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
AT_ONCE = 500
"""Ids in one question; databases limit how many a statement may hold."""
KEPT_LABELS = 10
"""Of one prediction: the one that counts, and those that it corrected last."""
PATIENCE = 5
"""Seconds to wait for a database that another process writes to, or for a server to answer."""
STATEMENT_SECONDS = 60
"""For one statement of PostgreSQL's; the longest one here, a look at the largest window, takes a few."""
PATIENT = {
    "connect_timeout": PATIENCE,
    "keepalives": 1,
    "keepalives_idle": PATIENCE,
    "keepalives_interval": PATIENCE,
    "keepalives_count": 3,
    "tcp_user_timeout": 4 * PATIENCE * 1000,
}
"""Unless the address says otherwise: a server that is gone without a word is given up after 20 seconds, not hours."""
FORGOTTEN_AT_ONCE = 5000
"""Predictions that are removed in one transaction: others may write in between."""


def new_id() -> str:
    """A UUID of version 7, RFC 9562: 48 bits of milliseconds, 12 bits of their fraction, 62 random bits."""
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8)) >> 2
    return str(UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random))


def _least_id(moment: datetime) -> str:
    """No id made at that moment or later is smaller. None was made before 1970: there the count begins."""
    return str(UUID(int=max(0, int(moment.timestamp() * 1000)) << 80))


class PredictionLog:
    """The log at an address of SQLAlchemy's; nothing is opened before it is needed. For any number of threads.

    An address that is none raises ParamsError; every method raises ServiceError when the database is away, or refuses.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._ready = False

    def write(self, records: Sequence[Record]) -> None:
        """All of them or none; those that are there already stay as they are, so it can be repeated."""
        make = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        with self.transaction() as connection:
            connection.execute(make(predictions).on_conflict_do_nothing(), to_rows(records))

    def knows(self, prediction_id: str) -> bool:
        with self.transaction() as connection:
            return connection.scalar(select(predictions.c.id).filter_by(id=prediction_id)) is not None

    def add_label(self, prediction_id: str, label: int, source: str) -> int | None:
        """Write down the true class of a prediction, or correct it; the label that counted before, if any.

        Of many corrections the last ones are kept.
        """
        newest_first = labels.c.number.desc()
        before = select(labels.c.label).filter_by(prediction_id=prediction_id).order_by(newest_first).limit(1)
        numbers = select(labels.c.number).filter_by(prediction_id=prediction_id).order_by(newest_first)
        surplus = numbers.offset(KEPT_LABELS).subquery()
        row = {"prediction_id": prediction_id, "label": label, "time": datetime.now(UTC), "source": source}
        with self.transaction() as connection:
            previous = connection.scalar(before)
            connection.execute(insert(labels), row)
            connection.execute(delete(labels).where(labels.c.number.in_(select(surplus.c.number))))
        return previous

    def read_window(
        self,
        after: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        version: ModelVersion | None = None,
    ) -> Window:
        """Predictions after an id, from one moment to another, of one model version; the newest, at most `limit`.

        Rows are written up to a second after their ids are made: a reader that goes on from the last id it saw asks
        `until` a few seconds ago, or it may pass one over.

        Raises:
            DataError: the models have different inputs or outputs; ask for one version.
        """
        chosen = select(predictions)
        if after is not None:
            chosen = chosen.where(predictions.c.id > after)
        if since is not None:
            chosen = chosen.where(predictions.c.id >= _least_id(since))
        if until is not None:
            chosen = chosen.where(predictions.c.id < _least_id(until))
        if version is not None:
            chosen = chosen.where(version.rows(predictions))
        window = chosen.order_by(predictions.c.id.desc()).limit(limit).subquery()
        newest = (
            select(func.max(labels.c.number))
            .where(labels.c.prediction_id == window.c.id)
            .correlate(window)
            .scalar_subquery()
        )
        labelled = window.outerjoin(labels, labels.c.number == newest)
        rows = select(window, labels.c.label).select_from(labelled).order_by(window.c.id)
        with self.transaction() as connection:
            return to_window(connection.execute(rows).all())

    def read_labels(self, size: tuple[int, int], since: datetime | None = None) -> pd.DataFrame:
        """The label that counts of each prediction that has one, in the order in which these labels came.

        Args:
            size: height and width; predictions of images of another size are passed over.
            since: no prediction made before this moment.

        Returns:
            id, time (of the prediction), content_hash (of the image), label, labelled (when the label came); times are
            UTC, microseconds.
        """
        columns = (predictions.c.id, predictions.c.time, predictions.c.content_hash, labels.c.label)
        newest = select(func.max(labels.c.number)).group_by(labels.c.prediction_id)
        rows = select(*columns, labels.c.time.label("labelled"))
        rows = rows.join(labels, labels.c.prediction_id == predictions.c.id).where(labels.c.number.in_(newest))
        rows = rows.where(predictions.c.height == size[0], predictions.c.width == size[1]).order_by(labels.c.number)
        if since is not None:
            rows = rows.where(predictions.c.id >= _least_id(since))
        with self.transaction() as connection:
            return to_labels(connection.execute(rows).all())

    def read_labelled(self, wanted: pd.DataFrame, size: tuple[int, int]) -> Labelled:
        """The images of some of the rows that `read_labels` gave, without those that were removed since."""
        rows = select(predictions.c.id, predictions.c.image)
        ids = list(wanted["id"])
        parts = [ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)]
        with self.transaction() as connection:
            found = [row for part in parts for row in connection.execute(rows.where(predictions.c.id.in_(part)))]
        return to_labelled(wanted, {row.id: row.image for row in found}, size)

    def count(self) -> int:
        with self.transaction() as connection:
            return connection.scalar(select(func.count()).select_from(predictions)) or 0

    def forget(self, before: datetime, beyond: int) -> int:
        """Remove predictions made before a moment and all but the newest `beyond`, with their labels; how many."""
        newest = select(predictions.c.id).order_by(predictions.c.id.desc())
        with self.transaction() as connection:
            last = connection.scalar(newest.offset(beyond).limit(1)) or ""
        old = (predictions.c.id <= last) | (predictions.c.id < _least_id(before))
        removed = 0
        while some := self._forget_some(old):
            removed += some
        return removed

    def _forget_some(self, old: ColumnElement[bool]) -> int:
        oldest = select(predictions.c.id).where(old).order_by(predictions.c.id).limit(FORGOTTEN_AT_ONCE)
        with self.transaction() as connection:
            ids = oldest.subquery()
            end = connection.scalar(select(func.max(ids.c.id))) or ""
            known = select(predictions.c.id).where(predictions.c.id <= end)
            connection.execute(delete(labels).where(labels.c.prediction_id.in_(known)))
            return connection.execute(delete(predictions).where(predictions.c.id <= end)).rowcount

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """For this package alone."""
        try:
            self._prepare()
            with self._engine.begin() as connection:
                yield connection
        except (DBAPIError, PoolTimeout, OSError) as error:
            where = self._engine.url.render_as_string(hide_password=True)
            reason = " ".join(str(getattr(error, "orig", None) or error).split())
            raise ServiceError(f"The prediction log {where} cannot be used ({reason}). {_advice(reason)}") from error

    def _prepare(self) -> None:
        """Make the tables, once; another thread or process may do so at the same time, the database sees to it."""
        if self._ready:
            return
        if self._engine.dialect.name == "sqlite" and self._engine.url.database:
            Path(self._engine.url.database).parent.mkdir(parents=True, exist_ok=True)
        with self._engine.begin() as connection:
            _lock_out_others(connection)
            make_tables(connection)
        self._ready = True


def _advice(reason: str) -> str:
    if "database is locked" in reason:
        return "Another program holds it; end that program, then try again."
    return "Start its database, or make room on its disk, or set FASHION_PREDICTIONS_URL to another one."


def _engine(url: str) -> Engine:
    try:
        address = make_url(url)
        kind = address.get_backend_name()
    except (ArgumentError, ValueError) as error:  # The number of a port that is none.
        raise ParamsError(f"FASHION_PREDICTIONS_URL is no address of a database: {error}") from error
    if kind not in DRIVERS:
        raise ParamsError(f"FASHION_PREDICTIONS_URL: expected sqlite:// or postgresql://, found {kind}://")
    # The driver that is installed, whichever form of the address is written.
    address = address.set(drivername=DRIVERS[kind])
    try:
        create_engine(address).dialect.create_connect_args(address)
    except (SQLAlchemyError, ValueError) as error:
        raise ParamsError(f"FASHION_PREDICTIONS_URL has an option that cannot be used: {error}") from error
    if kind == "postgresql":
        arguments = {name: value for name, value in PATIENT.items() if name not in address.query}
        engine = create_engine(address, connect_args=arguments, pool_pre_ping=True)
        event.listen(engine, "connect", _set_up_postgresql)
        return engine
    engine = create_engine(address, connect_args={"timeout": PATIENCE})
    event.listen(engine, "connect", _set_up_sqlite)
    return engine


def _set_up_postgresql(connection: Any, _: Any) -> None:
    connection.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
    connection.commit()


def _set_up_sqlite(connection: Any, _: Any) -> None:
    """Readers do not wait for the writer. A killed process loses nothing it has committed; a power cut may."""
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")


def _lock_out_others(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(7_201_634)))
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
