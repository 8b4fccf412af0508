"""Threads of their own for what may never come back: a database or a registry that says nothing."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def run_apart(work: Callable[[], T]) -> T:
    """Run `work` in a thread that takes nobody's place in a pool, and for which nothing waits at the end."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if answer.done():
            return  # Whoever asked has given up.
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001, whoever asked gets it
            failure = error
        with suppress(RuntimeError):  # The loop has ended meanwhile.
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="apart", daemon=True).start()
    return await answer
