"""Measures what an import makes of people's own pictures; writes benchmarks/own_images.json and .md.

    python -m benchmarks.own_images ../shared/data/emoji       # that folder, and the digits of scikit-learn
    python -m benchmarks.own_images ~/Pictures/birds --trial   # the same with any folder, and nothing is saved

Each dataset is imported into a project of its own under .state/own_images, and the recipe that the import has derived
is trained with five seeds. The test images are read once by each trained model, and nothing is chosen by them. Then
few of the folder's pictures: trainings that start from the champion on Fashion-MNIST, against others from nothing.
"""

import argparse
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import run
from benchmarks.projects import commit_all, copy_project
from benchmarks.results import ROOT, machine, measured_on, paragraphs, save, table
from benchmarks.training import right_of
from fashion.adapters.machine import as_computed_here
from fashion.arrays import Booleans, LabelledImages, Labels
from fashion.environment import apply_environment
from fashion.evaluation.estimates import Estimate
from fashion.evaluation.replications import accuracy_over_seeds, difference_over_seeds, macro_recall_over_seeds
from fashion.paths import Project

SEEDS = (1, 2, 3, 4, 5)
CONFIDENCE = 0.95
FEW = 500
"""Pictures for the trainings that start from another model."""
FOLDER = ROOT / ".state" / "own_images"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="a folder, one below it for each class")
    parser.add_argument("--trial", action="store_true", help="print the tables and save nothing")
    arguments = parser.parse_args()
    pictures = arguments.pictures.expanduser().resolve()
    shutil.rmtree(FOLDER, ignore_errors=True)
    datasets = [measure(source) for source in (pictures, draw_digits(FOLDER / "digits of scikit-learn"))]
    project = Project(FOLDER / f"project of {pictures.name}")
    few = {kind: train_all(project, few=FEW, start=kind == "champion") for kind in ("champion", "nothing")}
    results = {"machine": machine(), "datasets": datasets, "few": few}
    if arguments.trial:
        print(render(results))
    else:
        save(__file__, results, render(results))


def draw_digits(folder: Path) -> Path:
    """Write the 1,797 digits of scikit-learn, 8 x 8 pixels in grey, as a folder of pictures for each class."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        path = folder / str(label) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.minimum(image * 16, 255).astype(np.uint8)).save(path)
    return folder


def measure(source: Path) -> dict[str, Any]:
    """Import the folder, and train what was derived."""
    project = copy_project(FOLDER / f"project of {source.name}")
    commit_all(project)
    imported = run(["fashion", "import", str(source), "--yes"], project.root)
    for stage in ("validate", "prepare"):
        run(["fashion", stage], project.root)
    print(f"{source.name}: imported in {imported.seconds:.1f} s", flush=True)
    return {"name": source.name, "import_seconds": imported.seconds, **train_all(project)}


def train_all(project: Project, few: int | None = None, start: bool = False) -> dict[str, Any]:
    """Train with every seed, two trainings at a time, each on one core."""
    with ProcessPoolExecutor(2, get_context("spawn"), initializer=use_one_core) as pool:
        runs = list(pool.map(partial(train_once, project, few, start), SEEDS))
    labels = runs[0].pop("labels")
    return {"labels": labels, "runs": [{key: value for key, value in one.items() if key != "labels"} for one in runs]}


def use_one_core() -> None:
    import os

    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def train_once(project: Project, few: int | None, start: bool, seed: int) -> dict[str, Any]:
    """Train the recipe in use, on all training images or a few; return which test images it gets right."""
    apply_environment(project)
    from fashion.model.networks import answer
    from fashion.model.training import Plan, Watch, train
    from fashion.params import load_params
    from fashion.stages.classifier import load_classifier
    from fashion.stages.dataset import load_split

    params = load_params(project.params)
    training, validation, test = (load_split(project, split) for split in ("train", "validation", "test"))
    training = choose(training, few, seed) if few else training
    recipe = as_computed_here(params.train.chosen)
    champion = load_classifier(Project(ROOT).model_file) if start else None
    began = time.process_time()
    plan = Plan(recipe, training, validation, len(params.data.classes), seed, champion)
    trained = train(plan, Watch(lambda _: None, lambda *_: None))
    seconds = time.process_time() - began
    right = answer(trained.model, test.images).logits.argmax(axis=1) == test.labels
    print(f"  seed {seed}: {right.mean():.2%} in {seconds:.0f} s of processor time", flush=True)
    return {
        "seed": seed,
        "learned_from": len(training.labels),
        "processor_seconds": seconds,
        "images": len(right),
        "right": np.packbits(right).tobytes().hex(),
        "labels": test.labels.tolist(),
        "taken": trained.fit.taken if trained.fit else [],
    }


def choose(images: LabelledImages, count: int, seed: int) -> LabelledImages:
    """Return so many of the images at random, of each class its share, and at least one."""
    random = np.random.default_rng(seed)
    share = min(1.0, count / len(images.labels))
    chosen = [
        random.permutation(np.flatnonzero(images.labels == label))[: max(1, round(share * size))]
        for label, size in enumerate(np.bincount(images.labels))
        if size
    ]
    positions = np.sort(np.concatenate(chosen))
    return LabelledImages(images.images[positions], images.labels[positions])


def answers_of(found: Mapping[str, Any]) -> tuple[Booleans, Labels]:
    """Return which test image each model got right, (seeds, images), and the labels, (images,)."""
    return np.array([right_of(one) for one in found["runs"]]), np.array(found["labels"])


def render(results: Mapping[str, Any]) -> str:
    heads = ["pictures", "training images", "import, s", "training, processor s", "test images", "seeds"]
    heads += ["accuracy, mean ± deviation", "95 % interval", "mean recall of the classes ± deviation", "95 % interval"]
    few, nothing = (answers_of(results["few"][kind]) for kind in ("champion", "nothing"))
    difference = difference_over_seeds(few[0], nothing[0], CONFIDENCE)
    count = results["few"]["champion"]["runs"][0]["learned_from"]
    name = results["datasets"][0]["name"]
    return paragraphs(
        f"{measured_on(results['machine'])}.",
        table(heads, [list(cells(one)) for one in results["datasets"]]),
        f"On {count} training pictures of `{name}`, starting from the champion on Fashion-MNIST: {few[0].mean():.2%} "
        f"of {len(few[1])} test pictures; from nothing: {nothing[0].mean():.2%}; the difference is "
        f"{difference.value:+.2%} ({difference.low:+.2%} to {difference.high:+.2%}, {len(SEEDS)} seeds each).",
    )


def cells(found: Mapping[str, Any]) -> Sequence[str]:
    (right, labels), runs = answers_of(found), found["runs"]
    accuracy = accuracy_over_seeds(right, CONFIDENCE)
    recall = macro_recall_over_seeds(right, labels, CONFIDENCE)
    recalls = [np.mean([one[labels == label].mean() for label in np.unique(labels)]) for one in right]
    return [
        found["name"],
        f"{runs[0]['learned_from']:,}",
        f"{found['import_seconds']:.1f}",
        f"{np.mean([one['processor_seconds'] for one in runs]):.0f}",
        f"{len(labels):,}",
        str(len(runs)),
        *_mean_and_interval(right.mean(axis=1), accuracy),
        *_mean_and_interval(np.array(recalls), recall),
    ]


def _mean_and_interval(each: Any, estimate: Estimate) -> tuple[str, str]:
    return f"{each.mean():.2%} ± {each.std(ddof=1):.2%}", f"{estimate.low:.2%} to {estimate.high:.2%}"


if __name__ == "__main__":
    main()
