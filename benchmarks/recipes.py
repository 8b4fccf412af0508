"""Compares recipes without looking at the test set; writes benchmarks/recipes.json and benchmarks/recipes.md.

    python -m benchmarks.recipes                            # about ten minutes on two cores
    python -m benchmarks.recipes --recipes compact smoothed --seeds 1 2

Of the 60,000 training images 10,000, with the shares of the classes, stand in for the test set: nothing is trained,
stopped or calibrated on them. What is left is divided as `prepare` divides it, 45,000 to train on and 5,000 to
validate on. Every recipe is the shipped one of `compact` but for what its name says. Rows are compared on the same
images with the same seeds.
"""

import argparse
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from benchmarks.results import ROOT, machine, measured_on, paragraphs, save, table
from fashion.arrays import Floats, LabelledImages, Labels
from fashion.environment import apply_environment
from fashion.evaluation.calibration import fit_temperature, negative_log_likelihood
from fashion.evaluation.estimates import calibration_error
from fashion.images.split import stratified_split
from fashion.params import Params, Recipe, load_params
from fashion.paths import Project
from fashion.stages.raw import read_raw

SET_ASIDE = 1 / 6
"""Share of the training images that stand in for the test set."""
RECIPES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "compact": ("as shipped", {}),
    "smoothed a little": ("labels smoothed by 0.05", {"one_hot": True, "label_smoothing": 0.05}),
    "smoothed": ("labels smoothed by 0.1", {"one_hot": True, "label_smoothing": 0.1}),
}
"""What stands in the table, and what differs from the shipped recipe."""
SHORT = {"width": 0.5, "epochs": 2, "batch_size": 128, "learning_rate": 0.012, "augmentation": {}}
LONG = {"width": 2, "epochs": 14, "dropout": 0.3, "augmentation": {"shift": 1, "mirror": True}, "precision": "bfloat16"}
FOR_TIME: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "short": ("half the width, 2 epochs, batches of 128, rate 0.012, not shifted", SHORT),
    "short, shifted": ("the same, shifted by a pixel", SHORT | {"augmentation": {"shift": 1}}),
    "short, rate 0.02": ("the same, not shifted, rate 0.02", SHORT | {"learning_rate": 0.02}),
    "short, batches of 96": ("the same, rate 0.012, batches of 96", SHORT | {"batch_size": 96}),
    "short, decay 0.02": ("the same, batches of 128, weight decay 0.02", SHORT | {"weight_decay": 0.02}),
    "short, decay 0.3": ("the same, weight decay 0.3", SHORT | {"weight_decay": 0.3}),
    "short, 3 epochs": (
        "the same, 3 epochs, batches of 256, rate 0.018",
        SHORT | {"epochs": 3, "batch_size": 256, "learning_rate": 0.018, "precision": "bfloat16"},
    ),
    "short, batches of 320": (
        "the same, batches of 320, rate 0.02",
        SHORT | {"epochs": 3, "batch_size": 320, "learning_rate": 0.02, "precision": "bfloat16"},
    ),
    "long": ("twice the width, 14 epochs, mirrored, dropout 0.3", LONG),
    "long, 18 epochs": ("the same, 18 epochs", LONG | {"epochs": 18}),
    "long, cropped": (
        "the same, 16 epochs, cropped by up to 0.1",
        LONG | {"epochs": 16, "augmentation": {"shift": 1, "mirror": True, "crop": 0.1}},
    ),
    "long, deeper": ("the same, 14 epochs, 1.5 times the width, depth 2", LONG | {"width": 1.5, "depth": 2}),
}
"""What was tried for `sprint` and `accurate`; measured if it is named."""
ALL = {**RECIPES, **FOR_TIME}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", choices=ALL, default=list(RECIPES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    arguments = parser.parse_args()
    tried = [(name, seed) for seed in arguments.seeds for name in arguments.recipes]
    apply_environment(Project(ROOT))
    # Two processes with a thread each: a small network gains less from a second thread.
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    with ProcessPoolExecutor(max_workers=2, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        found = [tell(one) for one in pool.map(try_recipe, *zip(*tried, strict=True))]
    results = {"machine": machine(), "runs": found}
    save(__file__, results, render(results))


def tell(one: dict[str, Any]) -> dict[str, Any]:
    print(f"{one['recipe']}, seed {one['seed']}: {one['accuracy']:.4f}", flush=True)
    return one


def try_recipe(name: str, seed: int) -> dict[str, Any]:
    """Train once, in a process of its own; return figures of the validation images and of those set aside."""
    from fashion.model.networks import answer
    from fashion.model.training import Plan, Watch, train

    params = load_params(ROOT / "params.yaml")
    recipe = Recipe(**{**params.train.recipes["compact"].model_dump(), **ALL[name][1]})
    training, validation, aside = divide(params)
    silent = Watch(on_epoch=lambda *_: None, on_step=lambda *_: None)
    trained = train(Plan(recipe, training, validation, len(params.data.classes), seed), silent)
    logits = {
        split: answer(trained.model, examples.images).logits
        for split, examples in (("validation", validation), ("aside", aside))
    }
    return {
        "recipe": name,
        "seed": seed,
        "seconds": sum(epoch.seconds for epoch in trained.history),
        **figures(logits["validation"], validation.labels, logits["aside"], aside.labels),
    }


def divide(params: Params) -> Iterator[LabelledImages]:
    """Draw the images to train on, to validate on, and set aside."""
    train = read_raw(Project(ROOT), params.data)["train"]
    rest, aside = stratified_split(train.labels, SET_ASIDE, seed=0)
    first, second = stratified_split(train.labels[rest], params.prepare.validation_fraction, params.prepare.seed)
    for chosen in (rest[first], rest[second], aside):
        yield LabelledImages(train.images[chosen], train.labels[chosen])


def figures(validation: Floats, validation_labels: Labels, aside: Floats, aside_labels: Labels) -> dict[str, float]:
    """Of the images set aside, unless the name says otherwise; by a temperature from the validation images."""
    temperature = fit_temperature(validation, validation_labels)
    probabilities = softmax(aside / temperature, axis=1)
    halves = np.arange(len(aside_labels)) % 2
    # What a calibration on images of the same kind, with which nothing was stopped, would do.
    crossed = np.where(
        halves[:, None],
        *(aside / fit_temperature(aside[halves == half], aside_labels[halves == half]) for half in (0, 1)),
    )
    scale, offset = fit_vector(validation, validation_labels, 1 / temperature)
    return {
        "temperature": temperature,
        "validation_accuracy": float(np.mean(validation.argmax(axis=1) == validation_labels)),
        "accuracy": float(np.mean(aside.argmax(axis=1) == aside_labels)),
        "overconfidence": float(probabilities.max(axis=1).mean() - np.mean(aside.argmax(axis=1) == aside_labels)),
        "negative_log_likelihood": negative_log_likelihood(aside / temperature, aside_labels),
        "error_on_validation": error_of(validation / temperature, validation_labels),
        "error": error_of(aside / temperature, aside_labels),
        "error_cross_fitted": error_of(crossed, aside_labels),
        "error_by_vector": error_of(aside * scale + offset, aside_labels),
    }


def error_of(logits: Floats, labels: Labels) -> float:
    """The plug-in estimate of the calibration error, as `evaluate` reports it."""
    probabilities = softmax(logits, axis=1)
    return calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, bins=15).plug_in


def fit_vector(logits: Floats, labels: Labels, start: float) -> tuple[Floats, Floats]:
    """Vector scaling: a factor and an offset for each class. Source: C. Guo et al., ICML 2017."""
    count, classes = logits.shape
    truth = np.eye(classes)[labels]

    def loss(values: Floats) -> tuple[float, Floats]:
        likelihoods = log_softmax(logits * values[:classes] + values[classes:], axis=1)
        gradient = (np.exp(likelihoods) - truth) / count
        return -float((likelihoods * truth).sum()) / count, np.r_[(gradient * logits).sum(axis=0), gradient.sum(axis=0)]

    found = minimize(loss, np.r_[np.full(classes, start), np.zeros(classes)], jac=True, method="L-BFGS-B").x
    return found[:classes], found[classes:]


def render(results: dict[str, Any]) -> str:
    runs = results["runs"]
    seeds = sorted({one["seed"] for one in runs})
    heads = ["recipe", "accuracy, mean ± deviation", "validation accuracy", "negative log-likelihood", "temperature"]
    heads += ["confidence minus accuracy", "calibration error, mean", "worst", "cross-fitted", "vector scaling", "time"]
    first = [one for one in runs if one["recipe"] == runs[0]["recipe"]]
    seconds = float(np.mean([one["seconds"] for one in first]))
    names = dict.fromkeys(one["recipe"] for one in runs)
    return paragraphs(
        f"{measured_on(results['machine'])}. Seeds {', '.join(map(str, seeds))}; 10,000 training images set aside.",
        table(heads, (cells(name, [one for one in runs if one["recipe"] == name], seconds) for name in names)),
    )


def cells(name: str, runs: list[dict[str, Any]], usual_seconds: float) -> list[str]:
    mean = {key: float(np.mean([one[key] for one in runs])) for key in runs[0] if key != "recipe"}
    deviation = float(np.std([one["accuracy"] for one in runs], ddof=1)) if len(runs) > 1 else 0.0
    return [
        ALL[name][0],
        f"{mean['accuracy']:.2%} ± {deviation:.2%}",
        f"{mean['validation_accuracy']:.2%}",
        f"{mean['negative_log_likelihood']:.4f}",
        f"{mean['temperature']:.2f}",
        f"{100 * mean['overconfidence']:+.2f} points",
        f"{mean['error']:.4f}",
        f"{max(one['error'] for one in runs):.4f}",
        f"{mean['error_cross_fitted']:.4f}",
        f"{mean['error_by_vector']:.4f}",
        f"{mean['seconds'] / usual_seconds:.2f}",
    ]


if __name__ == "__main__":
    main()
