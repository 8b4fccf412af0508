"""The tables of the prediction log, and of the windows of it that were judged, as they are now.

A column that comes or goes needs a migration, too: `migrations`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
    literal_column,
    or_,
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
    Column("id", String(ID_LENGTH), primary_key=True),  # Sorts by the clock of whoever predicted.
    Column("time", UtcTime, nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("image", LargeBinary, nullable=False),  # uint8, height * width * channels
    Column("height", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("channels", Integer, nullable=False, server_default="1"),
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
    # In the order in which they arrived, whatever the clocks say; none only until the log is opened by this code.
    Column("number", BigInteger, index=True, unique=True),
    Column("model", Text),  # the registered model's name; none before there was this column
    Column("asked", Boolean, nullable=False, server_default=false()),  # for its label, at random
    Column("source", Text),  # who sent it
)
ARRIVED = predictions.c.number > 0
"""Of a row of `predictions`: whether the service was asked. Answers that `apart` writes have numbers below zero."""
ASKED: ColumnElement[bool] = literal_column("predictions.asked")  # Without its type, by which it would become `= 1`.
"""Of a row of `predictions`: whether its label was asked for. SQLite uses the index of these only where a statement has
the index's words; for the column, which becomes `predictions.asked = 1`, it reads all predictions."""
Index(
    "ix_predictions_asked",
    predictions.c.number,
    sqlite_where=predictions.c.asked,
    postgresql_where=predictions.c.asked,
)

pictures = Table(
    "pictures",
    metadata,
    # Apart, so that whoever looks through predictions does not read past them. They go with predictions, or before.
    Column("prediction_id", String(ID_LENGTH), primary_key=True),
    Column("number", BigInteger, nullable=False, index=True),  # of the prediction
    Column("picture", LargeBinary, nullable=False),  # a file that was encoded anew: see fashion.adapters.keeping
)

counters = Table(
    "counters",
    metadata,
    # Whoever adds predictions raises it in the same transaction, and so keeps others from adding before it has ended:
    # who sees a number sees all smaller ones.
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),  # the greatest number that was given
)

labels = Table(
    "labels",
    metadata,
    # SQLite counts by itself only where the key is its own kind of integer.
    Column("number", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("prediction_id", String(ID_LENGTH), nullable=False, index=True),
    Column("label", Integer, nullable=False),  # the number that the class had for the model that was champion then
    Column("time", UtcTime, nullable=False),
    Column("source", String(64), nullable=False),
    Column("name", Text),  # of the class, which counts wherever there is one; none before there was this column
    Column("collected", UtcTime),  # when it was in a batch, or found to be of no use in one
)
Index(
    "ix_labels_waiting",
    labels.c.prediction_id,
    sqlite_where=labels.c.collected.is_(None),
    postgresql_where=labels.c.collected.is_(None),
)

removed_requests = Table(
    "removed_requests",
    metadata,
    # Predictions whose label was requested at random and that are no longer in the log: labels that wait to be
    # collected stay in it, and the response rate must not be that of what stays.
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # of the prediction
    Column("model", Text),  # as in `predictions`
    Column("answered", Boolean, nullable=False),  # whether it had a label
)

collections = Table(
    "collections",
    metadata,
    # Of a log that several clones use: the last batch of each model's labels. By it a clone knows that it is behind.
    Column("model", Text, primary_key=True),
    Column("batch", Text, nullable=False),  # its folder below data/batches
    Column("data_version", Text, nullable=False),  # the digest that data.dvc had with it
    Column("clone", Text, nullable=False),  # where it was made: user@host:folder
    Column("time", UtcTime, nullable=False),
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
    # The range of `predictions.number`; none only until the log is opened by this code.
    Column("first_number", BigInteger),
    Column("last_number", BigInteger),
    Column("model", Text),  # as in `predictions`
    Column("classes", JSON(none_as_null=True)),  # their names, in the order of their numbers; none in older rows
    Column("announced", UtcTime),  # when somebody was told of it
)


def of_model(table: Table, name: str) -> ColumnElement[bool]:
    """Return which rows of `predictions` or `windows` are about a registered model, or say of none that they are."""
    return table.c.model.is_(None) | (table.c.model == name)


@dataclass(frozen=True)
class ModelVersion:
    """A model version that is told from those of the same number in other registries, or in one that was made anew."""

    number: str
    identity: str | None
    """None where nobody knows."""
    created: datetime
    """With its zone. What the log says of a version without an identity is of this one if it is not older."""
    model: str | None = None
    """The registered model's name; None where it does not matter."""
    classes: tuple[str, ...] | None = None
    """By their names labels become numbers; without them labels are the numbers that were written."""

    def rows(self, table: Table) -> ColumnElement[bool]:
        """Return which rows of `predictions` or `windows` are about this version."""
        unknown = table.c.model_identity.is_(None) & (table.c.time >= self.created)
        version = (table.c.model_version == self.number) & ((table.c.model_identity == self.identity) | unknown)
        if self.model is None:
            return version
        return version & of_model(table, self.model)


@dataclass(frozen=True)
class Model:
    """A registered model, whose predictions and labels are read from a log that others may use, too."""

    name: str
    classes: tuple[str, ...]
    """Labels become the numbers of these."""
    versions: tuple[ModelVersion, ...] = ()
    """By which predictions of earlier code, which do not name their model, are known to be of this one."""

    def rows(self, table: Table) -> ColumnElement[bool]:
        """Return which rows of `predictions` are about this model."""
        unnamed = table.c.model.is_(None) & or_(false(), *(version.rows(table) for version in self.versions))
        return (table.c.model == self.name) | unnamed
