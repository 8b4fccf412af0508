"""Measures what the README says about the main job; writes benchmarks/main_job.json and benchmarks/main_job.md.

    make bench                                   # everything, about twenty minutes on two cores
    python -m benchmarks.main_job --models compact --seeds 1
    python -m benchmarks.main_job --render       # the table again, with what benchmarks.seeds has measured since

It works on the real dataset in a project of its own under .state/benchmark, so nobody's artifacts are touched. Each
stage runs as the command a user types, in a process of its own: wall time and peak memory are those of that process,
imports included. Models take turns within a seed, so that a slow minute of the machine meets all of them.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from fashion.adapters.machine import describe_machine
from fashion.environment import apply_environment
from fashion.paths import Project
from fashion.storage import write_json, write_text

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_suffix(".json")
TABLE = Path(__file__).with_suffix(".md")
SEEDS = Path(__file__).with_name("seeds.json")
SEED_ACCURACY = 0.9102
"""What the original baseline reports for itself, trained on all 60,000 images."""
INSTRUCTIONS = re.compile(r"avx2|avx_vnni|avx512(f|_vnni|_bf16|_fp16)|amx_\w+|asimd|sve2?")
"""The flags of a processor by which oneDNN chooses its kernels."""


@dataclass(frozen=True)
class Measured:
    """One process: wall seconds and peak resident memory in MiB."""

    seconds: float
    mebibytes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["baseline", "dropout", "compact"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--render", action="store_true", help="measure nothing, draw the table anew")
    arguments = parser.parse_args()
    if arguments.render:
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
    else:
        results = measure(arguments.models, arguments.seeds)
        write_json(RESULTS, results)
    write_text(TABLE, render(results))
    print(TABLE.read_text(encoding="utf-8"))


def measure(models: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
    project = make_project(ROOT / ".state" / "benchmark")
    return {
        "machine": machine(),
        "models": measure_models(project, models, seeds),
        "stages": measure_stages(project),
        "no_op": measure_no_op(project),
    }


def make_project(folder: Path) -> Project:
    """A fresh project with this one's files and the real data."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.rstrip("\0").split("\0"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    apply_environment(Project(folder))
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["FASHION_DATA_SOURCES"] = data_sources()
    run(["fashion", "fetch"], folder)
    return Project(folder)


def data_sources() -> str:
    """This project's data, and where it would look for them, as seen from any folder."""
    sources = load_params(ROOT)["data"]["sources"]
    here = [source if ":" in source or source == "dvc" else str((ROOT / source).resolve()) for source in sources]
    return ",".join([str(ROOT / "data"), *here])


def measure_models(project: Project, models: Sequence[str], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Each model with each seed: figures of the test set, and how long training took."""
    for stage in ("validate", "prepare"):
        run(["dvc", "repro", "--single-item", stage], project.root)
    found = []
    for seed in seeds:
        for model in models:
            set_training(project, model, seed)
            process = run(["fashion", "train"], project.root)
            run(["fashion", "evaluate"], project.root)
            training = json.loads((project.model / "training.json").read_text(encoding="utf-8"))
            figures = json.loads((project.evaluation / "metrics.json").read_text(encoding="utf-8"))
            found.append(training | {"process": asdict(process)} | only_numbers(figures))
            print(f"{model}, seed {seed}: {figures['accuracy']:.4f} in {training['seconds']:.1f} s", flush=True)
    return found


def measure_stages(project: Project) -> dict[str, dict[str, float]]:
    """Every stage with the default model, as its command."""
    shutil.copy(ROOT / "params.yaml", project.params)
    stages = ("validate", "prepare", "train", "evaluate", "export", "register")
    return {stage: asdict(run(["fashion", stage], project.root)) for stage in stages}


def measure_no_op(project: Project) -> dict[str, float]:
    """Seconds for `dvc repro` and for the training flow, with a server running, when nothing has changed."""
    run([sys.executable, "-m", "flows.training"], project.root)
    repro = [run(["dvc", "repro"], project.root).seconds for _ in range(5)]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    server = subprocess.Popen(command, cwd=project.root, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/api/health")
        flow = [run([sys.executable, "-m", "flows.training"], project.root).seconds for _ in range(3)]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)
    return {"dvc_repro_seconds": statistics.median(repro), "flow_seconds": statistics.median(flow)}


def run(command: Sequence[str], folder: Path) -> Measured:
    """Run to the end; a failure ends the benchmark."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{output}")
    # Linux counts kibibytes, macOS bytes.
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return Measured(time.perf_counter() - start, usage.ru_maxrss / unit)


def set_training(project: Project, model: str, seed: int) -> None:
    content = load_params(project.root)
    content["train"] |= {"model": model, "seed": seed}
    project.params.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def load_params(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    return content


def wait_for(address: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(address, timeout=2).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
        else:
            return
    raise SystemExit(f"nothing answers at {address}")


def only_numbers(figures: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if isinstance(value, (int, float))}


def machine() -> dict[str, Any]:
    """What a figure hangs on: weights differ between instruction sets, times between processors."""
    here = describe_machine()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": here.processor,
        "instructions": [name for name in here.instructions if INSTRUCTIONS.fullmatch(name)],
        "variables": here.variables,
        "cores": here.cpus,
        "python": here.python,
    }


def measured_on(found: dict[str, Any]) -> str:
    """The sentence, without its full stop, that stands above every table of times."""
    flags = ", ".join([*found["instructions"], *(f"{name}={value}" for name, value in found["variables"].items())])
    return "Measured on {date}: {processor} ({flags}), {cores} cores, Python {python}".format(**found, flags=flags)


def render(results: dict[str, Any]) -> str:
    """The results as the tables the README quotes."""
    head = f"{measured_on(results['machine'])}."
    models = model_table(results["models"], results["machine"])
    return "\n".join([head, "", *models, "", *stage_table(results), ""])


def model_table(models: list[dict[str, Any]], machine: dict[str, Any]) -> Iterator[str]:
    """A row a model and instruction set, by the many seeds of `benchmarks.seeds` where it has measured them."""
    yield (
        "| model | kernels | seeds | accuracy on 10,000 test images, mean ± deviation | worst "
        "| calibration error, mean | worst | parameters | training, s | of `baseline`'s time |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    yield f"| the original baseline's report | | 1 | {SEED_ACCURACY:.2%} | | | | | | |"
    many = json.loads(SEEDS.read_text(encoding="utf-8"))["runs"] if SEEDS.exists() else []
    best = "AVX-512" if "avx512f" in machine["instructions"] else "AVX2"
    mean_seconds = {
        name: statistics.mean(one["seconds"] for one in models if one["model"] == name)
        for name in dict.fromkeys(one["model"] for one in models)
    }
    for name, seconds in mean_seconds.items():
        few = [one for one in models if one["model"] == name]
        own = [{"set": best, "seed": one["seed"], "accuracy": one["accuracy"], "error": error_of(one)} for one in few]
        runs = [one for one in many if one["model"] == name] or own
        for kernels in sorted({one["set"] for one in runs}):
            chosen = [one for one in runs if one["set"] == kernels]
            ratio = f"{seconds / mean_seconds['baseline']:.2f}" if "baseline" in mean_seconds else ""
            times = [f"{seconds:.0f}", ratio] if kernels == best else ["", ""]
            cells = [f"`{name}`", kernels, *accuracy_cells(chosen), f"{few[0]['parameters']:,}", *times]
            yield f"| {' | '.join(cells)} |"


def error_of(one: dict[str, Any]) -> float:
    return float(one["expected_calibration_error"])


def accuracy_cells(runs: Sequence[dict[str, Any]]) -> list[str]:
    accuracies, errors = ([one[figure] for one in runs] for figure in ("accuracy", "error"))
    deviation = statistics.stdev(accuracies) if len(runs) > 1 else 0.0
    seeds = sorted(one["seed"] for one in runs)
    in_a_row = len(seeds) > 3 and seeds == list(range(seeds[0], seeds[-1] + 1))
    return [
        f"{seeds[0]} to {seeds[-1]}" if in_a_row else ", ".join(map(str, seeds)),
        f"{statistics.mean(accuracies):.2%} ± {deviation:.2%}",
        f"{min(accuracies):.2%}",
        f"{statistics.mean(errors):.4f}",
        f"{max(errors):.4f}",
    ]


def stage_table(results: dict[str, Any]) -> list[str]:
    lines = ["| command | wall time, s | peak memory, MiB |", "|---|---|---|"]
    for stage, measured in results["stages"].items():
        lines.append(f"| `fashion {stage}` | {measured['seconds']:.1f} | {measured['mebibytes']:.0f} |")
    no_op = results["no_op"]
    lines.append(f"| `dvc repro`, nothing changed | {no_op['dvc_repro_seconds']:.1f} | |")
    lines.append(f"| training flow, nothing changed, server running | {no_op['flow_seconds']:.1f} | |")
    return lines


if __name__ == "__main__":
    main()
