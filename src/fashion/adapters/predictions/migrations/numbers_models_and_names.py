"""Predictions are numbered as they arrive, and name their model and source; labels name their class.

Rows that are there already get their numbers when the log is opened: see `fashion.adapters.predictions.order`.
"""

from alembic.operations import Operations
from sqlalchemy import JSON, BigInteger, Boolean, Column, DateTime, String, Text, false, text

revision = "0002"
down_revision = "0001"

ADDED = {
    "predictions": (
        Column("number", BigInteger),
        Column("model", Text),
        Column("asked", Boolean, nullable=False, server_default=false()),
        Column("source", Text),
    ),
    "labels": (Column("name", Text), Column("collected", DateTime)),
    "windows": (
        Column("first_number", BigInteger),
        Column("last_number", BigInteger),
        Column("model", Text),
        Column("classes", JSON(none_as_null=True)),
        Column("announced", DateTime),
    ),
}


def upgrade(operations: Operations) -> None:
    for table, columns in ADDED.items():
        for column in columns:
            operations.add_column(table, column)
    operations.create_index("ix_predictions_number", "predictions", ["number"], unique=True)
    asked, waiting = text("asked"), text("collected IS NULL")
    operations.create_index(
        "ix_predictions_asked", "predictions", ["number"], sqlite_where=asked, postgresql_where=asked
    )
    operations.create_index(
        "ix_labels_waiting", "labels", ["prediction_id"], sqlite_where=waiting, postgresql_where=waiting
    )
    counters = operations.create_table(
        "counters",
        Column("name", String(32), primary_key=True),
        Column("value", BigInteger, nullable=False),
    )
    operations.bulk_insert(counters, [{"name": "predictions", "value": 0}])
