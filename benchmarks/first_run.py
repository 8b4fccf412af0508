"""Measures a newcomer's first `make run`; writes benchmarks/first_run.json, from which the run says what it will take.

    python -m benchmarks.first_run

It clones this repository's last commit into .state/first_run, sets it up there with `make setup` and runs `make run`,
as a newcomer would, but with the data that are at hand here. Bytes that come in are counted for the whole machine, so
nothing else should load anything meanwhile. The clone is removed in the end.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.projects import data_sources
from benchmarks.results import ROOT, machine, take_no_arguments
from fashion.defaults import read_defaults
from fashion.params import load_params
from fashion.storage import write_json

RESULTS = Path(__file__).with_suffix(".json")
STEP = re.compile(r"Task run '(\w+)'")


def main() -> None:
    take_no_arguments(__doc__)
    folder = ROOT / ".state" / "first_run"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    try:
        load = {"load": os.getloadavg()[0]}
        results = {"machine": machine() | load, "setup": measure_setup(folder), "run": measure_run(folder)}
    finally:
        shutil.rmtree(folder)
    write_json(RESULTS, results)
    print(RESULTS.read_text(encoding="utf-8"))


def measure_setup(folder: Path) -> dict[str, float]:
    start, before = time.monotonic(), received()
    subprocess.run(["make", "setup"], cwd=folder, env=environment(), check=True)
    return {
        "seconds": time.monotonic() - start,
        "download_bytes": received() - before,
        "disk_bytes": size(folder / ".venv"),
    }


def measure_run(folder: Path) -> dict[str, Any]:
    """Seconds of each step; the bytes of the data and of all that the run has made beside the environment."""
    before = size(folder) - size(folder / ".venv")
    process = subprocess.Popen(
        ["make", "run"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    moments = dict(steps(process.stdout or ()))
    if process.wait():
        raise SystemExit("make run failed")
    names = list(moments)[:-1]
    return {
        "of": load_params(folder / "params.yaml").workload,
        "seconds": {name: later - moments[name] for name, later in zip(names, list(moments.values())[1:], strict=True)},
        "download_bytes": size(folder / "data"),
        "disk_bytes": size(folder) - size(folder / ".venv") - before,
    }


def steps(lines: Any) -> Iterator[tuple[str, float]]:
    """Each step with the moment of its first line; before the first is `start`, after the last `end`."""
    yield "start", time.monotonic()
    known: set[str] = set()
    for line in lines:
        print(line, end="", flush=True)
        if (found := STEP.search(line)) and found[1] not in known:
            known.add(found[1])
            yield found[1], time.monotonic()
    yield "end", time.monotonic()


def environment() -> dict[str, str]:
    """This process's, without what belongs to this project but the data."""
    own = {*read_defaults(ROOT), "VIRTUAL_ENV"}
    kept = {name: value for name, value in os.environ.items() if name not in own and not name.startswith("FASHION_")}
    return kept | {"FASHION_DATA_SOURCES": data_sources(), "PREFECT_API_URL": "http://127.0.0.1:9/api"}


def received() -> int:
    """Bytes that came in by every network but loopback."""
    counters = psutil.net_io_counters(pernic=True)
    return sum(counter.bytes_recv for name, counter in counters.items() if name != "lo")


def size(folder: Path) -> int:
    """Bytes on disk of all files, each once however many names it has."""
    stats = {(stat.st_dev, stat.st_ino): stat.st_blocks * 512 for stat in map(os.lstat, _below(folder))}
    return sum(stats.values())


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if not path.is_dir())


if __name__ == "__main__":
    main()
