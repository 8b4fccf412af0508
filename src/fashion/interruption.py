"""Deferring SIGTERM and Ctrl-C until nothing would be left half done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

HELD_BACK = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold a signal back until the block ends; a second one, from somebody who insists, goes through.

    For database calls: one that is interrupted in a transaction keeps the database locked as long as its traceback
    lives, even for whatever must be written because of the interruption.

    Python runs signal handlers only in the main thread, so in other threads nothing is held back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []

    def hold_back(number: int, _: FrameType | None) -> None:
        if arrived:
            _restore(handlers)
            signal.raise_signal(number)
        arrived.append(number)

    handlers = {number: signal.getsignal(number) for number in HELD_BACK}
    try:
        for number in HELD_BACK:
            signal.signal(number, hold_back)
        yield
    finally:
        _restore(handlers)
        for held in arrived:
            signal.raise_signal(held)


def _restore(handlers: dict[signal.Signals, "signal._HANDLER"]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
