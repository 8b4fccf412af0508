"""The tables of the prediction log, and of the windows of it that were judged."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
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
    Text,
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
)
