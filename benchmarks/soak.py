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
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient

from benchmarks.clients import Clients
from benchmarks.disturbances import Database, Server, SmallDisk, running_database, running_registry, small_disk
from benchmarks.endings import Serving, measure_endings, serving
from benchmarks.main_job import machine, measured_on
from benchmarks.promises import broken_promises, describe
from benchmarks.serving import free_port, make_project, registry
from fashion.paths import Project
from fashion.storage import write_json, write_text

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_suffix(".json")
TABLE = Path(__file__).with_suffix(".md")
CYCLE_MINUTES = 4
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
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
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--starts", type=int, default=STARTS, help="That are ended by SIGTERM.")
    arguments = parser.parse_args()
    # As Ctrl-C does, so that nothing is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    kinds = ("sqlite", "postgresql") if arguments.database == "both" else (arguments.database,)
    forecast = len(kinds) * (arguments.minutes + 2 + START_MINUTES * arguments.starts)
    print(f"About {forecast:.0f} minutes, until {datetime.now() + timedelta(minutes=forecast):%H:%M}", flush=True)
    load_before = os.getloadavg()[0]
    project = make_project(ROOT / ".state" / "benchmark-soak")
    runs = {kind: soak(kind, project, arguments.minutes, arguments.starts) for kind in kinds}
    load = {"load_average_before": load_before, "load_average_after": os.getloadavg()[0]}
    results = {"machine": machine() | load, "runs": runs}
    write_json(RESULTS, results)
    write_text(TABLE, render(results))
    print(TABLE.read_text(encoding="utf-8"))
    sys.exit(any(run["broken"] for run in runs.values()))


def soak(kind: str, project: Project, minutes: float, starts: int) -> dict[str, Any]:
    """Return what was measured, and which promises were broken."""
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


def render(results: dict[str, Any]) -> str:
    """The tables and sentences that docs/serving.md quotes."""
    load = "load average before and after {load_average_before:.1f} and {load_average_after:.1f}"
    head = f"{measured_on(results['machine'])}; {load.format(**results['machine'])}."
    parts = [part for kind, run in results["runs"].items() for part in render_run(NAMES[kind], run)]
    return "\n\n".join([head, *parts]) + "\n"


def render_run(name: str, run: dict[str, Any]) -> Iterator[str]:
    rows = [
        "| clients | requests | answers | p50, s | p99, s | slowest, s | deadline, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, one in run["kinds"].items():
        answers = ", ".join(f"{count:,} x {status}" for status, count in one["statuses"].items())
        times = [f"{one[figure]:.3f}" for figure in ("p50_seconds", "p99_seconds", "most_seconds")]
        cells = [kind, f"{one['requests']:,}", answers, *times, f"{one['deadline_seconds']:.0f}"]
        rows.append(f"| {' | '.join(cells)} |")
    yield f"**{name}**, {run['minutes']:g} minutes:"
    yield "\n".join(rows)
    yield "\n".join(f"- {sentence}" for sentence in sentences(run))


def sentences(run: dict[str, Any]) -> Iterator[str]:
    service, memory, endings = run["service"], run["memory"], run["endings"]
    yield (
        f"{run['answered']:,} predictions answered: {run['missing']:,} of them not in the log, {service['log_lost']:,} "
        f"counted as lost; {run['labels_taken']:,} labelled, {run['labels_missing']} of these labels not in the log."
    )
    yield f"{len(run['late'])} answers after their deadline; {service['swaps']} changes of the champion."
    least, most = memory["least_mebibytes"], memory["most_mebibytes"]
    words = f"Memory, the least of each half minute: {least[0]:.0f} MiB at first, {least[-1]:.0f} at last"
    if memory["slope"] is not None:
        low, high = memory["interval"]
        words += f"; from minute {memory['warm_up_minutes']:g} on "
        words += f"{memory['slope']:+.1f} MiB an hour ({low:+.1f} to {high:+.1f})"
    yield f"{words}; while the largest pictures are decoded at most {most:.0f}."
    slowest = max(one["seconds"] for one in endings)
    missing, said = (sum(one[figure] for one in endings) for figure in ("missing", "said_to_be_lost"))
    yield (
        f"{len(endings)} starts, gone at most {slowest:.1f} s after SIGTERM; of their predictions {missing:,} are not "
        f"in the log, {said:,} were said to be lost."
    )
    if run["disk"]:
        yield f"The disk was not filled: {run['disk']}."
    yield from (f"**Broken:** {promise}." for promise in run["broken"])


if __name__ == "__main__":
    main()
