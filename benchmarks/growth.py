"""Measures what more images cost: time and memory of every stage; writes benchmarks/growth.json and .md.

    python -m benchmarks.growth                # an hour or two on two cores; nothing else should run meanwhile
    python -m benchmarks.growth --scale 0.01   # a trial: prints the same of a hundredth of them, and saves nothing

Each dataset is drawn, written into shards of pictures, and goes through the stages in a project of its own, with one
epoch of training. What has been measured is in .state/growth, a file for each row: a stopped run goes on there.
Processor seconds are of all cores together, and say little of what else the machine did meanwhile.
"""

import argparse
import math
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.growth_data import Kind, make_project
from benchmarks.results import ROOT, machine, measured_on, paragraphs, save, table
from fashion.paths import Project
from fashion.reading import read_json
from fashion.storage import write_json

DATASETS: Mapping[str, tuple[Kind, tuple[int, int]]] = {
    "28 x 28, grey, PNG": (Kind(28, 1, "PNG"), (70_000, 280_000)),
    "160 x 160, in colour, JPEG": (Kind(160, 3, "JPEG"), (5_000, 20_000)),
}
GROUP = """
from pathlib import Path
from fashion.images.assignment import group_copies
from fashion.paths import Project
from fashion.stages.dataset import load_split
from threadpoolctl import threadpool_limits
with threadpool_limits(1):
    images = load_split(Project(Path()), "train").images
    print(group_copies(images).max())
"""
"""What an import does to find near copies, here among the training images."""
STAGES: Mapping[str, Sequence[str]] = {
    **{name: ("fashion", name) for name in ("validate", "prepare")},
    "near copies": (sys.executable, "-c", GROUP),
    **{name: ("fashion", name) for name in ("train", "evaluate", "export")},
}
MEASURES = {"seconds": "seconds", "processor_seconds": "processor s", "mebibytes": "MiB"}
"""With their units in the tables."""
EVERY_SECONDS = 0.1
"""In which memory is looked at."""
ROWS = ROOT / ".state" / "growth"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what more images cost.")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the images")
    scale = parser.parse_args().scale
    load_before = os.getloadavg()[0]
    measured = {
        name: [_row(name, kind, round(count * scale)) for count in counts] for name, (kind, counts) in DATASETS.items()
    }
    results = {"machine": machine(load_before), "datasets": measured}
    if scale == 1:
        save(__file__, results, _render(results))
    else:
        print(_render(results))


def _row(name: str, kind: Kind, count: int) -> dict[str, Any]:
    """Return what so many images of a kind cost, measured now or before."""
    path = ROWS / f"{kind.side}-{count}.json"
    if not path.exists():
        print(f"{name}: {count:,} images", flush=True)
        project = make_project(ROWS / f"{kind.side}-{count}", kind, count)
        stages = {stage: _measure(stage, command, project) for stage, command in STAGES.items()}
        write_json(path, {"images": count, "stages": stages})
        shutil.rmtree(project.root)
    row: dict[str, Any] = read_json(path, "python -m benchmarks.growth")
    return row


def _measure(stage: str, command: Sequence[str], project: Project) -> dict[str, float]:
    """Run a stage to its end; return its time, and the most memory of all its processes that is no mapped file."""
    log, most = project.root / f"{stage}.log", 0
    start, processor_start = time.perf_counter(), _processor_seconds()
    with log.open("wb") as output:
        process = psutil.Popen(command, cwd=project.root, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        while process.poll() is None:
            most = max(most, _own_bytes(process))
            time.sleep(EVERY_SECONDS)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{log.read_text(errors='replace')}")
    seconds, processor_seconds = time.perf_counter() - start, _processor_seconds() - processor_start
    print(f"  {stage}: {seconds:.1f} s, {processor_seconds:.1f} of processors, {most / (1 << 20):,.0f} MiB", flush=True)
    return {"seconds": seconds, "processor_seconds": processor_seconds, "mebibytes": most / (1 << 20)}


def _processor_seconds() -> float:
    """Return what all processes that were started here and have ended used, those that they started included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _own_bytes(process: psutil.Popen) -> int:
    """Return the resident memory of a process and its children, without mapped files."""
    total = 0
    for number in _family(process):
        try:
            status = Path(f"/proc/{number}/status").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has ended meanwhile.
        fields = dict(line.split(":", 1) for line in status.splitlines())
        total += sum(int(fields[name].split()[0]) << 10 for name in ("RssAnon", "RssShmem") if name in fields)
    return total


def _family(process: psutil.Popen) -> list[int]:
    try:
        return [process.pid, *(child.pid for child in process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def _slope(rows: Sequence[Mapping[str, Any]], stage: str, measure: str) -> float:
    """Return by which power of the number of images a measure grows."""
    (few, many), (less, more) = ([row["images"] for row in rows], [row["stages"][stage][measure] for row in rows])
    return math.log(more / less) / math.log(many / few)


def _render(found: Mapping[str, Any]) -> str:
    parts = [f"{measured_on(found['machine'])}. Memory is that of a stage's processes together, without mapped files."]
    for name, rows in found["datasets"].items():
        heads = [name]
        for unit in MEASURES.values():
            heads += [f"{row['images']:,}: {unit}" for row in rows] + ["slope"] * (unit != "MiB")
        lines = []
        for stage in STAGES:
            line = [stage]
            for measure, unit in MEASURES.items():
                line += [f"{row['stages'][stage][measure]:,.0f}" for row in rows]
                line += [f"{_slope(rows, stage, measure):.2f}"] * (unit != "MiB")
            lines.append(line)
        parts.append(table(heads, lines))
    return paragraphs(*parts)


if __name__ == "__main__":
    main()
