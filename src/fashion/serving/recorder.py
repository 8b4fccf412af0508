"""Queues predictions until they are in the log, without delaying requests."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ParamSpec

from fashion.adapters.predictions import PredictionLog, Record, Retention, forget, forget_pictures
from fashion.errors import ServiceError

CAPACITY = 20_000
"""The most predictions that wait, 40 MB of 28 x 28 pixels; when there is no room, further ones are lost and counted."""
MOST_BYTES = 256 << 20
"""Of them likewise, whatever the size of the images: 1,780 of 224 x 224 pixels in colour."""
MOST_PICTURE_BYTES = 64 << 20
"""Of the pictures that wait with them; when there is no room, predictions wait without, and that is counted."""
BATCH = 500
"""Rows per transaction."""
WRITE_SECONDS = 0.25
"""Between two writes: predictions that arrive in between share a transaction."""
LONGEST_PAUSE = 5.0
"""The most seconds between two attempts while the database is unavailable."""
CLEAN_SECONDS = 3600.0
CLOSE_SECONDS = 1.0
"""Time for the last ones at shutdown; they are also written while requests are finishing."""
STUCK_SECONDS = 15.0
"""After this a database that has not answered counts as unavailable: a few rows take milliseconds."""

P = ParamSpec("P")

logger = logging.getLogger(__name__)


class _Room:
    """The bytes that wait. One thread may take room while another one leaves it."""

    def __init__(self, most: int) -> None:
        self._most = most
        # Each is changed by one thread.
        self._taken = self._left = 0

    def take(self, size: int) -> bool:
        """Take room, and return whether there was any."""
        fits = self._taken - self._left + size <= self._most
        self._taken += size * fits
        return fits

    def leave(self, size: int) -> None:
        self._left += size


class Recorder:
    """A bounded queue and the thread that empties it into the log."""

    def __init__(self, log: PredictionLog, retention: Retention, capacity: int = CAPACITY) -> None:
        self._log, self._retention, self._capacity = log, retention, capacity
        self._waiting: deque[Record] = deque()
        self._ids: set[str] = set()
        self._closing = threading.Event()
        self._close_by = float("inf")
        self._clean_at = 0.0
        self.written = 0
        self.lost = 0
        self._room, self._picture_room = _Room(MOST_BYTES), _Room(MOST_PICTURE_BYTES)
        self.pictures_lost = 0
        """Pictures that were left out, since too many were waiting."""
        self.kept = 0
        """Old predictions that were kept because their labels are not collected."""
        self.labels_lost = 0
        """Predictions that were removed before their labels were collected."""
        self._trouble: str | None = None
        self._asked_at: float | None = None
        """When the pending call to the database began."""
        self._thread = threading.Thread(target=self._work, name="prediction log", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written now, if so."""
        asked_at = self._asked_at
        if self._trouble or asked_at is None or time.monotonic() - asked_at < STUCK_SECONDS:
            return self._trouble
        return f"The prediction log has not answered for {time.monotonic() - asked_at:.0f} seconds"

    def add(self, records: Sequence[Record]) -> None:
        """Take predictions without waiting. Call it from one thread at a time."""
        room = max(0, self._capacity - len(self._waiting))
        taken = [self._without_surplus(record) for record in records[:room] if self._room.take(_bytes(record))]
        self._ids.update(record.id for record in taken)
        self._waiting.extend(taken)
        self.lost += len(records) - len(taken)

    def _without_surplus(self, record: Record) -> Record:
        """Return a prediction, without its picture if there is no room for that."""
        if record.picture is None or self._picture_room.take(len(record.picture)):
            return record
        self.pictures_lost += 1
        return replace(record, picture=None)

    def holds(self, prediction_id: str) -> bool:
        """Return whether a prediction is on its way into the log."""
        return prediction_id in self._ids

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write what is waiting; what cannot be written in time is lost, and that is reported."""
        self._close_by = time.monotonic() + seconds
        self._closing.set()
        self._thread.join(seconds)
        lost = len(self._waiting)
        self.lost += lost
        if lost:
            silent = "the prediction log does not answer" if self._thread.is_alive() else "no time was left"
            logger.error("%d predictions are lost: %s", lost, self.trouble or silent)

    def _work(self) -> None:
        pause = WRITE_SECONDS
        while not (self._closing.wait(pause) and self._done()):
            try:
                self._write()
                self._clean()
                self._trouble = None
                pause = WRITE_SECONDS
            except ServiceError as error:
                if self._trouble is None:
                    logger.warning("Predictions are waiting for the log: %s", error)
                self._trouble = str(error)
                pause = min(2 * pause, LONGEST_PAUSE)
                if self._closing.is_set():
                    time.sleep(WRITE_SECONDS)

    def _done(self) -> bool:
        return not self._waiting or time.monotonic() > self._close_by

    def _write(self) -> None:
        while self._waiting and time.monotonic() < self._close_by:
            count = min(BATCH, len(self._waiting))
            # By index, because others append in the meantime.
            records = [self._waiting[index] for index in range(count)]
            if not _do("Predictions cannot be written", self._put, records):
                lost = self._put_valid(records)
                logger.error("%d of these %d predictions are lost", lost, count)
            self._trouble = None

    def _put(self, records: Sequence[Record]) -> None:
        """Write the predictions that have waited longest."""
        self._asked_at = time.monotonic()
        try:
            self._log.write(records)
        finally:
            self._asked_at = None
        self.written += len(records)
        self._drop(len(records))

    def _put_valid(self, records: Sequence[Record]) -> int:
        """Write those of refused predictions that are valid, half by half; return how many are not, and so are lost."""
        if len(records) == 1:
            self.lost += 1
            self._drop(1)
            return 1
        middle = len(records) // 2
        halves = (records[:middle], records[middle:])
        return sum(self._put_valid(half) for half in halves if not _do(None, self._put, half))

    def _drop(self, count: int) -> None:
        for _ in range(count):
            record = self._waiting.popleft()
            self._ids.discard(record.id)
            self._room.leave(_bytes(record))
            self._picture_room.leave(len(record.picture or b""))

    def _clean(self) -> None:
        if time.monotonic() < self._clean_at or self._closing.is_set():
            return
        _do("Old predictions cannot be removed", self._forget)
        self._clean_at = time.monotonic() + CLEAN_SECONDS

    def _forget(self) -> None:
        before = datetime.now(UTC) - timedelta(days=self._retention.days)
        forgotten = forget(self._log, before, self._retention.rows, self._go_on)
        self.kept = forgotten.kept
        self.labels_lost += forgotten.lost
        if forgotten.removed:
            logger.info("Removed %d old predictions", forgotten.removed)
        if forgotten.lost:
            logger.warning(
                "%d of them had labels that were never collected; collect with: fashion collect", forgotten.lost
            )
        if pictures := forget_pictures(self._log, self._retention.pictures, self._go_on):
            logger.info("Removed the pictures of %d older predictions", pictures)

    def _go_on(self) -> bool:
        """Write what has come while old predictions are removed; return whether there is time to remove more."""
        self._write()
        return not self._closing.is_set()


def _bytes(record: Record) -> int:
    """Return how much memory a prediction takes, without its picture."""
    return record.image.nbytes + record.probabilities.nbytes + record.embedding.nbytes


def _do(failure: str | None, work: Callable[P, object], *arguments: P.args, **options: P.kwargs) -> bool:
    """Do something with the log, and return whether it succeeded; a bug is logged, and the thread goes on.

    Args:
        failure: what a bug is called; None where it was logged before.

    Raises:
        ServiceError: the log is unavailable; the call can be repeated.
    """
    try:
        work(*arguments, **options)
    except ServiceError:
        raise
    except Exception:
        if failure:
            logger.exception(failure)
        return False
    return True
