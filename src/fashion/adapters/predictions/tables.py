"""The tables of the prediction log, and of the windows of it that were judged."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Double,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    inspect,
    text,
)

ID_LENGTH = 36


class UtcTime(TypeDecorator[datetime]):
    """A time with its zone in Python, UTC without a zone in the database: SQLite knows no zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value else None


metadata = MetaData()

predictions = Table(
    "predictions",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),  # Sorts by time: the index on it is the one on time, too.
    Column("time", UtcTime, nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("image", LargeBinary, nullable=False),  # uint8, height * width
    Column("height", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("probabilities", LargeBinary, nullable=False),  # float32, classes
    Column("predicted", Integer, nullable=False),
    Column("confidence", Double, nullable=False),
    Column("abstained", Boolean, nullable=False),
    Column("reason", String(64)),
    Column("embedding", LargeBinary, nullable=False),  # float32, d; empty where the model has none
    # The columns of fashion.images.descriptors.describe that the others do not hold already.
    Column("mean", Double, nullable=False),
    Column("standard_deviation", Double, nullable=False),
    Column("minimum", Integer, nullable=False),
    Column("maximum", Integer, nullable=False),
    Column("ink_fraction", Double, nullable=False),
    Column("content_hash", String(32), nullable=False),
    Column("model_identity", String(64)),  # tells versions of the same number apart; none before there was this column
)

labels = Table(
    "labels",
    metadata,
    # SQLite counts by itself only where the key is its own kind of integer.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("prediction_id", String(ID_LENGTH), nullable=False, index=True),
    Column("label", Integer, nullable=False),
    Column("time", UtcTime, nullable=False),
    Column("source", String(64), nullable=False),
)

windows = Table(
    "windows",
    metadata,
    # Given by whoever adds it: of two that judge the same predictions at once, one is refused.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("time", UtcTime, nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("first_id", String(ID_LENGTH), nullable=False),
    Column("last_id", String(ID_LENGTH), nullable=False),
    Column("start", UtcTime, nullable=False),  # of the first prediction
    Column("end", UtcTime, nullable=False),  # of the last prediction
    Column("predictions", Integer, nullable=False),
    Column("scores", JSON, nullable=False),  # by statistic
    Column("verdict", String(32), nullable=False),
    Column("drifted", Boolean, nullable=False),
    Column("alarm", Boolean, nullable=False),
    Column("because", Text, nullable=False),
    Column("estimated_accuracy", Double, nullable=False),
    # What follows changes as labels come.
    Column("labelled", Integer, nullable=False),
    Column("correct", Integer, nullable=False),
    Column("by_class", JSON, nullable=False),  # labelled and correct, by the number of the true class
    Column("model_identity", String(64)),  # as in `predictions`
)


@dataclass(frozen=True)
class ModelVersion:
    """A model version that is told from those of the same number in other registries, or in one that was made anew."""

    number: str
    identity: str | None
    """None where nobody knows."""
    created: datetime
    """With its zone. What the log says of a version without an identity is of this one if it is not older."""

    def rows(self, table: Table) -> ColumnElement[bool]:
        """Which rows of `predictions` or `windows` are about this version."""
        unknown = table.c.model_identity.is_(None) & (table.c.time >= self.created)
        return (table.c.model_version == self.number) & ((table.c.model_identity == self.identity) | unknown)


def make_tables(connection: Connection) -> None:
    """Make the tables, and in tables of earlier code the columns that have come since."""
    metadata.create_all(connection)
    for table in (predictions, windows):
        known = {column["name"] for column in inspect(connection).get_columns(table.name)}
        for column in table.columns:
            if column.name not in known:
                kind = column.type.compile(connection.dialect)
                connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"))
