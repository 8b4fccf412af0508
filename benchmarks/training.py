"""Measures accuracy against training time; writes benchmarks/training.json, .md and docs/training.svg.

    python -m benchmarks.training                       # about an hour on two quiet cores
    python -m benchmarks.training --recipes baseline sprint --seeds 1 2
    python -m benchmarks.training --render              # table and picture again, from what was measured

Recipes take turns within a seed, each training in a process of its own, so that a slow minute of the machine meets all
of them. Every training is kept in .state/benchmark/training as soon as it is done: after a stop, the same command goes
on, and the table shows all that is kept. What was measured with another recipe, dataset or processor does not count.
The test images are read once by each trained model, and nothing is chosen by them; the curve shows validation images.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from benchmarks.results import ROOT, machine, measured_on, paragraphs, save, table
from fashion.adapters.machine import as_computed_here
from fashion.arrays import Booleans
from fashion.environment import apply_environment
from fashion.evaluation.replications import accuracy_over_seeds
from fashion.params import load_params
from fashion.paths import Project
from fashion.stages.dataset import load_split
from fashion.storage import folder_digest, write_json

Run: TypeAlias = dict[str, Any]

RECIPES = ("baseline", "sprint", "compact", "accurate")
KEPT = ROOT / ".state" / "benchmark" / "training"
PICTURE = ROOT / "docs" / "training.svg"
CONFIDENCE = 0.95


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--render", action="store_true", help="measure nothing, draw table and picture anew")
    arguments = parser.parse_args()
    if arguments.render:
        results = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    else:
        for seed in arguments.seeds:
            for name in arguments.recipes:
                measure(name, seed)
        results = {"machine": machine(), "runs": kept_runs()}
    draw(results["runs"])
    save(__file__, results, render(results))


def measure(name: str, seed: int) -> None:
    """Measure and keep a training, unless it is kept already."""
    path, origin = KEPT / f"{name}-{seed}.json", origin_of(name)
    if is_kept(path, origin):
        return
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(train_once, name, seed).result() | {"origin": origin}
    write_json(path, found)
    print(f"{name}, seed {seed}: {right_of(found).mean():.4f} in {found['seconds']:.1f} s", flush=True)


def is_kept(path: Path, origin: Mapping[str, Any]) -> bool:
    return path.exists() and json.loads(path.read_text(encoding="utf-8"))["origin"] == origin


def kept_runs() -> list[Run]:
    """Return every training that is kept and would be done in the same way now, recipe by recipe."""
    return [
        json.loads(path.read_text(encoding="utf-8"))
        for name in RECIPES
        for path in sorted(KEPT.glob(f"{name}-*.json"))
        if is_kept(path, origin_of(name))
    ]


def origin_of(name: str) -> dict[str, Any]:
    project = Project(ROOT)
    here = machine()
    return {
        "recipe": load_params(project.params).train.recipes[name].model_dump(),
        "dataset": folder_digest(project.dataset),
        "machine": {key: here[key] for key in ("processor", "instructions", "variables", "cores")},
    }


def train_once(name: str, seed: int) -> Run:
    """Train in this process; seconds are those of the training with its validation and calibration."""
    project = Project(ROOT)
    apply_environment(project)
    from fashion.model.history import State
    from fashion.model.networks import answer
    from fashion.model.training import Plan, Watch, train

    params = load_params(project.params)
    training, validation, test = (load_split(project, split) for split in ("train", "validation", "test"))
    recipe = as_computed_here(params.train.recipes[name])
    start, curve = time.perf_counter(), []

    def on_epoch(state: State) -> None:
        curve.append((time.perf_counter() - start, state.history[-1].validation_accuracy))

    plan = Plan(recipe, training, validation, len(params.data.classes), seed)
    trained = train(plan, Watch(on_epoch, lambda *_: None))
    seconds = time.perf_counter() - start
    right = answer(trained.model, test.images).logits.argmax(axis=1) == test.labels
    return {
        "recipe": name,
        "seed": seed,
        "precision": recipe.precision,
        "parameters": trained.model.count_params(),
        "seconds": seconds,
        "curve": [*curve, (seconds, trained.validation_accuracy)],
        "images": len(right),
        "right": np.packbits(right).tobytes().hex(),
    }


def right_of(run: Run) -> Booleans:
    """Return which test image the model got right, (n,)."""
    packed = np.frombuffer(bytes.fromhex(run["right"]), np.uint8)
    return np.unpackbits(packed, count=run["images"]).astype(np.bool_)


def by_recipe(runs: Sequence[Run]) -> Mapping[str, list[Run]]:
    return {
        name: [run for run in runs if run["recipe"] == name] for name in dict.fromkeys(run["recipe"] for run in runs)
    }


def render(results: Mapping[str, Any]) -> str:
    found = by_recipe(results["runs"])
    heads = ["recipe", "seeds", "accuracy on 10,000 test images, mean ± deviation", "95 % interval", "worst"]
    heads += ["parameters", "computed in", "training, s", "of `baseline`'s time", "of `compact`'s time"]
    return paragraphs(
        f"{measured_on(results['machine'])}.", table(heads, (cells(runs, found) for runs in found.values()))
    )


def cells(runs: Sequence[Run], found: Mapping[str, Sequence[Run]]) -> Iterator[str]:
    right = np.array([right_of(run) for run in runs])
    each = right.mean(axis=1)
    deviation = f" ± {each.std(ddof=1):.2%}" if len(runs) > 1 else ""
    interval = accuracy_over_seeds(right, CONFIDENCE) if len(runs) > 1 else None
    yield f"`{runs[0]['recipe']}`"
    yield ", ".join(str(run["seed"]) for run in runs)
    yield f"{each.mean():.2%}{deviation}"
    yield f"{interval.low:.2%} to {interval.high:.2%}" if interval else ""
    yield f"{each.min():.2%}"
    yield f"{runs[0]['parameters']:,}"
    yield runs[0]["precision"]
    yield f"{mean_seconds(runs):.1f}"
    for other in ("baseline", "compact"):
        yield f"{mean_seconds(runs) / mean_seconds(found[other]):.2f}" if other in found else ""


def mean_seconds(runs: Sequence[Run]) -> float:
    return float(np.mean([run["seconds"] for run in runs]))


def draw(runs: Sequence[Run]) -> None:
    """Draw validation accuracy against seconds: a line for each recipe, its band from the worst to the best seed."""
    from benchmarks.pictures import svg_figure

    with svg_figure(PICTURE, (8, 4.5)) as figure:
        axes = figure.subplots()
        for name, of_one in by_recipe(runs).items():
            curves = np.array([run["curve"] for run in of_one])  # (seeds, epochs + 1, seconds and accuracy)
            seconds, accuracy = curves[:, :, 0].mean(axis=0), curves[:, :, 1]
            (line,) = axes.plot(seconds, accuracy.mean(axis=0), marker="o", markersize=3, label=name)
            axes.fill_between(seconds, accuracy.min(axis=0), accuracy.max(axis=0), color=line.get_color(), alpha=0.2)
        axes.set(xscale="log", xlabel="seconds of training", ylabel="accuracy on validation images", ylim=(0.8, None))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")


if __name__ == "__main__":
    main()
