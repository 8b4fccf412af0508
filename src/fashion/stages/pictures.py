"""Stored pictures become images of the dataset, on all cores.

Processes rather than threads: for small pictures most of the time is spent in Python, where threads wait for each other
(28 x 28 pixels, two cores: 0.09 ms a picture with processes, 0.31 with threads, 0.21 with one).
"""

import io
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from typing import TypeVar

import numpy as np

from fashion.adapters.decoding import read_picture, readable_name
from fashion.adapters.shards import Stored
from fashion.arrays import Bytes
from fashion.errors import DataError
from fashion.images.photos import Form, see

WORTHWHILE = 5
"""Parts from which on processes are started: they take a second to start."""
SHOWN = 3
"""Pictures that cannot be used that a message names."""

Part = TypeVar("Part")
Result = TypeVar("Result")


def see_stored(parts: Iterable[list[Stored]], form: Form) -> Iterator[Bytes]:
    """Yield the images (n, height, width, channels) of each part, in their order.

    Raises:
        DataError: pictures cannot be used; the message names the first of them, and says how many there are.
    """
    refused: list[str] = []
    for images, reasons in on_all_cores(partial(_see_part, form=form), parts):
        refused += reasons
        if not refused:
            yield images
    if refused:
        rest = [f"and {len(refused) - SHOWN:,} more"] if len(refused) > SHOWN else []
        raise DataError("; ".join([*refused[:SHOWN], *rest]))


def see_picture(content: bytes, name: str, form: Form) -> Bytes:
    """Return a picture as an image (height, width, channels).

    A picture in the form of an image is one: what was isolated is not isolated once more.

    Raises:
        DataError: it cannot be decoded, or nothing stands out where an object is to be isolated.
    """
    pixels = read_picture(io.BytesIO(content), name).pixels
    if pixels.reshape(*pixels.shape[:2], -1).shape == form.shape:
        return pixels.reshape(form.shape)
    try:
        return see(pixels, form).image
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def on_all_cores(work: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
    """Yield what `work` makes of each part, in their order; a few parts are in memory at a time.

    Args:
        work: a function of a module, perhaps with arguments: processes are given its name.

    Raises:
        DataError: a process was killed.
    """
    parts = iter(parts)
    first = list(islice(parts, WORTHWHILE))
    if len(first) < WORTHWHILE:
        yield from map(work, first)
        return
    most_waiting, waiting = 2 * cores(), deque[Future[Result]]()
    with processes() as pool:
        try:
            for part in chain(first, parts):
                waiting.append(pool.submit(work, part))
                if len(waiting) > most_waiting:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise DataError("A process that decodes pictures was killed, perhaps because memory ran out") from error


@contextmanager
def processes() -> Iterator[ProcessPoolExecutor]:
    """Yield a pool with a process for each core; what is at work when the block ends is finished, nothing is begun."""
    # Started anew: a copy of this process would have its threads' locks, but not its threads.
    pool = ProcessPoolExecutor(cores(), multiprocessing.get_context("spawn"), _start_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _see_part(part: list[Stored], form: Form) -> tuple[Bytes, list[str]]:
    """Return the images, and why pictures cannot be used; these have no image."""
    images, refused = [], []
    for stored in part:
        name = readable_name(stored.name)
        try:
            if stored.content is None:
                raise DataError(f"{name}: there are no bytes; a shard must contain its pictures, not only name them")
            images.append(see_picture(stored.content, name, form))
        except DataError as error:
            refused.append(str(error))
    return np.array(images, np.uint8).reshape(-1, *form.shape), refused


def _start_worker() -> None:
    """Leave interrupts to the process that waits for this one, and end when it does, even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
