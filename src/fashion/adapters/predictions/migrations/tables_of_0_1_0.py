"""The tables of 0.1.0, made where they are missing; the first ones had no model_identity."""

from alembic.operations import Operations
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    inspect,
)

revision = "0001"
down_revision = None

metadata = MetaData()

Table(
    "predictions",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("time", DateTime, nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("image", LargeBinary, nullable=False),
    Column("height", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("probabilities", LargeBinary, nullable=False),
    Column("predicted", Integer, nullable=False),
    Column("confidence", Double, nullable=False),
    Column("abstained", Boolean, nullable=False),
    Column("reason", String(64)),
    Column("embedding", LargeBinary, nullable=False),
    Column("mean", Double, nullable=False),
    Column("standard_deviation", Double, nullable=False),
    Column("minimum", Integer, nullable=False),
    Column("maximum", Integer, nullable=False),
    Column("ink_fraction", Double, nullable=False),
    Column("content_hash", String(32), nullable=False),
    Column("model_identity", String(64)),
)

Table(
    "labels",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("prediction_id", String(36), nullable=False, index=True),
    Column("label", Integer, nullable=False),
    Column("time", DateTime, nullable=False),
    Column("source", String(64), nullable=False),
)

Table(
    "windows",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("time", DateTime, nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("first_id", String(36), nullable=False),
    Column("last_id", String(36), nullable=False),
    Column("start", DateTime, nullable=False),
    Column("end", DateTime, nullable=False),
    Column("predictions", Integer, nullable=False),
    Column("scores", JSON, nullable=False),
    Column("verdict", String(32), nullable=False),
    Column("drifted", Boolean, nullable=False),
    Column("alarm", Boolean, nullable=False),
    Column("because", Text, nullable=False),
    Column("estimated_accuracy", Double, nullable=False),
    Column("labelled", Integer, nullable=False),
    Column("correct", Integer, nullable=False),
    Column("by_class", JSON, nullable=False),
    Column("model_identity", String(64)),
)


def upgrade(operations: Operations) -> None:
    connection = operations.get_bind()
    metadata.create_all(connection)
    for table in ("predictions", "windows"):
        if "model_identity" not in {column["name"] for column in inspect(connection).get_columns(table)}:
            operations.add_column(table, Column("model_identity", String(64)))
