"""Images have channels; those that are there already are grey."""

from alembic.operations import Operations
from sqlalchemy import Column, Integer

revision = "0003"
down_revision = "0002"


def upgrade(operations: Operations) -> None:
    operations.add_column("predictions", Column("channels", Integer, nullable=False, server_default="1"))
