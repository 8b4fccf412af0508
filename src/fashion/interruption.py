"""Being asked to end, by SIGTERM or Ctrl-C, only where nothing is left half done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

HELD_BACK = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold a signal back until the block is left; a second one, from somebody who insists, goes through.

    For calls of a database: one that is torn out of a transaction keeps the database locked for as long as its
    traceback lives, and with it for whatever is to be written because of the interruption.

    Python runs signal handlers in the main thread alone, so in other threads nothing is held back.
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
