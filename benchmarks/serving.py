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
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from mlflow import MlflowClient

from benchmarks.main_job import machine, measured_on, wait_for
from fashion.environment import apply_environment
from fashion.errors import ArtifactError
from fashion.params import load_params
from fashion.paths import Project
from fashion.settings import tracking_uri
from fashion.storage import write_json, write_text

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_suffix(".json")
TABLE = Path(__file__).with_suffix(".md")
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
    project = make_project(ROOT / ".state" / "benchmark-serving")
    images = project.dataset / "test_images.npy"
    with start_fashion(project) as ours, start_mlflow(project) as theirs:
        speed = measure_speed((ours, theirs), images, arguments.rounds, arguments.seconds)
    with start_fashion(project) as ours:
        swaps = measure_swaps(project, ours, images)
    with start_fashion(project) as ours:
        memory = measure_memory(ours, images, arguments.requests)
    load = {"load_average_before": load_before, "load_average_after": os.getloadavg()[0]}
    results = {"machine": machine() | load, "speed": speed, "swaps": swaps, "memory": memory}
    write_json(RESULTS, results)
    write_text(TABLE, render(results))
    print(TABLE.read_text(encoding="utf-8"))


def make_project(folder: Path) -> Project:
    """A project with this one's artifacts, and a registry with version 1, the champion, and 2, which is the same."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.rstrip("\0").split("\0"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    if not (ROOT / "artifacts" / "evaluation" / "reference.npz").exists():
        raise ArtifactError("There is no evaluated model; make one with: make run")
    shutil.copytree(ROOT / "artifacts", folder / "artifacts")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    for name in [name for name in os.environ if name.startswith(("FASHION_", "MLFLOW_"))]:
        del os.environ[name]
    project = Project(folder)
    apply_environment(project)
    subprocess.run([program("fashion"), "register"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    client, name = registry(project)
    first = client.get_model_version(name, "1")
    client.create_model_version(name, first.source, first.run_id, tags=first.tags, model_id=first.model_id)
    return project


def registry(project: Project) -> tuple[MlflowClient, str]:
    return MlflowClient(tracking_uri(project)), load_params(project.params).register_.name


def program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


@contextmanager
def start_fashion(project: Project) -> Iterator[Server]:
    port = free_port()
    command = [program("fashion"), "serve", "--port", str(port)]
    with running(command, project, f"http://127.0.0.1:{port}/readyz") as process:
        yield Server("fashion", f"127.0.0.1:{port}", process)


@contextmanager
def start_mlflow(project: Project) -> Iterator[Server]:
    """With its defaults, but on this machine's environment."""
    port = free_port()
    _, name = registry(project)
    model = ["--model-uri", f"models:/{name}/1", "--env-manager", "local"]
    command = [program("mlflow"), "models", "serve", *model, "--host", "127.0.0.1", "--port", str(port)]
    with running(command, project, f"http://127.0.0.1:{port}/ping") as process:
        yield Server("mlflow", f"127.0.0.1:{port}", process)


@contextmanager
def running(command: Sequence[str], project: Project, address: str) -> Iterator[psutil.Process]:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    output = subprocess.DEVNULL
    process = subprocess.Popen(
        command, cwd=project.root, env=environment, start_new_session=True, stdout=output, stderr=output
    )
    try:
        wait_for(address, seconds=300)
        yield psutil.Process(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
    """By clients and server, the median round of each figure, and all failures."""
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
    """Requests of eight clients while the alias goes to and fro."""
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
    """Resident mebibytes after every tenth of the requests."""
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
    """The tables that the README quotes."""
    load = "load average before and after {load_average_before:.1f} and {load_average_after:.1f}"
    lines = [
        f"{measured_on(results['machine'])}; {load.format(**results['machine'])}.",
        "",
        "| clients | `fashion serve`, requests/s | p50, ms | p99, ms | `mlflow models serve`, requests/s | p50, ms "
        "| p99, ms | throughput | p99 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for clients, one in results["speed"].items():
        ours, theirs = one["fashion"], one["mlflow"]
        cells = [
            f"{server['requests_per_second']:.0f} | {server['p50_milliseconds']:.1f} | {server['p99_milliseconds']:.1f}"
            for server in (ours, theirs)
        ]
        faster = ours["requests_per_second"] / theirs["requests_per_second"]
        sooner = theirs["p99_milliseconds"] / ours["p99_milliseconds"]
        lines.append(f"| {clients} | {' | '.join(cells)} | {faster:.0f} times | 1/{sooner:.0f} |")
    swaps, memory = results["swaps"], results["memory"]
    sizes = memory["mebibytes"]
    failed = sum(one["fashion"]["failed"] for one in results["speed"].values())
    return "\n".join(
        [
            *lines,
            "",
            f"- {swaps['swaps']} changes of the champion under the load of 8 clients: {swaps['failed']} of "
            f"{swaps['requests']:,} requests failed; {failed} in the table above.",
            f"- Memory after 10 % of {memory['requests']:,} requests {sizes[0]:.0f} MiB, after all {sizes[-1]:.0f} "
            f"MiB, at most {max(sizes):.0f} MiB; {memory['lost']} predictions lost to the log.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
