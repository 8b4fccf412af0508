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
import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.processes import free_port, run, running, wait_for
from benchmarks.projects import make_project, prepare_dataset, set_training
from benchmarks.results import ROOT, machine, measured_on, paragraphs, save, table
from fashion.paths import Project

RESULTS = Path(__file__).with_suffix(".json")
SEEDS = Path(__file__).with_name("seeds.json")
ORIGINAL_ACCURACY = 0.9102
"""What the original baseline reports for itself, trained on all 60,000 images."""


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
    save(__file__, results, render(results))


def measure(models: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
    project = make_project(ROOT / ".state" / "benchmark")
    return {
        "machine": machine(),
        "models": measure_models(project, models, seeds),
        "stages": measure_stages(project),
        "no_op": measure_no_op(project),
    }


def measure_models(project: Project, models: Sequence[str], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Each model with each seed: figures of the test set, and how long training took."""
    prepare_dataset(project)
    found = []
    for seed in seeds:
        for model in models:
            set_training(project, model, seed)
            process = run(["fashion", "train"], project.root)
            run(["fashion", "evaluate"], project.root)
            training = json.loads((project.model / "training.json").read_text(encoding="utf-8"))
            figures = json.loads((project.evaluation / "metrics.json").read_text(encoding="utf-8"))
            found.append(training | {"model": model, "process": asdict(process)} | only_numbers(figures))
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
    port = free_port()
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with running(command, project.root):
        wait_for(f"http://127.0.0.1:{port}/api/health")
        flow = [run([sys.executable, "-m", "flows.training"], project.root).seconds for _ in range(3)]
    return {"dvc_repro_seconds": statistics.median(repro), "flow_seconds": statistics.median(flow)}


def only_numbers(figures: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if isinstance(value, (int, float))}


def render(results: dict[str, Any]) -> str:
    """Return the results as the tables that the README quotes."""
    return paragraphs(
        f"{measured_on(results['machine'])}.",
        model_table(results["models"], results["machine"]),
        stage_table(results),
    )


def model_table(models: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    """Return a row for each model and instruction set, by the seeds of `benchmarks.seeds` where there are any."""
    heads = ["model", "kernels", "seeds", "accuracy on 10,000 test images, mean ± deviation", "worst"]
    heads += ["calibration error, mean", "worst", "parameters", "training, s", "of `baseline`'s time"]
    many = json.loads(SEEDS.read_text(encoding="utf-8"))["runs"] if SEEDS.exists() else []
    best = "AVX-512" if "avx512f" in machine["instructions"] else "AVX2"
    mean_seconds = {
        name: statistics.mean(one["seconds"] for one in models if one["model"] == name)
        for name in dict.fromkeys(one["model"] for one in models)
    }
    rows = [["the original baseline's report", "", "1", f"{ORIGINAL_ACCURACY:.2%}", *[""] * 6]]
    for name, seconds in mean_seconds.items():
        few = [one for one in models if one["model"] == name]
        own = [{"set": best, "seed": one["seed"], "accuracy": one["accuracy"], "error": error_of(one)} for one in few]
        runs = [one for one in many if one["model"] == name] or own
        for kernels in sorted({one["set"] for one in runs}):
            chosen = [one for one in runs if one["set"] == kernels]
            ratio = f"{seconds / mean_seconds['baseline']:.2f}" if "baseline" in mean_seconds else ""
            times = [f"{seconds:.0f}", ratio] if kernels == best else ["", ""]
            rows.append([f"`{name}`", kernels, *accuracy_cells(chosen), f"{few[0]['parameters']:,}", *times])
    return table(heads, rows)


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


def stage_table(results: dict[str, Any]) -> str:
    no_op = results["no_op"]
    rows = [
        [f"`fashion {stage}`", f"{measured['seconds']:.1f}", f"{measured['mebibytes']:.0f}"]
        for stage, measured in results["stages"].items()
    ]
    rows.append(["`dvc repro`, nothing changed", f"{no_op['dvc_repro_seconds']:.1f}", ""])
    rows.append(["training flow, nothing changed, server running", f"{no_op['flow_seconds']:.1f}", ""])
    return table(["command", "wall time, s", "peak memory, MiB"], rows)


if __name__ == "__main__":
    main()
