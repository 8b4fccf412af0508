"""The pictures that were sent, beside the images that the models saw."""

from collections.abc import Iterator, Sequence

from sqlalchemy import select

from fashion.adapters.predictions.log import PredictionLog
from fashion.adapters.predictions.tables import pictures

AT_ONCE = 100
"""Pictures in memory at once: 10 MB at most."""


def read_pictures(log: PredictionLog, ids: Sequence[str]) -> Iterator[bytes | None]:
    """Yield the picture of each of these predictions, as a file, or None where there is none.

    They are read part by part, each in a transaction of its own.

    Raises:
        ServiceError: the log is away.
    """
    columns = pictures.c.prediction_id, pictures.c.picture
    for start in range(0, len(ids), AT_ONCE):
        part = [str(one) for one in ids[start : start + AT_ONCE]]  # PostgreSQL does not know NumPy's.
        with log.transaction() as connection:
            rows = connection.execute(select(*columns).where(pictures.c.prediction_id.in_(part))).all()
        found = {row.prediction_id: row.picture for row in rows}
        yield from map(found.get, part)
