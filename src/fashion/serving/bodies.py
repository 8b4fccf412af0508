"""Limits on request bodies as they arrive: a size and a time for each, and a total size for all."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive


@dataclass(frozen=True)
class BodyLimits:
    """The limits of one body, and of all together."""

    bytes: int = 8 << 20
    seconds: float = 60.0
    """From the end of the headers to the end of the body."""
    bytes_in_all: int = 128 << 20
    """Of all requests in progress."""

    @property
    def too_large(self) -> str:
        return f"the body must not exceed {self.bytes:,} bytes"


class Bodies:
    """Use it from one event loop."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits, self._held = limits, 0

    @contextmanager
    def bounded(self, receive: Receive) -> Iterator[Receive]:
        """Limit one request until it is answered; raise HTTPException 408, 413 or 503."""
        held, whole = 0, False
        deadline = asyncio.get_running_loop().time() + self._limits.seconds

        async def bounded() -> Message:
            nonlocal held, whole
            if whole:  # The next message is that the caller has disconnected.
                return await receive()
            message = await self._receive(receive, deadline)
            size = len(message.get("body", b""))
            whole = not message.get("more_body", False)
            held += size
            self._held += size
            self._check(held)
            return message

        try:
            yield bounded
        finally:
            self._held -= held

    async def _receive(self, receive: Receive, deadline: float) -> Message:
        try:
            async with asyncio.timeout_at(deadline):
                return await receive()
        except TimeoutError as error:
            words = f"the body did not arrive within {self._limits.seconds:g} seconds"
            raise HTTPException(408, words, {"Connection": "close"}) from error

    def _check(self, held: int) -> None:
        if held > self._limits.bytes:
            raise HTTPException(413, self._limits.too_large)
        if self._held > self._limits.bytes_in_all:
            raise HTTPException(503, "the bodies of all requests take too much memory", {"Retry-After": "1"})
