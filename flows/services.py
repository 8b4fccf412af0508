"""What a person works with: Prefect, MLflow and a worker under one supervisor. `make up` and `make down`."""

import argparse
import logging
import os
import shlex
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import requests
from honcho.manager import Manager
from honcho.printer import Message, Printer

from fashion.cli.terminal import console, tell
from fashion.encoding import degrade_output
from fashion.errors import FashionError, ServiceError, without_secrets
from fashion.leftovers import place
from fashion.locks import read_holder, try_hold
from fashion.paths import Project
from fashion.settings import (
    LOOPBACK,
    apply_environment,
    headers_for_prefect,
    load_project,
    load_settings,
    tracking_uri,
)

POOL = "fashion"
OWN = ("127.0.0.1", "localhost")
"""By which a browser of this machine reaches the servers."""
PREFECT, MLFLOW, WORKER = "prefect", "mlflow", "worker"
START_SECONDS = 300.0
STOP_SECONDS = {WORKER: 60.0, PREFECT: 15.0, MLFLOW: 15.0}
"""How long a service may take to end when asked, before it is killed; the runs of the worker have as long again."""
LOG_BYTES = 5_000_000
IN_OWN_FOLDER = """import runpy, sys, tempfile
tempfile.tempdir = sys.argv.pop(1)
runpy.run_module("prefect", run_name="__main__", alter_sys=True)"""
"""Starts Prefect with a folder for temporary files. Its worker keeps its own in runner_storage in the common one, which
belongs to the first user of a machine who starts a worker: every other user's would fail. Runs keep the common one."""


class Log(Printer):  # type: ignore[misc]
    """Prints what the services say, and keeps it in a file for each."""

    def __init__(self, folder: Path) -> None:
        super().__init__(sys.stdout)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._files: dict[str, RotatingFileHandler] = {}

    def write(self, message: Message) -> None:
        super().write(message)
        if message.name not in self._files:
            path = self._folder / f"{message.name}.log"
            self._files[message.name] = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
        text = message.data.decode("utf-8", "replace") if isinstance(message.data, bytes) else message.data
        line = f"{message.time:%Y-%m-%d %H:%M:%S} {text.rstrip()}"
        self._files[message.name].emit(logging.makeLogRecord({"msg": line}))


class Supervisor(Manager):  # type: ignore[misc]
    """Ends the worker first and waits for it: a worker without its server does not end."""

    ended: tuple[str, ...] = ()
    """The services that had ended by themselves when the others were asked to."""
    _terminating: bool

    def terminate(self) -> None:
        """Called by the loop on a signal, and when a service has ended."""
        if self._terminating:
            return
        self._terminating = True
        self.ended = tuple(name for name, process in self._processes.items() if "returncode" in process)
        threading.Thread(target=self._wind_down).start()

    def kill(self) -> None:
        """The loop calls this five seconds after a service has ended; `_wind_down` has more patience."""

    def _wind_down(self) -> None:
        for leader in self._running([WORKER]).values():
            _end_runs(leader)
        self._end([WORKER])
        self._end([PREFECT, MLFLOW])

    def _end(self, names: list[str]) -> None:
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + max(STOP_SECONDS[name] for name in names)
            signalled: set[str] = set()
            while (running := self._running(names)) and time.monotonic() < deadline:
                for name in running.keys() - signalled:
                    _signal_group(running[name], signal_number)
                signalled.update(running)
                time.sleep(0.1)

    def _running(self, names: Iterable[str]) -> dict[str, int]:
        """Process ids of those that have started and not ended."""
        known = {name: self._processes[name] for name in names if name in self._processes}
        return {name: found["pid"] for name, found in known.items() if "pid" in found and "returncode" not in found}


def _end_runs(worker: int) -> None:
    """Cancel the flow runs of a worker, and wait: asked to end, the worker would kill them and leave them `Running`."""
    with suppress(psutil.NoSuchProcess):
        runs = {child.environ()["PREFECT__FLOW_RUN_ID"]: child for child in psutil.Process(worker).children()}
        for run, child in runs.items():
            if not _set_state(run, "CANCELLING"):
                child.terminate()
        psutil.wait_procs(list(runs.values()), timeout=STOP_SECONDS[WORKER])
        for run in runs:
            _set_state(run, "CANCELLED")


def _set_state(run: str, state: str) -> bool:
    """Whether the server took it; it may be gone already."""
    content = {"state": {"type": state, "message": "The services were asked to end."}}
    try:
        address = f"{_prefect_address()}/api/flow_runs/{run}/set_state"
        return requests.post(address, json=content, headers=headers_for_prefect(), timeout=10).ok
    except requests.RequestException:
        return False


def up(project: Project) -> None:
    """Start everything and stay until Ctrl-C, SIGTERM or `down`.

    Raises:
        ServiceError: the services are up already, a port is taken, or one of the services has ended by itself.
    """
    with try_hold(_lock(project)) as lock:
        if lock is None:
            raise ServiceError("The services are up already. End them with: make down")
        _check_ports(project)
        if PREFECT in _commands(project):
            _require_authentication(project)
        lock.write({"run": "make up", "process": str(os.getpid()), "place": place()})
        supervisor = Supervisor(Log(project.state / "logs"))
        commands, variables = _commands(project), _variables(project)
        for name, command in commands.items():
            pid_file = shlex.quote(str(_pid_file(project, name)))
            line = f"echo $$ > {pid_file}; exec {shlex.join(command)}"
            supervisor.add_process(name, line, env=variables[name], cwd=str(project.root))
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))  # The terminal was closed.
        supervisor.loop()
    if supervisor.ended:
        raise ServiceError(f"{' and '.join(supervisor.ended)} ended, so all were ended; see {project.state / 'logs'}")


def down(project: Project) -> None:
    """End from elsewhere what `up` has started, and wait until it is gone.

    Raises:
        ServiceError: it does not end, or not from here.
    """
    with try_hold(_lock(project)) as lock:
        if lock is not None:
            console.print("Nothing runs.")
            return
    _ask_to_end(project)
    deadline = time.monotonic() + 2 * sum(STOP_SECONDS.values())
    while time.monotonic() < deadline:
        with try_hold(_lock(project)) as lock:
            if lock is not None:
                console.print("All services have ended.")
                return
        time.sleep(0.2)
    raise ServiceError(f"The services do not end; see {project.state / 'logs'}")


def _ask_to_end(project: Project) -> None:
    """Ask the supervisor; where it was killed, its services still hold the lock and are asked one after the other."""
    holder = read_holder(_lock(project))
    if holder.get("place", place()) != place():
        raise ServiceError("The services run on another host, or in another container; end them there")
    try:
        os.kill(int(holder["process"]), signal.SIGTERM)
    except ProcessLookupError:
        for name in (WORKER, PREFECT, MLFLOW):
            if (path := _pid_file(project, name)).exists():
                _signal_group(int(path.read_text(encoding="utf-8")), signal.SIGTERM)


def work(project: Project) -> None:
    """Wait for the servers, set them up, say where they are, and become the worker. A service of `up`."""
    _await("Prefect", f"{_prefect_address()}/api/health")
    if _is_local(tracking_uri(project)):
        _await("MLflow", f"{_mlflow_address(project)}/health")
    _set_up(project)
    console.print(f"Prefect  {_prefect_address()}\nMLflow   {without_secrets(_mlflow_address(project))}")
    console.print("Start a training with: prefect deployment run 'training/default' --watch")
    folder = project.state / "prefect" / "tmp"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    start = ["worker", "start", "--pool", POOL, "--type", "process", "--name", POOL]
    worker = [sys.executable, "-c", IN_OWN_FOLDER, str(folder), *start]
    os.execv(worker[0], worker)  # noqa: S606, to be one process with the worker: it gets the signals


def _commands(project: Project) -> dict[str, list[str]]:
    """What runs here: the worker always, the servers unless they are elsewhere."""
    prefect, uri = urlsplit(_prefect_address()), tracking_uri(project)
    commands = {}
    if prefect.hostname in LOOPBACK:
        commands[PREFECT] = _python("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(prefect.port))
    if _is_local(uri):
        where = ["--host", "127.0.0.1", "--port", str(load_settings().mlflow_port), "--workers", "1"]
        artifacts = ["--artifacts-destination", str(project.state / "mlflow")]
        commands[MLFLOW] = _python("mlflow", "server", *where, *artifacts, "--uvicorn-opts", "--log-level warning")
    commands[WORKER] = _python("flows.services", "work")
    return commands


def _variables(project: Project) -> dict[str, dict[str, str]]:
    """The environment of each service: who may ask the servers, and what `ps` must not show to other users.

    A page is known by its origin; MLflow would take every Host that begins like a private address (10.evil.example).
    """
    origins = ",".join(f"http://{host}:{urlsplit(_prefect_address()).port}" for host in OWN)
    hosts = ",".join(f"{host}:{load_settings().mlflow_port}" for host in OWN)
    return {
        PREFECT: {"PREFECT_SERVER_CORS_ALLOWED_ORIGINS": origins} | os.environ,
        MLFLOW: {"MLFLOW_SERVER_ALLOWED_HOSTS": hosts, **os.environ, "MLFLOW_BACKEND_STORE_URI": tracking_uri(project)},
        WORKER: dict(os.environ),
    }


def _require_authentication(project: Project) -> None:
    from flows.authentication import require_authentication

    path = require_authentication(project)
    where = "the environment" if os.environ.get("PREFECT_API_AUTH_STRING") else path
    console.print(
        f"{_prefect_address()} asks once for a password, before any link to a run works: "
        f"PREFECT_API_AUTH_STRING in {where}"
    )


def _python(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


def _set_up(project: Project) -> None:
    """Janitor, work pool, concurrency limit and deployments; what is there stays as it is."""
    from prefect import get_client

    from flows.deployments import deploy
    from flows.janitor import crash_dead_runs
    from flows.pool import create_pool
    from flows.slot import create_limit

    with get_client(sync_client=True) as client:
        create_limit(client)
        crash_dead_runs(client)
        create_pool(client, POOL)
        deploy(project, client)


def _check_ports(project: Project) -> None:
    """Before anything starts, so that nothing is half up."""
    ports = {PREFECT: (urlsplit(_prefect_address()).port, "PREFECT_API_URL")}
    ports |= {MLFLOW: (load_settings().mlflow_port, "FASHION_MLFLOW_PORT")}
    for name in _commands(project).keys() & ports.keys():
        port, variable = ports[name]
        try:
            socket.create_server(("127.0.0.1", port or 80)).close()
        except OSError as error:
            raise ServiceError(
                f"Port {port} for {name} is taken ({error.strerror}). End the program that listens there, or choose "
                f"another port by {variable} (in .env or the environment)."
            ) from error


def _await(name: str, address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_well(address):
        if time.monotonic() > deadline:
            raise ServiceError(f"{name} does not answer at {address} after {START_SECONDS:.0f} s")
        time.sleep(0.2)


def _is_well(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).ok
    except requests.RequestException:
        return False


def _prefect_address() -> str:
    return os.environ.setdefault("PREFECT_API_URL", "http://127.0.0.1:4200/api").removesuffix("/api")


def _mlflow_address(project: Project) -> str:
    uri = tracking_uri(project)
    return f"http://127.0.0.1:{load_settings().mlflow_port}" if _is_local(uri) else uri


def _is_local(uri: str) -> bool:
    """Whether MLflow's store is a database that a server here can show, and not a server itself."""
    return not uri.startswith(("http://", "https://"))


def _lock(project: Project) -> Path:
    return project.state / "services.lock"


def _pid_file(project: Project, name: str) -> Path:
    return project.state / f"{name}.pid"


def _signal_group(leader: int, signal_number: int) -> None:
    try:
        os.killpg(leader, signal_number)
    except ProcessLookupError:
        return  # It ended by itself meanwhile.


def main() -> None:
    actions = {"up": up, "down": down, "work": work}
    parser = argparse.ArgumentParser(prog="python -m flows.services", description=__doc__)
    parser.add_argument("action", choices=actions)
    action = actions[parser.parse_args().action]
    degrade_output()
    try:
        project = load_project()
        apply_environment(project)
        action(project)
    except FashionError as error:
        tell(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
