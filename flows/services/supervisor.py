"""Prefect, MLflow and a worker under one supervisor, for a person to work with: `make up` and `make down`."""

import logging
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path

import psutil
from honcho.manager import Manager
from honcho.printer import Message, Printer

from fashion.cli.terminal import console
from fashion.errors import ServiceError
from fashion.leftovers import place
from fashion.locks import read_holder, try_hold
from fashion.paths import SERVICES_LOCK, Project
from flows.services.processes import (
    MLFLOW,
    PREFECT,
    WORKER,
    check_ports,
    prefect_address,
    service_commands,
    service_environments,
)
from flows.services.runs import end_runs

STOP_SECONDS = {WORKER: 60.0, PREFECT: 15.0, MLFLOW: 15.0}
"""How long a service may take to end when asked, before it is killed; the runs of the worker have as long again."""
STARTING_SECONDS = 5.0
"""How long it may take from the lock to the number of who has it, of whom `down` asks the end."""
LOG_BYTES = 5_000_000


class Log(Printer):  # type: ignore[misc]
    """Prints what the services say, and keeps it in a file for each."""

    def __init__(self, folder: Path) -> None:
        super().__init__(sys.stdout)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._files: dict[str, RotatingFileHandler] = {}

    def write(self, message: Message) -> None:
        # Whoever read it may be gone: a closed terminal, `| tee` that was ended. The services are ended all the same.
        with suppress(OSError):
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
        try:
            for leader in self._running([WORKER]).values():
                end_runs(leader, STOP_SECONDS[WORKER])
        finally:
            self._end([WORKER])
            self._end([PREFECT, MLFLOW])

    def _end(self, names: list[str]) -> None:
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + max(STOP_SECONDS[name] for name in names)
            signalled: set[str] = set()
            while self._are_left(names) and time.monotonic() < deadline:
                running = self._running(names)
                for name in running.keys() - signalled:
                    _signal_group(running[name], signal_number)
                signalled.update(running)
                time.sleep(0.1)

    def _are_left(self, names: Iterable[str]) -> bool:
        """Whether one has not ended; the loop may not have heard yet that it has started, and of its number."""
        return any("returncode" not in self._processes[name] for name in names if name in self._processes)

    def _running(self, names: Iterable[str]) -> dict[str, int]:
        """Process ids of those that have started and not ended."""
        known = {name: self._processes[name] for name in names if name in self._processes}
        return {name: found["pid"] for name, found in known.items() if "pid" in found and "returncode" not in found}


def up(project: Project) -> None:
    """Start everything and stay until Ctrl-C, SIGTERM or `down`.

    Raises:
        ServiceError: the services are up already, a port is taken, or one of the services has ended by itself.
    """
    with try_hold(_lock(project)) as lock:
        if lock is None:
            raise ServiceError("The services are up already. End them with: make down")
        # Before what takes a second: until then, `down` would ask whoever has the number of the last supervisor.
        lock.write({"run": "make up", "process": str(os.getpid()), "place": place()})
        check_ports(project)
        if PREFECT in service_commands(project):
            _require_authentication(project)
        supervisor = Supervisor(Log(project.state / "logs"))
        commands, environments = service_commands(project), service_environments(project)
        for name, command in commands.items():
            pid_file = shlex.quote(str(_pid_file(project, name)))
            line = f"echo $$ > {pid_file}; exec {shlex.join(command)}"
            supervisor.add_process(name, line, env=environments[name], cwd=str(project.root))
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # By nohup.
            signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))  # The terminal was closed.
        supervisor.loop()
        lock.write({})
    if supervisor.ended:
        raise ServiceError(f"{' and '.join(supervisor.ended)} ended, so all were ended; see {project.state / 'logs'}")


def down(project: Project) -> None:
    """End from elsewhere what `up` has started, and wait until it is gone.

    Raises:
        ServiceError: it does not end, or not from here.
    """
    asked, start = False, time.monotonic()
    while time.monotonic() < start + 2 * sum(STOP_SECONDS.values()):
        with try_hold(_lock(project)) as lock:
            if lock is not None:
                console.print("All services have ended." if asked else "Nothing runs.")
                return
        asks = _find_running(project)
        if asks and not asked:
            for ask_to_end in asks:
                ask_to_end()
            asked = True
        if not asks and time.monotonic() > start + STARTING_SECONDS:
            _kill_copies(project)
        time.sleep(0.2)
    raise ServiceError(f"The services do not end; see {project.state / 'logs'}")


def _find_running(project: Project) -> list[Callable[[], None]]:
    """Return calls that ask the supervisor to end, or, where it was killed, its services: copies of it have the lock.

    Numbers in files may be other programs' by now, and who has only just taken the lock has not written its own yet.
    """
    holder = read_holder(_lock(project))
    if holder.get("place", place()) != place():
        raise ServiceError("The services run on another host, or in another container; end them there")
    supervisor = int(holder.get("process", 0))
    if _has_lock(project, supervisor):
        return [partial(os.kill, supervisor, signal.SIGTERM)]
    files = [path for name in (WORKER, PREFECT, MLFLOW) if (path := _pid_file(project, name)).exists()]
    leaders = [int(path.read_text(encoding="utf-8") or 0) for path in files]
    return [
        partial(_signal_group, leader, signal.SIGTERM) for leader in leaders if _has_lock(project, leader, parent=True)
    ]


def _kill_copies(project: Project) -> None:
    """Kill copies of a killed supervisor whose services have ended: they wait for it to read what those wrote."""
    if not read_holder(_lock(project)):
        raise ServiceError("The services are just starting; try again: make down")
    for number in psutil.pids():
        if number != os.getpid() and _has_lock(project, number):
            os.kill(number, signal.SIGKILL)


def _has_lock(project: Project, number: int, *, parent: bool = False) -> bool:
    """Return whether a process, or its parent, has the lock's file open."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        process = psutil.Process(number)
        process = psutil.Process(process.ppid()) if parent else process
        return str(_lock(project).resolve()) in (file.path for file in process.open_files())
    return False


def _signal_group(leader: int, signal_number: int) -> None:
    try:
        os.killpg(leader, signal_number)
    except ProcessLookupError:
        return  # It ended by itself meanwhile.


def _require_authentication(project: Project) -> None:
    from flows.services.authentication import require_authentication

    path = require_authentication(project)
    where = "the environment" if os.environ.get("PREFECT_API_AUTH_STRING") else path
    console.print(
        f"{prefect_address()} asks once for a password, before any link to a run works: "
        f"PREFECT_API_AUTH_STRING in {where}"
    )


def _lock(project: Project) -> Path:
    return project.state / SERVICES_LOCK


def _pid_file(project: Project, name: str) -> Path:
    return project.state / f"{name}.pid"
