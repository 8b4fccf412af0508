"""How far a result hangs on the seed and on the processor; writes benchmarks/seeds.json and benchmarks/seeds.md.

    python -m benchmarks.seeds                   # 20 seeds on each instruction set, about 40 minutes on two cores
    python -m benchmarks.seeds --seeds 1 2 3 --models baseline compact

Training, evaluation and export are the stages that `make run` runs, on the real dataset, in projects of their own under
.state/benchmark-seeds; a model is a champion if no gate keeps it out. A processor with AVX-512 also measures what one
without it does: oneDNN, which computes the convolutions, can be told to do with AVX2. Two trainings run at a time, so
times are not to be compared with those of `make bench`. What was finished is kept: after Ctrl-C the same command goes
on from there, as long as recipes and source are the same.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.main_job import ROOT, accuracy_cells, machine, make_project, measured_on, run, set_training
from fashion.adapters.machine import describe_machine
from fashion.environment import apply_environment
from fashion.params import load_params
from fashion.paths import Project
from fashion.stages.evaluate import evaluate
from fashion.stages.export import export
from fashion.stages.train import train
from fashion.storage import write_json, write_text

RESULTS = Path(__file__).with_suffix(".json")
TABLE = Path(__file__).with_suffix(".md")
LIMIT = "ONEDNN_MAX_CPU_ISA"
AVX2, AVX512, AMX = "AVX2", "AVX-512", "AMX"
FLAGS = {AVX2: "avx2", AVX512: "avx512f", AMX: "amx_tile"}
"""By which Linux names what oneDNN has kernels for."""
NEEDED_BY_FLOAT32 = (AVX2, AVX512)
"""AMX multiplies bfloat16 and int8; these networks compute in float32."""
RUNS = "runs.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["compact"])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(1, 21)))
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)  # What a process of its own does.
    parser.add_argument("--set", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        return measure(Project(arguments.work), arguments.set, arguments.models, arguments.seeds)
    base = make_base(ROOT / ".state" / "benchmark-seeds")
    sets = [name for name in NEEDED_BY_FLOAT32 if FLAGS[name] in describe_machine().instructions]
    halves = filter(None, (arguments.seeds[::2], arguments.seeds[1::2]))
    with ThreadPoolExecutor(2) as pool:
        groups = [(name, half) for half in halves for name in reversed(sets)]
        list(pool.map(lambda group: start(base, group[0], group[1], arguments.models), groups))
    done = [one for one in finished(base) if one["model"] in arguments.models and one["seed"] in arguments.seeds]
    recipes = load_params(ROOT / "params.yaml").model_dump(mode="json")["train"]["recipes"]
    results = {"machine": machine(), "recipes": recipes, "runs": done}
    results["runs"].sort(key=lambda one: (one["model"], one["set"], one["seed"]))
    write_json(RESULTS, results)
    write_text(TABLE, render(results))
    print(TABLE.read_text(encoding="utf-8"))
    return None


def make_base(folder: Path) -> Path:
    """A project with the prepared dataset, to be copied; the one that is there, if the same is to be measured."""
    tree = subprocess.run(["git", "rev-parse", "HEAD:src"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    measured = {"source": tree.strip(), "params": (ROOT / "params.yaml").read_text(encoding="utf-8")}
    mark = folder / "measured.json"
    if mark.exists() and read(mark) == measured:
        return folder / "base"
    shutil.rmtree(folder, ignore_errors=True)
    project = make_project(folder / "base")
    for stage in ("validate", "prepare"):
        run(["dvc", "repro", "--single-item", stage], project.root)
    write_json(mark, measured)
    return project.root


def finished(base: Path) -> list[dict[str, Any]]:
    """What the processes have found so far."""
    files = sorted(base.parent.glob(f"*/{RUNS}"))
    return [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]


def start(base: Path, instructions: str, seeds: Sequence[int], models: Sequence[str]) -> None:
    """A process for those of these seeds that are not finished, in a project of its own."""
    done = {(one["model"], one["set"], one["seed"]) for one in finished(base)}
    left = [seed for seed in seeds if any((model, instructions, seed) not in done for model in models)]
    if not left:
        return
    folder = base.parent / f"{instructions}-{seeds[0]}"
    if not folder.exists():
        shutil.copytree(base, folder, symlinks=True)
    # The commands' defaults hold for the folder in which they are looked up.
    environment = {name: value for name, value in os.environ.items() if str(base) not in value}
    # Without the limit oneDNN takes the best that the processor has.
    environment |= {LIMIT: "AVX2"} if instructions == AVX2 else {}
    command = [sys.executable, "-m", "benchmarks.seeds", "--work", str(folder), "--set", instructions]
    subprocess.run([*command, "--models", *models, "--seeds", *map(str, left)], cwd=ROOT, env=environment, check=True)


def measure(project: Project, instructions: str, models: Sequence[str], seeds: Sequence[int]) -> None:
    """Add a line of JSON to the project's file for each model and seed."""
    apply_environment(project)
    for seed in seeds:
        for model in models:
            set_training(project, model, seed)
            params = load_params(project.params)
            train(project, params, on_step=lambda *_: None)
            evaluate(project, params)
            export(project, params)
            found = {"model": model, "set": instructions, "seed": seed, **figures(project)}
            with (project.root / RUNS).open("a", encoding="utf-8") as stream:
                stream.write(f"{json.dumps(found)}\n")
            print(f"{instructions}: {model}, seed {seed}: {found['accuracy']:.4f}", flush=True)


def figures(project: Project) -> dict[str, Any]:
    """What `evaluate` and `export` have found, and how sure the model is of images it has not seen."""
    metrics = read(project.evaluation / "metrics.json")
    training = read(project.model / "training.json")
    gates = read(project.evaluation / "gate.json"), read(project.export / "report.json")
    predictions = pd.read_parquet(project.evaluation / "predictions.parquet")
    # The reference holds what the model says about the validation images.
    with np.load(project.evaluation / "reference.npz") as reference:
        confidence = float(reference["probabilities"].max(axis=1).mean())
    return {
        "accuracy": metrics["accuracy"],
        "least_recall": min(one["recall"] for one in metrics["per_class"].values()),
        "error": metrics["expected_calibration_error"],
        "bytes": metrics["model_bytes"],
        "exported_bytes": read(project.export / "report.json")["bytes"]["float"],
        "validation_accuracy": training["validation_accuracy"],
        "temperature": training["temperature"],
        "overconfidence": float(predictions["confidence"].mean() - metrics["accuracy"]),
        "validation_overconfidence": confidence - training["validation_accuracy"],
        "failed": [one["name"] for gate in gates for one in gate["checks"] if one["verdict"] == "failed"],
    }


def meets_all(one: dict[str, Any]) -> bool:
    """Whether the estimates themselves meet the limits, whatever their intervals."""
    limits = load_params(ROOT / "params.yaml").evaluate.gates
    return bool(
        not one["failed"]
        and one["accuracy"] >= limits.accuracy_at_least
        and one["least_recall"] >= limits.recall_of_every_class_at_least
        and one["error"] <= limits.expected_calibration_error_at_most
    )


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def render(results: dict[str, Any]) -> str:
    lines = [f"{measured_on(results['machine'])}. {missing(results['runs'])}", "", *table(results["runs"])]
    return "\n".join([*lines, "", *gap(results["runs"]), ""])


def missing(runs: Sequence[dict[str, Any]]) -> str:
    absent = [name for name in FLAGS if name not in {one["set"] for one in runs}]
    known = f"Not measured: {', '.join(absent)}, which this processor does not have" if absent else ""
    return f"{known} (AMX is for bfloat16 and int8; these networks compute in float32)." if known else ""


def table(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield (
        "| model | instruction set | seeds | accuracy on 10,000 test images, mean ± deviation | worst "
        "| calibration error, mean | worst | bytes | champions | of them by the estimates alone |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for model, instructions in dict.fromkeys((one["model"], one["set"]) for one in runs):
        chosen = [one for one in runs if (one["model"], one["set"]) == (model, instructions)]
        cells = [
            f"`{model}`",
            instructions,
            *accuracy_cells(chosen),
            f"{max(one['exported_bytes'] for one in chosen):,}",
            str(sum(not one["failed"] for one in chosen)),
            str(sum(map(meets_all, chosen))),
        ]
        yield f"| {' | '.join(cells)} |"


def gap(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "| model | instruction set | accuracy, validation | test | confidence minus accuracy, validation | test |"
    yield "|---|---|---|---|---|---|"
    for model, instructions in dict.fromkeys((one["model"], one["set"]) for one in runs):
        chosen = [one for one in runs if (one["model"], one["set"]) == (model, instructions)]
        accuracies = [
            f"{statistics.mean(one[name] for one in chosen):.2%}" for name in ("validation_accuracy", "accuracy")
        ]
        gaps = [
            f"{100 * statistics.mean(one[name] for one in chosen):+.2f} points"
            for name in ("validation_overconfidence", "overconfidence")
        ]
        yield f"| `{model}` | {' | '.join([instructions, *accuracies, *gaps])} |"


if __name__ == "__main__":
    main()
