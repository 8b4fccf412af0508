"""`fashion serve` as a process of `benchmarks.soak`, and how it ends when SIGTERM comes at some moment."""

import asyncio
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from numpy.typing import NDArray
from sqlalchemy import create_engine, text

from benchmarks.clients import Clients
from benchmarks.disturbances import Database, Server
from benchmarks.processes import answers, free_port
from fashion.paths import Project

READY_SECONDS = 120
INSIST_SECONDS = 60
"""After SIGTERM; a process that is still there by then is killed."""
LOST = re.compile(r"(\d+) predictions are lost")
SITUATIONS = ("while it starts", "under traffic", "database hung", "database stopped", "registry hung")
STARTING_SECONDS = 6.0


@dataclass(frozen=True)
class Serving:
    """A service that was started: its port, its process, and the file with its output."""

    port: int
    process: "subprocess.Popen[bytes]"
    output: Path

    @property
    def mebibytes(self) -> float:
        with suppress(psutil.NoSuchProcess):
            return float(psutil.Process(self.process.pid).memory_info().rss / (1 << 20))
        return 0.0

    @property
    def said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if answers(f"http://127.0.0.1:{self.port}/readyz"):
                return
            time.sleep(0.1)
        raise SystemExit(f"the service does not answer:\n{self.said}")


@contextmanager
def serving(project: Project, environment: Mapping[str, str], name: str) -> Iterator[Serving]:
    """Start the service; whatever is left of it at the end is killed."""
    port, output = free_port(), project.state / f"{name}.log"
    with output.open("wb") as file:
        process = subprocess.Popen(
            ["fashion", "serve", "--port", str(port)],
            cwd=project.root,
            env=os.environ | environment,
            start_new_session=True,
            stdout=file,
            stderr=file,
        )
    try:
        yield Serving(port, process, output)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ids_in(database: Database, table: str, column: str) -> set[str]:
    """Return the ids of predictions in a table of the log, whatever else there is in it."""
    engine = create_engine(database.url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        found = {str(one) for (one,) in connection.execute(text(f"SELECT {column} FROM {table}"))}  # noqa: S608
    engine.dispose()
    return found


def measure_endings(
    start: Callable[[str], AbstractContextManager[Serving]],
    database: Database,
    registry: Server,
    images: NDArray[Any],
    starts: int,
) -> list[dict[str, Any]]:
    """Return how long each start took to be gone, and what became of its predictions."""
    chance = random.Random(0)
    found = []
    for number in range(starts):
        situation = SITUATIONS[number % len(SITUATIONS)]
        with start("soak-ending") as service:
            one = asyncio.run(_end(service, situation, database, registry, Clients(service.port, images), chance))
        found.append(one)
        print(f"{situation}: gone after {one['seconds']:.1f} s, {one['answered']} predictions", flush=True)
    return found


async def _end(  # noqa: PLR0913, PLR0917 - all that a start meets
    service: Serving, situation: str, database: Database, registry: Server, clients: Clients, chance: random.Random
) -> dict[str, Any]:
    asking = []
    if situation == SITUATIONS[0]:
        await asyncio.sleep(chance.uniform(0, STARTING_SECONDS))
    else:
        await asyncio.to_thread(service.wait_until_ready)
        asking = [asyncio.create_task(client) for client in clients.all()]
        await asyncio.sleep(chance.uniform(1, 4))
        away = {
            "database hung": database.hang,
            "database stopped": database.stop,
            "registry hung": registry.hang,
        }
        if situation in away:
            await asyncio.to_thread(away[situation])
        if situation == "registry hung":
            asking.append(asyncio.create_task(clients.refresh()))
        await asyncio.sleep(chance.uniform(0, 4))
    seconds = await _gone_after(service, clients)
    await _stop(asking)
    for put_back in (database.resume, database.start, registry.resume):
        await asyncio.to_thread(put_back)
    in_log = await asyncio.to_thread(ids_in, database, "predictions", "id") if clients.notes.answered else set()
    return {
        "situation": situation,
        "seconds": seconds,
        "status": service.process.returncode,
        "answered": len(clients.notes.answered),
        "missing": len(clients.notes.answered - in_log),
        "said_to_be_lost": sum(int(count) for count in LOST.findall(service.said)),
        "late": clients.notes.late,
        "unexpected": clients.notes.unexpected,
    }


async def _gone_after(service: Serving, clients: Clients) -> float:
    """Return the seconds from SIGTERM to the end of the process, with its clients at it."""
    clients.notes.ending = True
    start = time.monotonic()
    service.process.terminate()
    while service.process.poll() is None and time.monotonic() - start < INSIST_SECONDS:
        await asyncio.sleep(0.01)
    return time.monotonic() - start


async def _stop(tasks: "list[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended
