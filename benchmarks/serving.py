"""Measures `fashion serve` against `mlflow models serve`; writes benchmarks/serving.json and benchmarks/serving.md.

python -m benchmarks.serving      # about eight minutes, after: make run

Both serve the same registered version, one image a request, in a project of their own under .state/benchmark-serving.
They take turns, round by round, so that a slow minute of the machine meets both; the clients are a process of their
own. Then: requests that fail while the champion changes 20 times, and memory over 100,000 requests.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.processes import free_port, run, running, wait_for
from benchmarks.projects import copy_project
from benchmarks.results import ROOT, machine, measured_on, paragraphs, save, table
from fashion.errors import ArtifactError
from fashion.params import load_params
from fashion.paths import Project
from fashion.settings import tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

CLIENTS = (1, 8, 64)
SWAPS = 20
MANY = 100_000


@dataclass(frozen=True)
class Server:
    """A running server: what `benchmarks.load` calls it, where it is, its process."""

    kind: str
    address: str
    process: psutil.Process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="Of each round, server and number of clients.")
    parser.add_argument("--requests", type=int, default=MANY, help="Over which the memory is watched.")
    arguments = parser.parse_args()
    load_before = os.getloadavg()[0]
    project = prepare_registry(ROOT / ".state" / "benchmark-serving")
    images = project.dataset / "test_images.npy"
    with start_fashion(project) as ours, start_mlflow(project) as theirs:
        speed = measure_speed((ours, theirs), images, arguments.rounds, arguments.seconds)
    with start_fashion(project) as ours:
        swaps = measure_swaps(project, ours, images)
    with start_fashion(project) as ours:
        memory = measure_memory(ours, images, arguments.requests)
    results = {"machine": machine(load_before), "speed": speed, "swaps": swaps, "memory": memory}
    save(__file__, results, render(results))


def prepare_registry(folder: Path) -> Project:
    """Make a project with this one's artifacts, and a registry of two versions that are the same; 1 is the champion."""
    if not (ROOT / "artifacts" / "evaluation" / "reference.npz").exists():
        raise ArtifactError("There is no evaluated model; make one with: make run")
    project = copy_project(folder)
    shutil.copytree(ROOT / "artifacts", folder / "artifacts")
    run(["fashion", "register"], folder)
    client, name = registry(project)
    first = client.get_model_version(name, "1")
    client.create_model_version(name, first.source, first.run_id, tags=first.tags, model_id=first.model_id)
    return project


def registry(project: Project) -> tuple["MlflowClient", str]:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri(project)), load_params(project.params).register_.name


@contextmanager
def start_fashion(project: Project) -> Iterator[Server]:
    port = free_port()
    with running(["fashion", "serve", "--port", str(port)], project.root) as process:
        wait_for(f"http://127.0.0.1:{port}/readyz")
        yield Server("fashion", f"127.0.0.1:{port}", psutil.Process(process))


@contextmanager
def start_mlflow(project: Project) -> Iterator[Server]:
    """Run it with its defaults, but in this machine's environment."""
    port = free_port()
    _, name = registry(project)
    model = ["--model-uri", f"models:/{name}/1", "--env-manager", "local"]
    command = ["mlflow", "models", "serve", *model, "--host", "127.0.0.1", "--port", str(port)]
    with running(command, project.root) as process:
        wait_for(f"http://127.0.0.1:{port}/ping")
        yield Server("mlflow", f"127.0.0.1:{port}", psutil.Process(process))


def start_load(server: Server, images: Path, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.load", server.address, server.kind, str(images), *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def finish(load: "subprocess.Popen[str]") -> dict[str, Any]:
    output, _ = load.communicate()
    if load.returncode:
        raise SystemExit("the clients have failed")
    measured: dict[str, Any] = json.loads(output)
    return measured


def measure_speed(servers: Sequence[Server], images: Path, rounds: int, seconds: float) -> dict[str, Any]:
    """Return by clients and server the median round of each figure, and all failures."""
    for server in servers:
        finish(start_load(server, images, "--seconds", "3", "--clients", "8"))
    found: dict[str, Any] = {}
    for clients in CLIENTS:
        options = ("--clients", str(clients), "--seconds", str(seconds))
        taken = [
            {server.kind: finish(start_load(server, images, *options)) for server in servers} for _ in range(rounds)
        ]
        found[str(clients)] = {server.kind: median([one[server.kind] for one in taken]) for server in servers}
        print(clients, found[str(clients)], flush=True)
    return found


def median(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    figures = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    return figures | {name: sum(one[name] for one in rounds) for name in ("requests", "failed")}


def measure_swaps(project: Project, server: Server, images: Path) -> dict[str, Any]:
    """Send requests by eight clients while the alias goes to and fro."""
    client, name = registry(project)
    load = start_load(server, images, "--clients", "8", "--seconds", "600")
    for swap in range(SWAPS):
        time.sleep(0.5)
        client.set_registered_model_alias(name, "champion", str(2 - swap % 2))
        request = urllib.request.Request(f"http://{server.address}/model/refresh", method="POST")
        urllib.request.urlopen(request, timeout=120).close()
    time.sleep(0.5)
    load.terminate()
    return finish(load) | {"swaps": figure(server, "fashion_swaps_total")}


def measure_memory(server: Server, images: Path, requests: int) -> dict[str, Any]:
    """Measure the resident mebibytes after every tenth of the requests."""
    sizes, failed = [], 0
    for _ in range(10):
        options = ("--clients", "8", "--seconds", "600", "--requests", str(requests / 10))
        failed += finish(start_load(server, images, *options))["failed"]
        sizes.append(server.process.memory_info().rss / (1 << 20))
    lost = figure(server, "fashion_log_lost_total")
    return {"requests": requests, "failed": failed, "mebibytes": sizes, "lost": lost}


def figure(server: Server, name: str) -> int:
    with urllib.request.urlopen(f"http://{server.address}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return next(int(float(line.split()[1])) for line in lines if line.startswith(f"{name} "))


def render(results: dict[str, Any]) -> str:
    """Return the tables that docs/serving.md quotes."""
    heads = ["clients", "`fashion serve`, requests/s", "p50, ms", "p99, ms", "`mlflow models serve`, requests/s"]
    heads += ["p50, ms", "p99, ms", "throughput", "p99"]
    swaps, memory = results["swaps"], results["memory"]
    sizes = memory["mebibytes"]
    failed = sum(one["fashion"]["failed"] for one in results["speed"].values())
    return paragraphs(
        f"{measured_on(results['machine'])}.",
        table(heads, (cells(clients, one["fashion"], one["mlflow"]) for clients, one in results["speed"].items())),
        f"- {swaps['swaps']} changes of the champion under the load of 8 clients: {swaps['failed']} of "
        f"{swaps['requests']:,} requests failed; {failed} in the table above.\n"
        f"- Memory after 10 % of {memory['requests']:,} requests {sizes[0]:.0f} MiB, after all {sizes[-1]:.0f} "
        f"MiB, at most {max(sizes):.0f} MiB; {memory['lost']} predictions lost to the log.",
    )


def cells(clients: str, ours: dict[str, float], theirs: dict[str, float]) -> Iterator[str]:
    yield clients
    for server in (ours, theirs):
        yield f"{server['requests_per_second']:.0f}"
        yield from (f"{server[f'{share}_milliseconds']:.1f}" for share in ("p50", "p99"))
    yield f"{ours['requests_per_second'] / theirs['requests_per_second']:.0f} times"
    yield f"1/{theirs['p99_milliseconds'] / ours['p99_milliseconds']:.0f}"


if __name__ == "__main__":
    main()
