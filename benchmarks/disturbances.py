"""What `benchmarks.soak` disturbs: a database and a registry that can be stopped and hung, a disk that can be full."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Protocol

import psutil
import psycopg

from benchmarks.processes import answers

START_SECONDS = 120
"""For a server to answer on a busy machine."""
STOP_SECONDS = 10
DISK_BYTES = 1 << 30
"""Of the small disk; twenty minutes of predictions take half of it."""
BLOCK = bytes(1 << 20)
SMALLEST = 1 << 12
"""A page of memory: what is left is too little for anything."""


class Database(Protocol):
    """A prediction log that can be away: `stop` and `hang` are taken back by `start` and `resume`."""

    url: str

    def stop(self) -> None: ...
    def start(self) -> None: ...
    def hang(self) -> None: ...
    def resume(self) -> None: ...


class Server:
    """A server of one's own: its processes are stopped, started, and hung by SIGSTOP."""

    def __init__(self, command: Sequence[str | Path], answers: Callable[[], bool], user: str | None = None) -> None:
        self._command, self._answers, self._user = command, answers, user
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it unless it runs, again if it ends, and wait until it answers."""
        deadline = time.monotonic() + START_SECONDS
        quiet = subprocess.DEVNULL
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    self._command, user=self._user, start_new_session=True, stdout=quiet, stderr=quiet
                )
            if self._answers():
                return
            time.sleep(0.2)
        raise SystemExit(f"does not answer: {' '.join(map(str, self._command))}")

    def stop(self) -> None:
        """Ask it to end, and insist after a while."""
        if self._process is None:
            return
        self.resume()
        family = self._family()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()

    def hang(self) -> None:
        """Let it take questions and answer none."""
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def resume(self) -> None:
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def _family(self) -> list[psutil.Process]:
        """PostgreSQL puts each of its processes into a session of its own, so the group is not all of them."""
        if self._process is None or self._process.poll() is not None:
            return []
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        return []


class Postgresql(Server):
    """A cluster of its own in an empty folder, which it needs not be asked a password for."""

    def __init__(self, folder: Path, port: int) -> None:
        # It refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        initdb, postgres = _program("initdb"), _program("postgres")
        if user:
            shutil.chown(folder, user)
        options = ["--username", "soak", "--auth", "trust", "--no-sync"]
        subprocess.run(
            [initdb, "--pgdata", folder / "data", *options], user=user, cwd=folder, check=True, capture_output=True
        )
        self.url = f"postgresql://soak@127.0.0.1:{port}/postgres"
        where = ["-D", str(folder / "data"), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1"]
        super().__init__([postgres, *where, "-c", "max_wal_size=128MB"], self._answers_now, user)

    def _answers_now(self) -> bool:
        """It listens some time before it answers."""
        try:
            with closing(psycopg.connect(self.url, connect_timeout=5)):
                return True
        except psycopg.OperationalError:
            return False


class Sqlite:
    """A file; what is away is its lock, which another program holds."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "predictions.db"
        self.url = f"sqlite:///{self._path}"
        self._holder: sqlite3.Connection | None = None

    def stop(self) -> None:
        if self._holder is not None:
            return
        self._holder = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=60)
        self._holder.execute("BEGIN IMMEDIATE")

    def start(self) -> None:
        if self._holder is not None:
            self._holder.close()
            self._holder = None

    hang, resume = stop, start


class SmallDisk:
    """A folder on a disk of its own, where this user may mount one."""

    def __init__(self, folder: Path) -> None:
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "fashion-soak", str(folder)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        self.trouble = result.stderr.strip() if result.returncode else None
        """Why it is the disk of everything else, which is not to be filled."""
        self.folder, self._ballast = folder, folder / "ballast"

    def fill(self) -> None:
        """Leave no room, also not the room that others make meanwhile."""
        if self.trouble:
            return
        with self._ballast.open("ab", buffering=0) as file:
            size = len(BLOCK)
            while size >= SMALLEST:
                try:
                    file.write(BLOCK[:size])
                except OSError:
                    size //= 2

    def make_room(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        if not self.trouble:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@contextmanager
def small_disk() -> Iterator[SmallDisk]:
    """The disk, empty; gone at the end with what is on it."""
    # PostgreSQL's user may not look into everybody's folders.
    folder = Path(tempfile.mkdtemp(prefix="fashion-soak-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        disk = SmallDisk(folder)
        stack.callback(disk.unmount)
        yield disk


@contextmanager
def running_database(kind: str, folder: Path, port: int) -> Iterator[Database]:
    """An empty prediction log, in a database of its own."""
    if kind == "sqlite":
        file = Sqlite(folder)
        with ExitStack() as stack:
            stack.callback(file.start)
            yield file
        return
    server = Postgresql(folder, port)
    with ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        yield server


@contextmanager
def running_registry(folder: Path, database: Path, port: int) -> Iterator[tuple[str, Server]]:
    """An MLflow server in front of a database that holds versions already: its address, and the server."""
    address = f"http://127.0.0.1:{port}"
    where = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = ["--backend-store-uri", f"sqlite:///{database}", "--artifacts-destination", str(folder)]
    command = [sys.executable, "-m", "mlflow", "server", *where, *store]
    server = Server(command, lambda: answers(f"{address}/health"))
    with ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        yield address, server


def _program(name: str) -> str:
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *map(Path, os.get_exec_path())]
    found = shutil.which(name, path=os.pathsep.join(map(str, folders)))
    if found is None:
        raise SystemExit(f"no {name} here; install it with: apt-get install postgresql")
    return found
