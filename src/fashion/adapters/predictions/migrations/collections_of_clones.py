"""The last collection of each model's labels is recorded; of earlier ones nobody knows which clone made them."""

from alembic.operations import Operations
from sqlalchemy import Column, DateTime, Text

revision = "0005"
down_revision = "0004"


def upgrade(operations: Operations) -> None:
    operations.create_table(
        "collections",
        Column("model", Text, primary_key=True),
        Column("batch", Text, nullable=False),
        Column("data_version", Text, nullable=False),
        Column("clone", Text, nullable=False),
        Column("time", DateTime, nullable=False),
    )
