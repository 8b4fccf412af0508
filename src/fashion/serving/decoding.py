"""The threads that decode callers' pictures, with a limit on pixels at once, since each takes ten bytes or more."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar

from starlette.exceptions import HTTPException

from fashion.adapters.decoding import MOST_PIXELS

THREADS = 2
PATIENCE_SECONDS = 30.0
"""How long the last picture of a request may wait for its turn."""

P = ParamSpec("P")
T = TypeVar("T")


class Pictures:
    """Use it from one event loop, and close it."""

    def __init__(self, room: int = MOST_PIXELS, kept: bool = True) -> None:
        """Allow `room` pixels to be decoded at once; a larger picture is decoded alone.

        Args:
            kept: whether the prediction log keeps pictures.
        """
        self.kept = kept
        self._threads = ThreadPoolExecutor(THREADS, "pictures")
        self._room = self._free = room
        self._turn, self._changed = asyncio.Lock(), asyncio.Condition()

    async def run(self, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*arguments, **options))

    @asynccontextmanager
    async def room(self, pixels: int, deadline: float) -> AsyncIterator[None]:
        """Wait for room for a picture, first come, first served; `deadline` is a time of the event loop.

        Raises:
            HTTPException: 503, there was no room in time.
        """
        wanted = min(pixels, self._room)
        await self._take(wanted, deadline)
        try:
            yield
        finally:
            async with self._changed:
                self._free += wanted
                self._changed.notify_all()

    async def _take(self, wanted: int, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline), self._turn, self._changed:
                await self._changed.wait_for(lambda: self._free >= wanted)
                self._free -= wanted
        except TimeoutError as error:
            raise HTTPException(503, "too many pictures are being decoded already", {"Retry-After": "5"}) from error

    def close(self) -> None:
        """Start no further picture, and wait for none: the largest ones take seconds."""
        self._threads.shutdown(wait=False, cancel_futures=True)
