"""Who trains: processes of this machine, one after the other, or the workers of a cluster, several at a time."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Event
from typing import Any

from fashion.experiments.remote import train_remotely
from fashion.experiments.trial import Job, OnEpoch, Outcome, train_apart
from fashion.paths import Project
from fashion.settings import load_settings
from fashion.stages.workers import Workers, cluster_workers


class Trainers:
    """Trains a job, and says how many can be at work at a time."""

    def __init__(self, cluster: Workers | None = None) -> None:
        self._cluster = cluster
        self._over = Event()
        self.places = cluster.places if cluster else 1

    def train(self, job: Job, on_epoch: OnEpoch) -> Outcome:
        """Train as `train_apart` does, with the same result.

        Raises:
            KeyboardInterrupt: whatever it was for has ended meanwhile.
        """
        if self._cluster is None:
            return train_apart(job, on_epoch)
        return train_remotely(self._cluster.executor, job, on_epoch, self._over)

    @contextmanager
    def side_by_side(self) -> "Iterator[SideBySide]":
        """Yield what runs functions that train, as many at a time as there are places; all have ended afterwards."""
        if self._cluster is None:
            yield SideBySide(None, 1)
            return
        with ThreadPoolExecutor(self.places) as threads:
            running = SideBySide(threads, self.places)
            try:
                yield running
                running.wait_for_all()
            except BaseException:
                self._over.set()
                raise


class SideBySide:
    """Functions that are at work in threads, each waiting for a worker; without threads, one after the other."""

    def __init__(self, threads: ThreadPoolExecutor | None, places: int) -> None:
        self._threads, self._places = threads, places
        self._at_work: set[Future[None]] = set()

    def begin(self, function: Callable[..., None], *given: Any) -> None:
        """Begin a function, and return when there is a place for the next one; raises what one of them raised."""
        if self._threads is None:
            function(*given)
            return
        self._at_work.add(self._threads.submit(function, *given))
        while len(self._at_work) >= self._places:
            self._wait()

    def wait_for_all(self) -> None:
        while self._at_work:
            self._wait()

    def _wait(self) -> None:
        done, self._at_work = wait(self._at_work, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()


@contextmanager
def trainers(project: Project) -> Iterator[Trainers]:
    """Yield the workers of the cluster that FASHION_EXECUTOR names; without one, what trains on this machine.

    Raises:
        ServiceError: the cluster is away, or one of its workers cannot train.
        SetupError: there is no Dask here.
    """
    if not (address := load_settings().executor):
        yield Trainers()
        return
    with cluster_workers(address, read=[project.dataset], written=[project.state]) as found:
        yield Trainers(found)
