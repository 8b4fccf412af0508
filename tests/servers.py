"""Real servers for tests, on ports of loopback that are theirs alone, ended by their id."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import psycopg
import pytest

from fashion.arrays import Bytes
from fashion.paths import Project

if TYPE_CHECKING:
    from prefect.client.schemas.objects import TaskRun

PATIENCE_SECONDS = 600
"""How long anything is waited for: so that a hang ends, and no busy machine is taken for one."""


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port that nobody else is given during the block, and on which a program that is told its number can listen.

    Bound and not listened on, it is handed out to nobody and refuses connections; a server's own socket may be bound to
    it all the same, as both say SO_REUSEADDR. That holds on Linux; elsewhere the port is merely free to begin with.
    """
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", 0))
        port = int(place.getsockname()[1])
        if sys.platform != "linux":
            place.close()
        yield port


def start_mlflow(folder: Path, port: int) -> tuple[str, subprocess.Popen[bytes]]:
    """An MLflow server that keeps everything in `folder`: its address and its process, not yet ready."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "served")]
    process = subprocess.Popen(
        [*command, *store], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return f"http://127.0.0.1:{port}", process


def is_well(address: str) -> bool:
    """Without the certificates, which httpx would read for every question, in 40 ms of the processor."""
    try:
        return httpx.get(address, timeout=5, verify=False).is_success
    except httpx.TransportError:
        return False


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    wait_until(lambda: is_well(f"{address}/health"), process, pause=0.2)


def end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Service:
    """`fashion serve` and its address."""

    def __init__(self, project: Project, port: int, log: Path) -> None:
        self.address = f"http://127.0.0.1:{port}"
        command = [Path(sys.executable).parent / "fashion", "serve", "--port", str(port)]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=project.root, stdout=output, stderr=output, start_new_session=True
            )
        try:
            wait_until(lambda: is_well(f"{self.address}/readyz"), self.process, pause=0.1)
        except AssertionError as error:
            raise AssertionError(f"fashion serve: {error}\n{log.read_text()}") from error

    def get(self, path: str) -> Any:
        return httpx.get(self.address + path, timeout=PATIENCE_SECONDS).json()

    def ask(self, images: Bytes) -> httpx.Response:
        return httpx.post(f"{self.address}/predict", json={"images": images[..., 0].tolist()}, timeout=PATIENCE_SECONDS)

    def end(self, signal_number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal_number)
        return self.process.wait(timeout=PATIENCE_SECONDS)


@contextmanager
def postgresql() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A PostgreSQL of the test's own: its address and its process. The test is skipped where none is installed."""
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), *map(Path, os.get_exec_path())]
    programs = {name: shutil.which(name, path=os.pathsep.join(map(str, folders))) for name in ("initdb", "postgres")}
    if not all(programs.values()):
        pytest.skip("no PostgreSQL here; install it with: apt-get install postgresql")
    # It refuses to run as root, and another user may not look into the test's own folder.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="fashion-postgresql-"))
    try:
        if user:
            shutil.chown(folder, user)
        initdb = [programs["initdb"], "--pgdata", folder / "data", "--username", "test", "--auth", "trust", "--no-sync"]
        subprocess.run(initdb, user=user, cwd=folder, check=True, capture_output=True, text=True)
        with reserved_port() as port:
            where = ["-D", folder / "data", "-p", str(port), "-k", folder, "-h", "127.0.0.1", "-F"]
            quiet = subprocess.DEVNULL
            process = subprocess.Popen(
                [programs["postgres"], *where], user=user, start_new_session=True, stdout=quiet, stderr=quiet
            )
            try:
                address = f"postgresql://test@127.0.0.1:{port}/postgres"
                wait_until(lambda: takes_connections(address), process, pause=0.1)
                yield address, process
            finally:
                end(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def takes_connections(address: str) -> bool:
    """PostgreSQL listens some time before it answers."""
    try:
        psycopg.connect(address).close()
    except psycopg.OperationalError:
        return False
    return True


def wait_until(
    condition: Callable[[], Any], process: "subprocess.Popen[Any] | None" = None, pause: float = 0.02
) -> Any:
    """What the condition gave when it was first true; looked at after each pause, in seconds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert process is None or process.poll() is None, "it ended meanwhile"
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(pause)
    return found


def read_task_runs(flow_run: UUID) -> list["TaskRun"]:
    """The task runs of a flow run that is over, as the Prefect server of `PREFECT_API_URL` knows them, in order.

    It learns of them from a queue of events, of a run first and of its state then: all of them are known once a task of
    our own that came later is.
    """
    from prefect import get_client, task
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, TaskRunFilter, TaskRunFilterId

    later = task(lambda: None, name="later")(return_state=True).state_details.task_run_id
    with get_client(sync_client=True) as client:
        known = TaskRunFilter(id=TaskRunFilterId(any_=[later]))
        wait_until(lambda: any(map(is_over, client.read_task_runs(task_run_filter=known))))
        runs = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run])))
    return sorted((run for run in runs if run.id != later), key=lambda run: run.start_time)


def is_over(run: "TaskRun") -> bool:
    return run.state is not None and run.state.is_final()
