"""What a cluster brings: two workers of one thread against one, and two hosts of which one is killed.

Run with `python -m benchmarks.cluster` as root, for the hosts are network namespaces; it takes some minutes, and needs
a champion in this project. Nothing else should run meanwhile.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.processes import free_port, running
from benchmarks.results import ROOT, machine, measured_on, paragraphs, save, table
from fashion.adapters.hosts import DASK, PORT, Host, scheduler_on, two_hosts, worker_on
from fashion.environment import apply_environment
from fashion.params import load_params
from fashion.paths import Project

if TYPE_CHECKING:
    from fashion.registry.champion import Found

PICTURES, IN_ALL, ROUNDS, AIM = 30_000, 100_000, 5, 1.7
KILLED_AFTER = 20
"""Shards that are there when the host is killed."""
PATIENCE_SECONDS = 600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=PICTURES, help="that one and two workers answer")
    parser.add_argument("--in-all", type=int, default=IN_ALL, help="that two hosts answer")
    given = parser.parse_args()
    project = Project(ROOT)
    apply_environment(project)
    load_before = os.getloadavg()[0]
    with TemporaryDirectory(dir=project.state) as folder:
        speed = _measure_speed(project, Path(folder), given.pictures)
        hosts = _kill_a_host(project, Path(folder), given.in_all)
    found = {"machine": machine(load_before), "aim": AIM, "speed": speed, "hosts": hosts}
    save(__file__, found, _render(found))


def _measure_speed(project: Project, folder: Path, count: int) -> dict[str, Any]:
    """Return images a second of one worker and of two, round by round: both clusters are there all the time."""
    from benchmarks.batch_pictures import repeat_images, write_plain_idx
    from fashion.registry.champion import fetch_champion

    found = fetch_champion(project, load_params(project.params))
    source = write_plain_idx(folder / "images.idx", repeat_images(project, folder, count))
    with _workers(folder, 1) as one, _workers(folder, 2) as two:
        for address in (one, two):
            _answer(found, source, folder / "answers", address)  # The workers import what they need.
        rates = [
            [count / _answer(found, source, folder / "answers", address) for address in (one, two)]
            for _ in range(ROUNDS)
        ]
    return {"pictures": count, "rates": rates, "times": float(np.median([both / alone for alone, both in rates]))}


@contextmanager
def _workers(folder: Path, count: int) -> Iterator[str]:
    """Run a scheduler and workers of one thread for the duration of the block, and yield the address."""
    address = f"tcp://127.0.0.1:{free_port()}"
    log, place = folder / "cluster.log", ("--local-directory", str(folder / "workers"), "--no-dashboard")
    with ExitStack() as stack:
        port = address.rpartition(":")[2]
        scheduler = [str(DASK), "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"]
        stack.enter_context(running(scheduler, ROOT, log))
        for _ in range(count):
            stack.enter_context(running([str(DASK), "worker", address, "--nthreads", "1", *place], ROOT, log))
        _await_workers(address, count)
        yield address


def _await_workers(address: str, count: int) -> None:
    from distributed import Client

    with Client(address, timeout=PATIENCE_SECONDS, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=PATIENCE_SECONDS)


def _answer(found: "Found", source: Path, output: Path, address: str) -> float:
    """Return the seconds that the workers of a cluster took."""
    from fashion.adapters.cluster import cluster
    from fashion.batch.answer import Wanted, answer_with

    with cluster(address, [source], [output]) as workers:
        start = time.perf_counter()
        answer_with(found, "benchmark", Wanted(source, output), workers, lambda *_: None)
        seconds = time.perf_counter() - start
    shutil.rmtree(output)
    return seconds


def _kill_a_host(project: Project, folder: Path, count: int) -> dict[str, Any]:
    """Answer on two hosts, kill everything on one of them, and hold the answers against those of this machine."""
    import pandas as pd

    from benchmarks.batch_pictures import repeat_images, write_plain_idx

    source = write_plain_idx(folder / "all.idx", repeat_images(project, folder, count))
    predict = (sys.executable, "-c", "from fashion.cli import main; main()", "predict", source, "--output")
    output, log = folder / "by two hosts", folder / "hosts.log"
    with two_hosts() as (first, second), ExitStack() as stack:
        for command in (scheduler_on(first), worker_on(first, first, folder), worker_on(second, first, folder)):
            stack.enter_context(running(command, ROOT, log))
        address = f"tcp://{first.address}:{PORT}"
        waiting = f"from benchmarks.cluster import _await_workers as wait; wait({address!r}, 2)"
        subprocess.run(first.command(sys.executable, "-c", waiting), cwd=ROOT, check=True)
        start = time.perf_counter()
        variables = os.environ | {"FASHION_EXECUTOR": address}
        process = subprocess.Popen(first.command(*predict, output), cwd=ROOT, env=variables)
        killed = _kill_during(process, output, second)
        status, seconds = process.wait(), time.perf_counter() - start
    if status:
        raise SystemExit(f"fashion predict ended with {status}")
    subprocess.run([*map(str, predict), str(folder / "here")], cwd=ROOT, check=True)
    wide, here = pd.read_parquet(output), pd.read_parquet(folder / "here")
    pd.testing.assert_frame_equal(wide, here)
    shards = len(list(output.glob("*.parquet")))
    return {"pictures": len(wide), "shards": shards, "shards_when_killed": killed, "seconds": seconds}


def _kill_during(process: "subprocess.Popen[bytes]", output: Path, host: Host) -> int:
    """Kill a host in the middle, and return how many shards were there."""
    while len(list(output.glob("*.parquet"))) < KILLED_AFTER:
        if process.poll() is not None:
            raise SystemExit(f"it ended with {process.returncode} before the host was killed")
        time.sleep(0.02)
    host.kill()
    return len(list(output.glob("*.parquet")))


def _render(found: dict[str, Any]) -> str:
    speed, hosts = found["speed"], found["hosts"]
    rows = [
        [str(number), *(f"{rate:,.0f}" for rate in rates), f"{rates[1] / rates[0]:.2f}"]
        for number, rates in enumerate(speed["rates"], start=1)
    ]
    return paragraphs(
        f"{measured_on(found['machine'])}. Images a second, IDX, {speed['pictures']:,} a round:",
        table(["round", "one worker of one thread", "two", "times"], rows),
        f"Median: {speed['times']:.2f} times (aim: {found['aim']}).",
        f"Two hosts, network namespaces with a worker of one thread each: {hosts['pictures']:,} images in "
        f"{hosts['shards']} shards in {hosts['seconds']:.0f} s. Every process of one host was killed (SIGKILL) when "
        f"{hosts['shards_when_killed']} shards were there. No row is missing, and all are those of this machine alone.",
    )


if __name__ == "__main__":
    main()
