"""A real cluster of Dask for tests: a scheduler and workers, each a process of its own, ended by their ids."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fashion.adapters.cluster import connect
from tests.servers import PATIENCE_SECONDS, end, reserved_port

DASK = Path(sys.executable).parent / "dask"


class Cluster:
    """Processes of one scheduler's cluster. Workers have one thread, and nobody starts one again that was killed."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address, self._folder = address, folder
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2])
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def start_worker(self, name: str, variables: Mapping[str, str] | None = None) -> None:
        """Start a worker of that name, unless it is at work."""
        if name in self.workers and self.workers[name].poll() is None:
            return
        options = ("--nthreads", "1", "--no-nanny", "--name", name, "--local-directory", str(self._folder / name))
        self.workers[name] = self._start("worker", self.address, *options, variables=variables)

    def wait(self, count: int) -> None:
        """Wait until there are so many workers."""
        with connect(self.address, PATIENCE_SECONDS) as client:
            client.wait_for_workers(count, timeout=PATIENCE_SECONDS)

    def busy(self) -> list[str]:
        """The names of the workers that have work."""
        with connect(self.address, PATIENCE_SECONDS) as client:
            names = {address: about["id"] for address, about in client.scheduler_info()["workers"].items()}
            return [str(names[address]) for address, work in client.processing().items() if work and address in names]

    def end_all(self) -> None:
        for process in (*self.workers.values(), self.scheduler):
            end(process)

    def _start(self, kind: str, *options: str, variables: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
        command: Sequence[str | Path] = (DASK, kind, *options, "--no-dashboard")
        # Its own log would be a pipe that nobody reads; the home folder of a test goes before the cluster does.
        environment = os.environ | {"HOME": str(self._folder), "DASK_CONFIG": str(self._folder)} | dict(variables or {})
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster without workers."""
    with reserved_port() as port:
        cluster = Cluster(f"tcp://127.0.0.1:{port}", folder)
        try:
            yield cluster
        finally:
            cluster.end_all()
