"""The two tables of the prediction log."""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
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
