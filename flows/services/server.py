"""A Prefect server for a single run, where none answers: it lives no longer than the process that needs it.

Prefect's own temporary server stays behind when that process is killed, and is stopped by Ctrl-C before the run could
say how it ended. This one watches its standard input, which closes when its parent is gone.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

import httpx
import uvicorn
from prefect import get_client
from prefect.context import refresh_global_settings_context
from prefect.exceptions import PrefectHTTPStatusError
from prefect.logging.handlers import APILogHandler
from prefect.settings import get_current_settings

from fashion.adapters.orchestration import unknown_here
from fashion.errors import ServiceError
from fashion.paths import Project
from flows.services.authentication import require_authentication

START_SECONDS = 300.0
STOP_SECONDS = 10.0
SETTINGS = {
    "PREFECT_UI_ENABLED": "false",
    "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": "",
    # Without a worker nothing is to be scheduled; leases of killed runs are still repossessed.
    "PREFECT_SERVER_SERVICES_FOREMAN_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
}


@contextmanager
def prefect_server(project: Project) -> Iterator[bool]:
    """A server that answers at PREFECT_API_URL for the duration of the block; True if it is a temporary one.

    Raises:
        ServiceError: the temporary server does not start or would be one of several on a database, or the one that
            answers does not know us.
    """
    project.state.mkdir(parents=True, exist_ok=True)
    address = os.environ.get("PREFECT_API_URL", "")
    if answers(address):
        refresh_global_settings_context()
        _check_authentication(address)
        yield False
        return
    _check_database(address)
    # No page stands behind a link that Prefect would show, and nothing at all once the run has ended.
    with _temporary_server(project) as temporary, _environment(PREFECT_API_URL=temporary, PREFECT_UI_URL=""):
        yield True


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Prefect's settings within the block; afterwards those from before."""
    before = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ.update(variables)
    refresh_global_settings_context()
    try:
        yield
    finally:
        deliver()
        for name in variables:
            del os.environ[name]
        os.environ.update(before)
        refresh_global_settings_context()


def deliver() -> None:
    """Send the last lines of the log and the last events, before the server goes to which this process sent them.

    Prefect's threads that send them end with it: they would go on sending to that server when there is another.
    """
    APILogHandler().flush()


def answers(address: str) -> bool:
    """Whether a Prefect server answers at this address (http://host:port/api)."""
    if not address:
        return False
    try:
        # Certificates would be read for every question, in 40 ms, while the server that starts needs the processor.
        return httpx.get(f"{address}/health", timeout=2, verify=address.startswith("https")).text == "true"
    except httpx.HTTPError:
        return False


def _check_database(address: str) -> None:
    """Of two servers on a database neither knows the other's leases: a killed training would keep the slot for ever."""
    refresh_global_settings_context()
    database = get_current_settings().server.database.connection_url
    if database and not database.get_secret_value().startswith("sqlite"):
        raise ServiceError(
            f"No Prefect server answers at {address or 'PREFECT_API_URL'}, and a run has no server of its own where "
            "PREFECT_SERVER_DATABASE_CONNECTION_URL names a database for all. Start the one server with: make up; "
            "elsewhere, set PREFECT_API_URL to its address"
        )


def _check_authentication(address: str) -> None:
    try:
        with get_client(sync_client=True) as client:
            client.hello()
    except PrefectHTTPStatusError as error:
        if error.response.status_code != httpx.codes.UNAUTHORIZED:
            raise
        raise unknown_here(address) from error


@contextmanager
def _temporary_server(project: Project) -> Iterator[str]:
    """The address of a server that uses the project's own database."""
    log = project.state / "logs" / "temporary-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    require_authentication(project)
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as output:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.services.server", str(listener.fileno())],
            cwd=Path(__file__).parents[2],
            env={**os.environ, **SETTINGS, "PREFECT_API_URL": address},
            pass_fds=[listener.fileno()],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _await_start(process, address, log)
        yield address
    finally:
        _stop(process)


def _await_start(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(address):
        if process.poll() is not None:
            # On a full disk the log is empty. Prefect does not get past a database whose making was interrupted.
            database = Path(os.environ.get("PREFECT_HOME", "~/.prefect")) / "prefect.db"
            raise ServiceError(
                f"The temporary Prefect server has ended; see {log}. "
                f"Is its disk full (df -h {quote(str(log.parent))})? "
                "Was its first start interrupted? Then its database is half made; remove it with: "
                f"rm {quote(str(database))}*"
            )
        if time.monotonic() > deadline:
            raise ServiceError(
                f"The temporary Prefect server does not answer at {address} after {START_SECONDS:.0f} s; see {log}. "
                "Is this machine very busy? The same command tries again."
            )
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main(descriptor: int) -> None:
    """Serve on an open socket until standard input closes."""
    from prefect.server.api.server import create_app

    threading.Thread(target=_end_with_parent, daemon=True).start()
    uvicorn.run(create_app(), fd=descriptor, log_level="error", lifespan="on")


def _end_with_parent() -> None:
    # os.read takes no lock of Python's standard input, which would upset the interpreter when it shuts down.
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]))
