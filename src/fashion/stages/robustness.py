"""What `evaluate` measures on corrupted images and on slices: robustness.json and its picture; and reading it again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion.adapters.plots_robustness import robustness
from fashion.arrays import Booleans, Bytes, LabelledImages
from fashion.evaluation.estimates import Estimate
from fashion.evaluation.robustness import answer_copies, describe_copies, describe_slices, mean_accuracy
from fashion.images.photos import Form
from fashion.images.slices import COLUMNS, Slice, belong, define_slices, describe_for_slices
from fashion.paths import ROBUSTNESS, Project
from fashion.reading import read_json, translate_damage
from fashion.storage import write_json

PICTURE = "robustness.png"
MADE_BY = "dvc repro evaluate"


@dataclass(frozen=True)
class Robustness:
    """What was measured."""

    corrupted: Estimate
    """Accuracy over all corruptions and severities."""
    content: Mapping[str, Any]
    """Of robustness.json."""


def measure_robustness(
    predict: Callable[[Bytes], NDArray[np.intp]],
    splits: Mapping[str, LabelledImages],
    correct: Booleans,
    form: Form,
    classes: tuple[str, ...],
) -> Robustness:
    """Measure a model on corrupted test images, and on slices of the test set.

    Args:
        predict: returns the class that the model gives each image.
        splits: `train` says what the slices are, `test` is measured on.
        correct: of the test set, the images that the model is right about.
    """
    slices, test = define_slices(splits["train"], form, classes), splits["test"]
    copies = answer_copies(predict, test)
    content = {
        "images": len(test.labels),
        "corrupted": describe_copies(copies),
        "slices": describe_slices(slices, find_members(slices, test), correct),
    }
    return Robustness(mean_accuracy(copies), content)


def find_members(slices: tuple[Slice, ...], images: LabelledImages) -> dict[str, Booleans]:
    """Return which of the images belong to each slice, (n,)."""
    table = describe_for_slices(images.images)
    return {one.name: belong(one, table, images.labels) for one in slices}


def write_robustness(folder: Path, measured: Robustness) -> None:
    """Write robustness.json and its picture into the existing `folder`."""
    write_json(folder / ROBUSTNESS, measured.content)
    robustness(measured.content["corrupted"], measured.content["slices"], folder / PICTURE)


def read_slices(project: Project) -> tuple[Slice, ...] | None:
    """Return the slices as `evaluate` defined them; None if it ran before there were any.

    Raises:
        ArtifactError: the file is damaged.
    """
    path = project.evaluation / ROBUSTNESS
    if not path.exists():
        return None
    content = read_json(path, MADE_BY)
    with translate_damage(path, f"make it with: {MADE_BY}"):
        return tuple(_slice(one) for one in content["slices"])


def _slice(content: Mapping[str, Any]) -> Slice:
    """Raises LookupError, TypeError or ValueError if the content is of another form."""
    column = None if content["column"] is None else str(content["column"])
    if column is not None and column not in {known for known, _ in COLUMNS.values()}:
        raise ValueError(f"{column!r} is not a descriptor of a slice")
    labels = tuple(int(label) for label in content["labels"])
    return Slice(str(content["name"]), str(content["definition"]), column, float(content["below"]), labels)
