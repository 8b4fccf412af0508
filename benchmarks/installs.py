"""Measures what an installation weighs and how soon `fashion serve` answers in it; writes installs.json and .md.

    python -m benchmarks.installs [--project FOLDER] [--rounds 5]

Each list of packages is installed into an environment of its own in .state/installs, with bytecode compiled; it is
removed in the end. The project has to have a champion; without --project it is this one. In each round every
environment takes its turn at importing MLflow's client and at serving the champion until it is ready.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from benchmarks.first_run import size
from benchmarks.processes import free_port, running, wait_for
from benchmarks.results import ROOT, machine, measured_on, paragraphs, save, table
from fashion.environment import apply_environment
from fashion.paths import Project

LOCKS = {"the service": "requirements-serve.lock", "everything, as for `make run`": "requirements.lock"}
FASHION = ("-c", "from fashion.cli import main; main()")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=ROOT)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    load_before = psutil.getloadavg()[0]
    folder = ROOT / ".state" / "installs"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        pythons = {name: install(folder / lock, lock) for name, lock in LOCKS.items()}
        sizes = {name: weigh(python) for name, python in pythons.items()}
        apply_environment(Project(options.project.resolve()))
        rounds = [
            {name: one_round(python, options.project) for name, python in pythons.items()}
            for _ in range(options.rounds + 1)
        ][1:]  # The first one brings the files into memory.
    finally:
        shutil.rmtree(folder)
    figures = {"machine": machine(load_before), "rounds": options.rounds, "installs": {}}
    for name in LOCKS:
        figures["installs"][name] = sizes[name] | medians([one[name] for one in rounds])
    save(__file__, figures, page(figures))


def install(folder: Path, lock: str) -> Path:
    """Return the interpreter of a new environment with the packages of a lock."""
    python = folder / "bin" / "python"
    uv = [str(Path(sys.executable).with_name("uv"))]
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    options = ("--compile-bytecode", "--require-hashes", "--python", str(python))
    subprocess.run([*uv, "pip", "sync", "--quiet", *options, lock], cwd=ROOT, check=True)
    subprocess.run(["sh", "slim.sh", str(site_packages(python))], cwd=ROOT, check=True)
    return python


def site_packages(python: Path) -> Path:
    return next(python.parents[1].glob("lib/python*/site-packages"))


def weigh(python: Path) -> dict[str, int]:
    packages = site_packages(python)
    return {"packages": len(list(packages.glob("*.dist-info"))), "disk_bytes": size(packages)}


def one_round(python: Path, project: Path) -> dict[str, tuple[float, float]]:
    """Return wall and processor seconds, those of child processes included."""
    return {"client": import_client(python, project), "ready": serve(python, project)}


def import_client(python: Path, project: Path) -> tuple[float, float]:
    before, start = processor_of_ended(), time.perf_counter()
    subprocess.run([python, "-c", "import mlflow"], cwd=project, check=True)
    return time.perf_counter() - start, processor_of_ended() - before


def processor_of_ended() -> float:
    times = psutil.Process().cpu_times()
    return float(times.children_user + times.children_system)


def serve(python: Path, project: Path) -> tuple[float, float]:
    port, start = free_port(), time.perf_counter()
    command = ["env", f"PYTHONPATH={ROOT / 'src'}", str(python), *FASHION, "serve", "--port", str(port)]
    with running(command, project) as process:
        wait_for(f"http://127.0.0.1:{port}/readyz")
        return time.perf_counter() - start, sum(psutil.Process(process).cpu_times()[:4])


def medians(rounds: list[dict[str, tuple[float, float]]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for what in ("client", "ready"):
        walls, processors = zip(*(one[what] for one in rounds), strict=True)
        found[what] = {"seconds": statistics.median(walls), "processor_seconds": statistics.median(processors)}
    ratios = [one["ready"][1] / one["client"][1] for one in rounds]
    return found | {"ratio": statistics.median(ratios)}


def page(figures: Mapping[str, Any]) -> str:
    heads = ("installed", "packages", "MB", "import mlflow, s (processor)", "serve ready, s (processor)", "ratio")
    rows = (
        (
            name,
            str(found["packages"]),
            f"{found['disk_bytes'] / 1e6:,.0f}",
            *(f"{found[what]['seconds']:.1f} ({found[what]['processor_seconds']:.1f})" for what in ("client", "ready")),
            f"{found['ratio']:.2f}",
        )
        for name, found in figures["installs"].items()
    )
    return paragraphs(f"{measured_on(figures['machine'])}; medians of {figures['rounds']} rounds.", table(heads, rows))


if __name__ == "__main__":
    main()
