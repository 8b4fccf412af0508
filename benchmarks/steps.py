"""Measures how many steps a training needs to learn what its images can teach; writes benchmarks/steps.json and .md.

    python -m benchmarks.steps            # about five minutes on two cores

Shipped recipes learn from a few of the training images, for different numbers of epochs. What they reach is measured on
validation images alone. `src/fashion/model/steps.py` takes its limit from the result.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from benchmarks.results import ROOT, machine, measured_on, paragraphs, save, table, take_no_arguments
from fashion.arrays import LabelledImages
from fashion.environment import apply_environment
from fashion.images.split import stratified_split
from fashion.model.steps import count_steps
from fashion.params import Recipe, load_params
from fashion.paths import Project
from fashion.stages.dataset import load_split

TRIED: Mapping[tuple[str, int], Sequence[int]] = {
    ("compact", 500): (2, 4, 8, 16, 32, 64),
    ("compact", 2_000): (1, 2, 4, 8, 16, 32),
    ("compact", 10_000): (1, 2, 4, 8),
    ("baseline", 2_000): (1, 2, 4, 8, 16, 32),
}
"""Epochs by recipe and number of training images."""
BATCH_SIZE = 32
VALIDATED = 2_000
SEED = 1


def main() -> None:
    take_no_arguments(__doc__)
    project = Project(ROOT)
    apply_environment(project)
    recipes = load_params(project.params).train.recipes
    validation = choose(load_split(project, "validation"), VALIDATED)
    training = load_split(project, "train")
    runs = [
        try_recipe(name, recipes[name].model_copy(update={"epochs": number, "batch_size": BATCH_SIZE}), few, validation)
        for (name, images), epochs in TRIED.items()
        for few in [choose(training, images)]
        for number in epochs
    ]
    results = {"machine": machine(), "runs": runs}
    save(__file__, results, render(results))


def choose(examples: LabelledImages, count: int) -> LabelledImages:
    """Draw that many examples, with the shares of the classes."""
    _, chosen = stratified_split(examples.labels, count / len(examples.labels), SEED)
    return LabelledImages(examples.images[chosen], examples.labels[chosen])


def try_recipe(name: str, recipe: Recipe, training: LabelledImages, validation: LabelledImages) -> dict[str, Any]:
    from fashion.model.training import Plan, Watch, train

    classes, images = int(validation.labels.max()) + 1, len(training.labels)
    silent = Watch(on_epoch=lambda *_: None, on_step=lambda *_: None)
    trained = train(Plan(recipe, training, validation, classes, SEED), silent)
    steps = count_steps(recipe, images, classes).total
    print(f"{name}, {images} images, {steps} steps: {trained.validation_accuracy:.4f}", flush=True)
    return {"recipe": name, "images": images, "steps": steps, "accuracy": trained.validation_accuracy}


def render(results: dict[str, Any]) -> str:
    rows = [
        [f"`{name}`", f"{images:,}", ", ".join(f"{one['steps']:,}: {one['accuracy']:.1%}" for one in runs)]
        for (name, images), runs in groupby(results["runs"], lambda one: (one["recipe"], one["images"]))
    ]
    return paragraphs(
        f"{measured_on(results['machine'])}. Batches of {BATCH_SIZE}, seed {SEED}, {VALIDATED:,} validation images.",
        table(["recipe", "training images", "steps: validation accuracy"], rows),
    )


if __name__ == "__main__":
    main()
