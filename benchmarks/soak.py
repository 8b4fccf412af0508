"""Soaks `fashion serve` in traffic and trouble; writes benchmarks/soak.json and soak.md, exits 1 on a broken promise.

python -m benchmarks.soak --minutes 20 --database both      # about fifty minutes, after: make run

The service is the real one, with two versions in a registry that is an MLflow server, and its log in a database of its
own on a small disk. `benchmarks.clients` ask, `benchmarks.disturbances` happen in cycles; the first is the warm-up. At
last it is started ten times and ended by SIGTERM at some moment (`benchmarks.endings`).
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from benchmarks.clients import Clients
from benchmarks.disturbances import Database, Server, SmallDisk, running_database, running_registry, small_disk
from benchmarks.endings import Serving, measure_endings, serving
from benchmarks.processes import free_port
from benchmarks.promises import NAMES, broken_promises, describe, render
from benchmarks.results import ROOT, machine, save
from benchmarks.serving import prepare_registry, registry
from fashion.paths import Project

CYCLE_MINUTES = 4
STARTS = 10
START_MINUTES = 0.5
"""Of one start, until it is ready, has traffic and is gone."""
FIGURES = ("predictions", "log_written", "log_lost", "swaps")
STEPS = (
    (0.05, "another champion"),
    (0.10, "database stopped"),
    (0.30, "database started"),
    (0.35, "another champion"),
    (0.40, "database hung"),
    (0.52, "database resumed"),
    (0.56, "another champion"),
    (0.60, "disk filled"),
    (0.70, "disk emptied"),
    (0.74, "registry stopped"),
    (0.82, "registry started"),
    (0.86, "registry hung"),
    (0.93, "registry resumed"),
    (0.96, "another champion"),
)
"""Of a cycle: when, as its share, and what."""


@dataclass
class Soak:
    """One run against one database."""

    database: Database
    registry: Server
    disk: SmallDisk
    serving: Serving
    clients: Clients
    move_alias: Callable[[str], object]
    minutes: float
    champion: int = 1
    now: str = "nothing"
    """What happened last."""
    mebibytes: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since the start, resident memory."""
    figures: dict[str, int] = field(default_factory=dict)
    """What the service counted in the end."""

    @property
    def cycles(self) -> int:
        return max(1, round(self.minutes / CYCLE_MINUTES))

    async def run(self) -> None:
        """Traffic, until the time is over and every answer has come."""
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(self._watch(start)), group.create_task(self._report(start))]
            asking = [group.create_task(client) for client in self.clients.all()]
            await self._disturb(start)
            self.clients.stopping = True
            await asyncio.wait(asking)
            await self._drain()
            self.figures = {name: await self.clients.figure(f"fashion_{name}_total") for name in FIGURES}
            for task in watching:
                task.cancel()

    async def _disturb(self, start: float) -> None:
        seconds = 60 * self.minutes / self.cycles
        for cycle in range(self.cycles):
            ends = [share for share, _ in STEPS[1:]] + [1.0]
            for (share, name), end in zip(STEPS, ends, strict=True):
                await _sleep_until(start + seconds * (cycle + share))
                self.now = name
                await self._actions()[name]()
                if name == "database stopped" and cycle in (0, self.cycles - 1):
                    await self._overflow(start + seconds * (cycle + end))
        await _sleep_until(start + 60 * self.minutes)

    def _actions(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        work = {
            "database stopped": self.database.stop,
            "database started": self.database.start,
            "database hung": self.database.hang,
            "database resumed": self.database.resume,
            "disk filled": self.disk.fill,
            "disk emptied": self._make_room,
            "registry started": self.registry.start,
        }
        asked = {
            "registry stopped": self.registry.stop,
            "registry hung": self.registry.hang,
            "registry resumed": self.registry.resume,
            "another champion": self._change_champion,
        }
        apart = {name: partial(asyncio.to_thread, do) for name, do in work.items()}
        return apart | {name: partial(self._do_and_refresh, do) for name, do in asked.items()}

    def _make_room(self) -> None:
        """PostgreSQL ends when it cannot write."""
        self.disk.make_room()
        self.database.start()

    def _change_champion(self) -> None:
        self.champion = 3 - self.champion
        self.move_alias(str(self.champion))

    async def _do_and_refresh(self, do: Callable[[], None]) -> None:
        await asyncio.to_thread(do)
        await self.clients.refresh()

    async def _overflow(self, until: float) -> None:
        """Ask for more predictions than may wait for their log."""
        lost = await self.clients.figure("fashion_log_lost_total")
        while time.monotonic() < until and await self.clients.figure("fashion_log_lost_total") == lost:
            await self.clients.flood()

    async def _drain(self) -> None:
        deadline = time.monotonic() + 60
        while await self.clients.figure("fashion_log_waiting") and time.monotonic() < deadline:
            await asyncio.sleep(0.2)

    async def _watch(self, start: float) -> None:
        while True:
            self.mebibytes.append((time.monotonic() - start, self.serving.mebibytes))
            await asyncio.sleep(0.5)

    async def _report(self, start: float) -> None:
        while True:
            await asyncio.sleep(30)
            notes, minutes = self.clients.notes, (time.monotonic() - start) / 60
            requests = sum(map(len, notes.seconds.values()))
            print(
                f"{minutes:5.1f} of {self.minutes:g} minutes: {requests:,} requests, {len(notes.answered):,} answers, "
                f"{len(notes.late)} late, {len(notes.unexpected)} wrong, {self.mebibytes[-1][1]:.0f} MiB; {self.now}",
                flush=True,
            )


async def _sleep_until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20, help="Of traffic, for each database.")
    parser.add_argument("--database", choices=(*NAMES, "both"), default="both")
    parser.add_argument("--starts", type=int, default=STARTS, help="That are ended by SIGTERM.")
    arguments = parser.parse_args()
    # As Ctrl-C does, so that nothing is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    kinds = list(NAMES) if arguments.database == "both" else [arguments.database]
    forecast = len(kinds) * (arguments.minutes + 2 + START_MINUTES * arguments.starts)
    print(f"About {forecast:.0f} minutes, until {datetime.now() + timedelta(minutes=forecast):%H:%M}", flush=True)
    load_before = os.getloadavg()[0]
    project = prepare_registry(ROOT / ".state" / "benchmark-soak")
    runs = {kind: soak(kind, project, arguments.minutes, arguments.starts) for kind in kinds}
    results = {"machine": machine(load_before), "runs": runs}
    save(__file__, results, render(results))
    sys.exit(any(run["broken"] for run in runs.values()))


def soak(kind: str, project: Project, minutes: float, starts: int) -> dict[str, Any]:
    """Return what was measured, and which promises were broken."""
    from mlflow import MlflowClient

    images = np.load(project.dataset / "test_images.npy", mmap_mode="r")
    _, name = registry(project)
    with (
        small_disk() as disk,
        running_database(kind, disk.folder, free_port()) as database,
        running_registry(project.state / "served", project.state / "mlflow.db", free_port()) as (address, server),
    ):
        print(f"{kind}: {minutes:g} minutes of traffic", flush=True)
        move_alias = partial(MlflowClient(address).set_registered_model_alias, name, "champion")
        environment = {"FASHION_PREDICTIONS_URL": database.url, "MLFLOW_TRACKING_URI": address}
        start = partial(serving, project, environment)
        with start(f"soak-{kind}") as service:
            service.wait_until_ready()
            run = Soak(database, server, disk, service, Clients(service.port, images), move_alias, minutes)
            asyncio.run(run.run())
            found = describe(run.clients.notes, run.figures, run.mebibytes, minutes / run.cycles, database)
            found["tracebacks"] = service.said.count("Traceback")
        found["disk"] = disk.trouble
        print(f"{kind}: {starts} starts that SIGTERM ends", flush=True)
        found["endings"] = measure_endings(start, database, server, images, starts)
    found["minutes"] = minutes
    return found | {"broken": broken_promises(found)}


if __name__ == "__main__":
    main()
