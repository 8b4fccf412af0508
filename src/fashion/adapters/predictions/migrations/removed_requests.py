"""Requests for a label whose prediction was removed are counted; of what was removed before nothing is known."""

from alembic.operations import Operations
from sqlalchemy import BigInteger, Boolean, Column, Text

revision = "0006"
down_revision = "0005"


def upgrade(operations: Operations) -> None:
    operations.create_table(
        "removed_requests",
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        Column("model", Text),
        Column("answered", Boolean, nullable=False),
    )
