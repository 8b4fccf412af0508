"""Changes one thing of the recipe `compact` at a time: optimizer, activation, regularisation, augmentation, network.

    python -m benchmarks.experiments                 # about 50 minutes on two cores
    python -m benchmarks.experiments --variants adam tanh --seeds 1 2

Of the training images 10,000, with the shares of the classes, stand in for the test set, which is not used: nothing is
trained, stopped or chosen on them. What is left is divided as `prepare` divides it, and of its training part 27,000 are
learned from, in as many epochs as `compact` has. An optimizer other than muon first gets the best of three learning
rates, by validation accuracy, with half of these images and one seed. What a step costs is measured apart, for all
changes in turns, in CPU time: other work on the machine does not count.

Every training is kept as soon as it is over: after Ctrl-C or a kill the same command goes on from there, as long as
processor, code and data are the same. It writes benchmarks/experiments.json and .md, docs/experiments.svg, and the
table into docs/experiments.md.
"""

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.experiment_rows import Rows, describe_run
from benchmarks.experiments_page import Findings, write_page
from benchmarks.results import ROOT
from benchmarks.step_cost import compare_steps
from benchmarks.variants import BASE, VARIANTS, Variant
from fashion.arrays import LabelledImages
from fashion.environment import apply_environment
from fashion.errors import TrainingError
from fashion.experiments.trial import pack
from fashion.images.split import stratified_split
from fashion.images.subsets import stratified_order
from fashion.params import Recipe, load_params
from fashion.paths import Project
from fashion.stages.raw import read_raw

SEEDS = (1, 2, 3)
RATE_SEED = 1
SPLIT_SEED = 0
FIRST, LAST = "first", "last"
PRELOADED = ["fashion.experiments.preloaded"]


@dataclass(frozen=True)
class Bench:
    """A run of the benchmark: what it trains on, where it keeps it."""

    project: Project
    base: Recipe
    training: int
    aside: int
    rows: Rows
    run: str
    """When this call began."""

    def train(self, name: str, recipe: Recipe, seed: int, share: float = 1.0) -> dict[str, Any]:
        """Return the row of a training, after doing it unless it is there."""
        if row := self.rows.load(name, recipe, seed):
            return row
        images = round(self.training * share)
        with ProcessPoolExecutor(1, mp_context=_context()) as pool:
            found = pool.submit(train_apart, self.project.root, recipe, seed, (images, self.aside)).result()
        row = {"name": name, "seed": seed, "run": self.run, **found}
        self.rows.save(name, recipe, seed, row)
        said = row.get("failed") or f"{row['accuracy']:.4f}, {row['seconds']:.1f} s"
        print(f"seed {seed}, {name}: {said}", flush=True)
        return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", choices=[one.name for one in VARIANTS], metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--training", type=int, default=27_000, help="Images that are learned from.")
    parser.add_argument("--aside", type=int, default=10_000, help="Training images that stand in for the test set.")
    parser.add_argument("--project", type=Path, default=ROOT, help="Whose data and recipe are taken.")
    parser.add_argument("--output", type=Path, help="Where the results go instead, and none into the documents.")
    arguments = parser.parse_args()
    variants = [one for one in VARIANTS if not arguments.variants or one.name in arguments.variants]
    bench = prepare(Project(arguments.project.resolve()), arguments.training, arguments.aside)
    rates = choose_rates(bench, variants)
    recipes = {one.name: one.recipe(bench.base, rates.get(one.name)) for one in variants}
    with ProcessPoolExecutor(1, mp_context=_context()) as pool:
        costs = pool.submit(compare_steps, {BASE: bench.base, **recipes}).result()
    for number, seed in enumerate(arguments.seeds):
        train_all(bench, recipes, seed)
        # After each seed: whoever stops it has a table.
        done = arguments.seeds[: number + 1]
        write_page(bench.rows, variants, bench.base, Findings(done, costs), arguments.output)


def prepare(project: Project, training: int, aside: int) -> Bench:
    apply_environment(project)
    params = load_params(project.params)
    sizes = {"training": training, "aside": aside}
    rows = Rows.of(project.state / "benchmark-experiments", describe_run(params, sizes))
    run = f"{datetime.now(UTC):%Y%m%dT%H%M%S}"
    return Bench(project, params.train.recipes[BASE], training, aside, rows, run)


def _context() -> Any:
    """Return how a training gets a process of its own: forked from one that has imported TensorFlow."""
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def choose_rates(bench: Bench, variants: Sequence[Variant]) -> dict[str, float]:
    """Return for each optimizer the learning rate that gave the best validation accuracy on half of the images."""
    chosen = {}
    for one in variants:
        tried = {
            rate: bench.train(f"{one.name} at {rate:g}", one.recipe(bench.base, rate), RATE_SEED, share=0.5)
            for rate in one.rates
        }
        if tried:
            chosen[one.name] = max(tried, key=lambda rate: float(tried[rate]["validation_accuracy"]))
    return chosen


def train_all(bench: Bench, recipes: dict[str, Recipe], seed: int) -> None:
    """Train what is missing with this seed, between two trainings of `compact`, which should be identical."""
    missing = {name: recipe for name, recipe in recipes.items() if bench.rows.load(name, recipe, seed) is None}
    if not missing and bench.rows.all(seed, BASE, bench.base):
        return
    bench.train(f"{BASE} {bench.run} {FIRST}", bench.base, seed)
    for name, recipe in missing.items():
        bench.train(name, recipe, seed)
    bench.train(f"{BASE} {bench.run} {LAST}", bench.base, seed)


def train_apart(root: Path, recipe: Recipe, seed: int, sizes: tuple[int, int]) -> dict[str, Any]:
    """Train, in a process of its own; return which of the images set aside the model gets right, and the time."""
    from fashion.model.networks import logits_model, predict_logits
    from fashion.model.training import Plan, Watch, train

    params = load_params(root / "params.yaml")
    training, validation, aside = divide(root, *sizes)
    plan = Plan(recipe, training, validation, len(params.data.classes), seed)
    try:
        trained = train(plan, Watch(on_epoch=lambda *_: None, on_step=lambda *_: None))
    except TrainingError as error:  # A learning rate that is too large is a result, too.
        return {"failed": str(error), "seconds": 0.0, "validation_accuracy": 0.0, "accuracy": 0.0}
    logits = predict_logits(logits_model(trained.model), aside.images)
    right = logits.argmax(axis=1) == aside.labels
    return {
        "recipe": recipe.model_dump(mode="json", exclude_defaults=True),
        "training_images": len(training.labels),
        "validation_images": len(validation.labels),
        "steps": len(trained.history) * plan.steps,
        "seconds": sum(epoch.seconds for epoch in trained.history),
        "validation_accuracy": trained.validation_accuracy,
        "accuracy": float(right.mean()),
        "images": len(right),
        "right": pack(right),
    }


def divide(root: Path, training: int, aside: int) -> list[LabelledImages]:
    """Return the images to train on, to validate on, and set aside."""
    params = load_params(root / "params.yaml")
    whole = read_raw(Project(root), params.data)["train"]
    rest, last = stratified_split(whole.labels, aside / len(whole.labels), SPLIT_SEED)
    first, second = stratified_split(whole.labels[rest], params.prepare.validation_fraction, params.prepare.seed)
    if len(first) < training:
        raise SystemExit(f"--training {training}: only {len(first)} images are left to train on")
    chosen = stratified_order(whole.labels[rest[first]], SPLIT_SEED)[:training]
    return [
        LabelledImages(whole.images[part], whole.labels[part]) for part in (rest[first][chosen], rest[second], last)
    ]


if __name__ == "__main__":
    main()
