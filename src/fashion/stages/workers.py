"""Who does what is wide: processes of this machine, or the workers of a cluster that FASHION_EXECUTOR names.

Processes rather than threads: for small pictures most of the time is spent in Python, where threads wait for each other
(28 x 28 pixels, two cores: 0.09 ms a picture with processes, 0.31 with threads, 0.21 with one).
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fashion.errors import SetupError
from fashion.settings import load_settings


@dataclass(frozen=True)
class Workers:
    """An executor, and how much it does at a time."""

    executor: Executor
    places: int


@contextmanager
def workers(read: Sequence[Path] = (), written: Sequence[Path] = ()) -> Iterator[Workers]:
    """Yield a process for each core, or the workers of the cluster. What waits when the block ends is not begun.

    Args:
        read: what the workers of a cluster must see.
        written: folders in which they must see what this process writes.

    Raises:
        ServiceError: the cluster is away, or one of its workers cannot do the work.
        SetupError: there is no Dask here.
    """
    if address := load_settings().executor:
        with cluster_workers(address, read, written) as found:
            yield found
    else:
        with processes() as pool:
            yield Workers(pool, cores())


@contextmanager
def cluster_workers(address: str, read: Sequence[Path], written: Sequence[Path]) -> Iterator[Workers]:
    """Yield the workers of the cluster at that address; raises what `workers` does."""
    try:
        from fashion.adapters.cluster import cluster  # noqa: PLC0415 - Dask is an extra, and takes half a second
    except ModuleNotFoundError as error:
        raise SetupError(
            f"FASHION_EXECUTOR is {address}, but Dask is not installed here. Install it: uv pip install --constraints "
            "requirements-dev.lock distributed"
        ) from error
    with cluster(address, read, written) as found:
        yield Workers(found, found.places)


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


def _start_worker() -> None:
    """Leave interrupts to the process that waits for this one, and end when it does, even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
