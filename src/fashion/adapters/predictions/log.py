"""Writing and reading the prediction log."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd
from sqlalchemy import Connection, Table, case, delete, exists, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from fashion.adapters.predictions import migrations
from fashion.adapters.predictions.engine import lock_out_others, make_engine, unusable
from fashion.adapters.predictions.order import complete_order, describe_clock, take_numbers
from fashion.adapters.predictions.rows import Label, Labelled, Record, to_labelled, to_labels, to_rows
from fashion.adapters.predictions.tables import ARRIVED, Model, ModelVersion, labels, pictures, predictions
from fashion.adapters.predictions.window import Window, read
from fashion.arrays import Shape

IDS_AT_ONCE = 500
"""Ids in one question; databases limit how many a statement may hold."""
KEPT_LABELS = 10
"""Of one prediction: the one that counts, and those that it corrected last."""


def new_id() -> str:
    """Return a UUID of version 7, RFC 9562: 48 bits of milliseconds, 12 bits of their fraction, 62 random bits."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    return uuid7(milliseconds, rest * 4096 // 1_000_000, int.from_bytes(os.urandom(8)))


def uuid7(milliseconds: int, fraction: int, random: int) -> str:
    """Return the UUID of these parts; of `random` the last 62 bits."""
    return str(UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random & (1 << 62) - 1))


def _least_id(moment: datetime) -> str:
    """Return an id than which none made at that moment or later is smaller. The count begins in 1970."""
    return str(UUID(int=max(0, int(moment.timestamp() * 1000)) << 80))


class PredictionLog:
    """The log at an address of SQLAlchemy's; nothing is opened before it is needed. For any number of threads.

    An address that is none raises ParamsError; every method raises ServiceError when the database is away. Rows that
    it refuses would be refused again: SQLAlchemy's IntegrityError and DataError, which are bugs, stay as they are.
    """

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url)
        self._ready = False

    def write(self, records: Sequence[Record]) -> None:
        """Write all of them or none; those that are there already stay as they are, so it can be repeated."""
        rows = to_rows(records)
        with self.transaction() as connection:
            numbers = take_numbers(connection, len(rows))
            numbered = [row | {"number": number} for row, number in zip(rows, numbers, strict=True)]
            insert_missing(connection, predictions, numbered)
            if sent := _picture_rows(records, {row["id"]: row["number"] for row in numbered}):
                insert_missing(connection, pictures, sent)

    def knows(self, prediction_id: str) -> bool:
        """Return whether the service gave this prediction, and it is there; its label is of use then."""
        known = select(predictions.c.id).where(ARRIVED, predictions.c.id == prediction_id)
        with self.transaction() as connection:
            return connection.scalar(known) is not None

    def add_label(self, prediction_id: str, label: int, source: str, name: str | None = None) -> Label | None:
        """Write down the true class of a prediction, or correct it; return the label that counted before, if any.

        Of many corrections the last ones are kept.

        Args:
            label: its number for the model that is champion now.
            source: who says so.
            name: of the class; by it the label is read, whichever number the class has then.
        """
        newest_first = labels.c.number.desc()
        before = select(labels.c.label, labels.c.name).filter_by(prediction_id=prediction_id)
        numbers = select(labels.c.number).filter_by(prediction_id=prediction_id).order_by(newest_first)
        surplus = numbers.offset(KEPT_LABELS).subquery()
        row = {"prediction_id": prediction_id, "label": label, "time": datetime.now(UTC), "source": source}
        with self.transaction() as connection:
            previous = connection.execute(before.order_by(newest_first).limit(1)).first()
            connection.execute(insert(labels), row | {"name": name})
            connection.execute(delete(labels).where(labels.c.number.in_(select(surplus.c.number))))
        return Label(previous.label, previous.name) if previous else None

    def read_window(
        self,
        after: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        version: ModelVersion | None = None,
    ) -> Window:
        """Return predictions in the order in which they arrived; the newest, at most `limit`.

        Args:
            after: only those that arrived after the one of this number. Whoever goes on after the greatest number of
                the last window passes none over.
            since: only those made from this moment on, by the clock of whoever made them.
            until: only those made before this moment, likewise.
            version: only those of this model version, with labels as numbers of its classes.

        Raises:
            DataError: the models have different inputs or outputs; ask for one version.
        """
        chosen = select(predictions).where(ARRIVED)
        if after is not None:
            chosen = chosen.where(predictions.c.number > int(after))  # SQLite takes NumPy's for bytes.
        if since is not None:
            chosen = chosen.where(predictions.c.id >= _least_id(since))
        if until is not None:
            chosen = chosen.where(predictions.c.id < _least_id(until))
        if version is not None:
            chosen = chosen.where(version.rows(predictions))
        window = chosen.order_by(predictions.c.number.desc()).limit(limit).subquery()
        newest = (
            select(func.max(labels.c.number))
            .where(labels.c.prediction_id == window.c.id)
            .correlate(window)
            .scalar_subquery()
        )
        labelled = window.outerjoin(labels, labels.c.number == newest)
        rows = select(window, labels.c.label, labels.c.name).select_from(labelled).order_by(window.c.number)
        with self.transaction() as connection:
            return read(connection, rows, version)

    def read_labels(self, shape: Shape, since: datetime | None = None, model: Model | None = None) -> pd.DataFrame:
        """Return the label that counts of each prediction that has one, in the order in which these labels came.

        Args:
            shape: of an image; predictions of images of another shape are passed over.
            since: no prediction made before this moment.
            model: only its predictions, with labels as numbers of its classes, by their names; without it predictions
                of all models, with labels as the numbers that were written.

        Returns:
            id, time (of the prediction), content_hash (of the image), asked and source (as those of `Record`), label
            (-1 if it is none of the model's classes), labelled (when the label came), label_number (the label's own, in
            the log), given_by (who gave it), key (the name of the key with which it came), collected (whether it was
            said to be); times are UTC, microseconds.
        """
        columns = [predictions.c[name] for name in ("id", "time", "content_hash", "asked", "source")]
        columns += [labels.c[name] for name in ("label", "name", "collected")]
        newest = select(func.max(labels.c.number)).group_by(labels.c.prediction_id)
        renamed = {"labelled": "time", "label_number": "number", "given_by": "source"}
        rows = select(*columns, *(labels.c[name].label(new) for new, name in renamed.items()))
        rows = rows.join(labels, labels.c.prediction_id == predictions.c.id).where(labels.c.number.in_(newest), ARRIVED)
        form = zip(("height", "width", "channels"), shape, strict=True)
        rows = rows.where(*(predictions.c[name] == length for name, length in form)).order_by(labels.c.number)
        if since is not None:
            rows = rows.where(predictions.c.id >= _least_id(since))
        if model is not None:
            rows = rows.where(model.rows(predictions))
        with self.transaction() as connection:
            return to_labels(connection.execute(rows).all(), model.classes if model else None)

    def read_labelled(self, wanted: pd.DataFrame, shape: Shape) -> Labelled:
        """Return the images of some of the rows that `read_labels` gave, without those that were removed since."""
        rows = select(predictions.c.id, predictions.c.image)
        ids = list(wanted["id"])
        parts = [ids[start : start + IDS_AT_ONCE] for start in range(0, len(ids), IDS_AT_ONCE)]
        with self.transaction() as connection:
            found = [row for part in parts for row in connection.execute(rows.where(predictions.c.id.in_(part)))]
        return to_labelled(wanted, {row.id: row.image for row in found}, shape)

    def count(self) -> int:
        with self.transaction() as connection:
            return connection.scalar(select(func.count()).select_from(predictions).where(ARRIVED)) or 0

    def describe_clock(self) -> str | None:
        """Say so if the prediction that arrived last was made in the future by this machine's clock; None otherwise."""
        with self.transaction() as connection:
            return describe_clock(connection)

    def has_unnamed_labels(self) -> bool:
        """Return whether there are labels of predictions that do not name their model, as earlier code wrote them."""
        unnamed = select(labels.c.number).join(predictions, labels.c.prediction_id == predictions.c.id)
        with self.transaction() as connection:
            return connection.scalar(unnamed.where(predictions.c.model.is_(None)).limit(1)) is not None

    def name_labels(self, version: ModelVersion, classes: Sequence[str]) -> None:
        """Give names to the labels of a version's predictions that earlier code wrote by number alone.

        Args:
            classes: of that version.
        """
        mine = exists().where(predictions.c.id == labels.c.prediction_id, version.rows(predictions)).correlate(labels)
        unnamed = labels.c.name.is_(None) & labels.c.label.between(0, len(classes) - 1)
        name = case(dict(enumerate(classes)), value=labels.c.label)
        with self.transaction() as connection:
            connection.execute(update(labels).where(unnamed, mine).values(name=name))

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction; for this package alone. An OSError of the block is not the log's, and stays as it is."""
        with self._connect() as connection:
            try:
                with connection.begin():
                    yield connection
            except (IntegrityError, DataError):
                raise
            except DBAPIError as error:
                raise unusable(self._engine, error) from error

    def _connect(self) -> Connection:
        try:
            self._prepare()
            return self._engine.connect()
        except (DBAPIError, PoolTimeout, OSError) as error:
            raise unusable(self._engine, error) from error

    def _prepare(self) -> None:
        """Bring the log up to date, once; another thread or process may try at the same time, and waits."""
        if self._ready:
            return
        if self._engine.dialect.name == "sqlite" and self._engine.url.database:
            Path(self._engine.url.database).parent.mkdir(parents=True, exist_ok=True)
        with self._engine.begin() as connection:
            lock_out_others(connection)
            migrations.upgrade(connection)
            complete_order(connection)
        self._ready = True


def insert_missing(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, at least one; those whose key is there already stay as they are."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(make(table).on_conflict_do_nothing(index_elements=table.primary_key.columns), rows)


def _picture_rows(records: Sequence[Record], numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    sent = {record.id: record.picture for record in records if record.picture is not None}
    return [{"prediction_id": one, "number": numbers[one], "picture": picture} for one, picture in sent.items()]
