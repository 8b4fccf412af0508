"""Asking several tools at once, each in a thread of its own: one that is slow or away holds up none of the others."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from fashion.errors import FashionError, without_secrets

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The last answer of a tool, from now or from earlier."""

    content: T | None
    """None where it has never said anything."""
    trouble: str | None = None
    """Why there is none, or why it is not current."""
    age: float = 0.0
    """Age of the content in seconds; 0 if it is new."""


class Question(Generic[T]):
    """A question that one tool is asked again and again. Use it from one thread at a time.

    A tool that has not answered is not asked again until it has, so that it occupies a single thread.
    """

    def __init__(self, ask: Callable[[], T]) -> None:
        self._ask = ask
        self._pending: Future[T] | None = None
        self._begun = 0.0
        self._last: tuple[float, T] | None = None

    def begin(self) -> None:
        """Ask, unless the tool still owes an answer."""
        if self._pending is None or self._pending.done():
            self._pending, self._begun = Future(), time.monotonic()
            # A daemon, for which nothing waits at the end of the process.
            threading.Thread(target=self._work, args=(self._pending,), name="question", daemon=True).start()

    def answer(self, deadline: float) -> Answer[T]:
        """Wait until `deadline`, of `time.monotonic`, for what was asked by `begin`."""
        if self._pending is None:
            raise RuntimeError("nothing was asked")
        try:
            content = self._pending.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            return self._without(f"no answer for {time.monotonic() - self._begun:.1f} seconds")
        except FashionError as error:
            return self._without(str(error))
        except Exception as error:  # The others are shown, whatever a library raises.
            logger.exception("A part of the status cannot be shown")
            return self._without(without_secrets(f"{type(error).__name__}: {error}"))
        return Answer(content)

    def _without(self, trouble: str) -> Answer[T]:
        """Return what was said before, if anything."""
        if self._last is None:
            return Answer(None, trouble)
        moment, content = self._last
        return Answer(content, trouble, time.monotonic() - moment)

    def _work(self, pending: "Future[T]") -> None:
        try:
            content = self._ask()
        except Exception as error:  # noqa: BLE001, whoever waits gets it
            pending.set_exception(error)
        else:
            self._last = time.monotonic(), content
            pending.set_result(content)
