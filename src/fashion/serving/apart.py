"""Separate threads for calls that may never return: to a database or a registry that does not respond."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def run_apart(work: Callable[[], T]) -> T:
    """Run `work` in its own thread, outside any pool; nothing waits for it at shutdown."""
    answer: Future[T] = Future()
    answer.set_running_or_notify_cancel()  # A caller that gives up cannot cancel it.

    def run() -> None:
        try:
            answer.set_result(work())
        except Exception as error:  # noqa: BLE001, the caller gets it
            answer.set_exception(error)

    threading.Thread(target=run, name="apart", daemon=True).start()
    return await asyncio.wrap_future(answer)
