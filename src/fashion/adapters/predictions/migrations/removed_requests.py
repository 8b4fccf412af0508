"""Requests for a label whose prediction was removed are counted; of what was removed before nothing is known.

Earlier code kept what waits to be collected, and removed what was as old and did not wait. So before the oldest
prediction that does not wait the answers may be all that is left of many requests, and as far as numbers are missing
there, they do not count as asked for at random any more.
"""

from alembic.operations import Operations
from sqlalchemy import BigInteger, Boolean, Column, Text

revision = "0006"
down_revision = "0005"

UNCOUNTED = """
    UPDATE predictions SET asked = false WHERE asked AND number <= (
        SELECT max(kept.number) FROM predictions AS kept
        WHERE kept.number > 0 AND kept.number < coalesce(
            (SELECT min(whole.number) FROM predictions AS whole WHERE whole.number > 0 AND NOT EXISTS (
                SELECT 1 FROM labels WHERE labels.prediction_id = whole.id AND labels.collected IS NULL)),
            (SELECT max(number) FROM predictions))
        AND NOT EXISTS (SELECT 1 FROM predictions AS following WHERE following.number = kept.number + 1))
"""


def upgrade(operations: Operations) -> None:
    operations.create_table(
        "removed_requests",
        Column("number", BigInteger, primary_key=True, autoincrement=False),
        Column("model", Text),
        Column("answered", Boolean, nullable=False),
    )
    operations.execute(UNCOUNTED)
