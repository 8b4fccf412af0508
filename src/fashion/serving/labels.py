"""Requests labels and writes those that people give, separately: an unavailable log does not block anything else."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from fastapi import HTTPException

from fashion.adapters.predictions import Label, PredictionLog, Wanted, read_wanted, read_wanted_picture
from fashion.errors import ServiceError
from fashion.serving.apart import run_apart
from fashion.serving.recorder import Recorder

AT_ONCE = 4
"""Labels that are written or looked up at once; further ones wait."""
PATIENCE_SECONDS = 10.0
"""The time for one label to be written, and to wait for its turn."""
TURN_SECONDS = 5.0
"""Of it, at most for the turn: the log has the rest, since less would say nothing about it."""
RETRY_SECONDS = 5.0
"""Between two attempts while the log is known to be unavailable."""

T = TypeVar("T")


class Labels:
    """Use it from one event loop."""

    def __init__(self, log: PredictionLog, recorder: Recorder) -> None:
        self._log, self._recorder = log, recorder
        self._free = asyncio.Semaphore(AT_ONCE)
        self._trouble: str | None = None
        self._try_at = 0.0
        self._written = 0

    async def write(self, prediction_id: str, label: Label, source: str) -> Label | None:
        """Write the label of a prediction, and return the one that counted before, if any.

        Raises:
            HTTPException: 404, there is no such prediction.
            ServiceError: the log is unavailable, at once while that is known, or too many wait for it.
        """
        return await self._do(partial(self._write, prediction_id, label, source))

    async def wanted(self, model: str, limit: int, after: str | None) -> list[Wanted]:
        """Read which predictions wait for the label that was requested. Raises ServiceError like `write`."""
        return await self._do(partial(read_wanted, self._log, model, limit, after))

    async def picture(self, model: str, prediction_id: str) -> bytes:
        """Read the picture that was sent for one of `wanted`, as a file. Raises ServiceError like `write`.

        Raises:
            HTTPException: 404, there is none.
        """
        return await self._do(partial(self._picture, model, prediction_id))

    async def _do(self, work: Callable[[], T]) -> T:
        start = time.monotonic()
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._free.acquire()
        except TimeoutError as error:
            raise ServiceError("Too many labels wait for the prediction log; try again") from error
        try:
            self._refuse_while_away()
            return await self._in_time(work, start + PATIENCE_SECONDS - time.monotonic())
        finally:
            self._free.release()

    async def _in_time(self, work: Callable[[], T], seconds: float) -> T:
        try:
            done = await asyncio.wait_for(run_apart(work), seconds)
        except TimeoutError as error:
            self._note(f"The prediction log did not answer within {seconds:.0f} seconds")
            raise ServiceError(str(self._trouble)) from error
        except ServiceError as error:
            self._note(str(error))
            raise
        except HTTPException:
            self._trouble = None
            raise
        self._trouble = None
        return done

    def _refuse_while_away(self) -> None:
        """Refuse while the log is unavailable; one label at a time tests whether it is back."""
        if self._recorder.trouble:
            raise ServiceError(self._recorder.trouble)
        back = self._recorder.written > self._written
        if self._trouble and not back and time.monotonic() < self._try_at:
            raise ServiceError(self._trouble)
        self._try_at = time.monotonic() + RETRY_SECONDS

    def _note(self, trouble: str) -> None:
        self._trouble, self._try_at = trouble, time.monotonic() + RETRY_SECONDS
        self._written = self._recorder.written

    def _picture(self, model: str, prediction_id: str) -> bytes:
        content = read_wanted_picture(self._log, model, prediction_id)
        if content is None:
            raise HTTPException(404, f"no picture of a prediction {prediction_id} that waits for its label")
        return content

    def _write(self, prediction_id: str, label: Label, source: str) -> Label | None:
        if not self._recorder.holds(prediction_id) and not self._log.knows(prediction_id):
            raise HTTPException(404, f"no prediction {prediction_id} in the log")
        return self._log.add_label(prediction_id, label.number, source, label.name)
