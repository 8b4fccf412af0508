"""Separate threads for calls that may never return: to a database or a registry that does not respond."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def run_apart(work: Callable[[], T]) -> T:
    """Run `work` in its own thread, outside any pool; nothing waits for it at shutdown."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if answer.done():
            return  # The caller has given up.
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001, the caller gets it
            failure = error
        with suppress(RuntimeError):  # The loop has ended in the meantime.
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name="apart", daemon=True).start()
    return await answer
