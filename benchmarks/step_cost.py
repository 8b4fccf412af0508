"""Measures where the time of a training step goes; writes benchmarks/step_cost.json and benchmarks/step_cost.md.

    python -m benchmarks.step_cost            # about three minutes

For each shipped recipe: CPU milliseconds of a step on one thread, with full batches and with one image in each, which
is what a step costs whatever is in it; the same with sixteen steps compiled into one call; and in bfloat16. Each figure
is the least of several rounds, which take turns, so that other work on the machine disturbs it as little as can be.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.results import ROOT, machine, measured_on, paragraphs, save, table, take_no_arguments
from fashion.adapters.machine import has_bfloat16
from fashion.environment import apply_environment
from fashion.params import Recipe, load_params
from fashion.paths import Project

ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
SHAPE, CLASSES = (28, 28, 1), 10
TOGETHER = 16
"""Steps compiled into one call."""
ROUNDS, STEPS = 3, 16
WAYS = ("step", "one image", "together", "bfloat16")
HEADS = ("a step in float32, ms", "with one image in it", f"{TOGETHER} steps in one call", "in bfloat16")


def main() -> None:
    take_no_arguments(__doc__)
    apply_environment(Project(ROOT))
    os.environ |= ONE_THREAD
    recipes = load_params(ROOT / "params.yaml").train.recipes
    results = {"machine": machine(), "recipes": {name: measure(recipe) for name, recipe in recipes.items()}}
    save(__file__, results, render(results))


def measure(recipe: Recipe) -> dict[str, float]:
    """Return the CPU milliseconds of a step in each way that this processor has."""
    size, recipe = recipe.batch_size, recipe.model_copy(update={"precision": "float32"})
    running = {
        "step": one_by_one(recipe, size),
        "one image": one_by_one(recipe, 1),
        "together": in_one_call(recipe, size),
    }
    if has_bfloat16():
        running["bfloat16"] = one_by_one(recipe.model_copy(update={"precision": "bfloat16"}), size)
    rounds = [{way: timed(steps) for way, steps in running.items()} for _ in range(ROUNDS)]
    return {"batch_size": size} | {way: min(one[way] for one in rounds) for way in running}


def compare_steps(recipes: Mapping[str, Recipe]) -> dict[str, float]:
    """Return the CPU milliseconds of a step of each recipe, its augmentation included, on one thread.

    Call it in a process that has not computed anything yet: TensorFlow reads then how many threads it may have.
    """
    os.environ |= ONE_THREAD
    running = {name: one_by_one(recipe, recipe.batch_size, augmented=True) for name, recipe in recipes.items()}
    rounds = [{name: timed(steps) for name, steps in running.items()} for _ in range(ROUNDS)]
    return {name: min(one[name] for one in rounds) for name in running}


def timed(steps: Callable[[], None]) -> float:
    start = time.process_time()
    steps()
    return 1000 * (time.process_time() - start) / STEPS


def network(recipe: Recipe) -> Any:
    from fashion.model.losses import make_loss, penalise_kernels
    from fashion.model.networks import classifier, computing_in, logits_model
    from fashion.model.optimizers import make_optimizer

    with computing_in(recipe.precision):
        model = logits_model(classifier(recipe, SHAPE, CLASSES))
    penalise_kernels(model, recipe.l2)
    model.compile(make_optimizer(recipe, 10_000), make_loss(recipe, CLASSES), metrics=["accuracy"])
    return model


def batch(size: int) -> tuple[Any, Any]:
    images = np.random.default_rng(0).integers(0, 256, (size, *SHAPE), dtype=np.uint8)
    return images, np.arange(size, dtype=np.uint8) % CLASSES


def one_by_one(recipe: Recipe, size: int, augmented: bool = False) -> Callable[[], None]:
    from fashion.images.augmentation import augment

    model, (images, labels), random = network(recipe), batch(size), np.random.default_rng(0)

    def run() -> None:
        for _ in range(STEPS):
            shown = augment(images, recipe.augmentation, random) if augmented else images
            model.train_on_batch(shown, labels, return_dict=True)

    run()  # The first steps compile.
    return run


def in_one_call(recipe: Recipe, size: int) -> Callable[[], None]:
    import tensorflow as tf

    model, (images, labels) = network(recipe), batch(size)
    many = [np.stack([each] * TOGETHER) for each in (images, labels)]
    model.train_on_batch(images, labels)

    def several(images: Any, labels: Any) -> Any:
        loss = tf.constant(0.0)
        for step in tf.range(TOGETHER):
            loss = model.train_step((images[step], labels[step]))["loss"]
        return loss

    compiled = tf.function(several)

    def run() -> None:
        for _ in range(STEPS // TOGETHER):
            float(compiled(*many))

    run()
    return run


def render(results: Mapping[str, Any]) -> str:
    rows = (cells(name, found) for name, found in results["recipes"].items())
    return paragraphs(
        f"{measured_on(results['machine'])}. CPU time of one thread; in brackets, as a share of a step.",
        table(["recipe", "batch", *HEADS], rows),
    )


def cells(name: str, found: Mapping[str, float]) -> Iterator[str]:
    yield f"`{name}`"
    yield f"{found['batch_size']:.0f}"
    yield f"{found['step']:.1f}"
    for way in WAYS[1:]:
        yield f"{found[way]:.1f} ({found[way] / found['step']:.0%})" if way in found else "not here"


if __name__ == "__main__":
    main()
