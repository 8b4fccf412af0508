"""Pictures that were sent are kept beside the images that models saw; of earlier predictions there are none."""

from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, LargeBinary, String

revision = "0004"
down_revision = "0003"


def upgrade(operations: Operations) -> None:
    operations.create_table(
        "pictures",
        Column("prediction_id", String(36), primary_key=True),
        Column("number", BigInteger, nullable=False),
        Column("picture", LargeBinary, nullable=False),
    )
    operations.create_index("ix_pictures_number", "pictures", ["number"])
