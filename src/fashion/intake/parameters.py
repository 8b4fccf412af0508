"""The keys of params.yaml that depend on the data."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML

from fashion.images.photos import Form
from fashion.intake.arrange import Arranged
from fashion.intake.derived import merge
from fashion.intake.suites import Measured, fit_counts, quarantined_share
from fashion.model.suited import suited_recipe
from fashion.params import DataFile, Recipe
from fashion.params.editing import REMOVED, Path, edit
from fashion.params.pipeline import IDX_FILES

MOST_QUARANTINED = 0.01
"""Of the images, besides those that are in quarantine as the data are."""
LEAST_VALIDATION, MOST_VALIDATION = 0.1, 0.5
"""Share of the training images that `prepare` sets aside."""
CALIBRATION = 0.02
"""The gate of Fashion-MNIST on 10,000 test images; the error of few images is larger by chance:"""
BY_CHANCE = 0.5
"""times the square root of the number of bins divided by that of the test images."""
LEAST_MARGIN = 0.005
"""The margin of Fashion-MNIST: what is lost on few images cannot be measured as finely."""
FOR_RECENT = 2
"""Times the margin, for a candidate that is better on recent images, as with Fashion-MNIST."""
ALWAYS = ("data.classes", "data.shards", *(f"data.{key}" for key in IDX_FILES))
"""What describes the files in data/, whatever a person has written."""
RECIPE_NOTE = "Derived by fashion import from {} images of {} x {} pixels, those for validation among them."


@dataclass(frozen=True)
class Dataset:
    """What the values follow from."""

    name: str
    """The recipe and the registered model get it."""
    form: Form
    arranged: Arranged
    measured: Measured
    files: Sequence[DataFile]


def derive_parameters(dataset: Dataset, bins: int) -> dict[str, Any]:
    """Return the values that follow from the data, by dotted name; None: the key is not to be there.

    Args:
        bins: of the calibration error.
    """
    name, pictures, measured = dataset.name, dataset.form.pictures, dataset.measured
    counts = fit_counts(measured)
    validation = _validation(counts)
    recipe = suited_recipe([max(1, int(count * (1 - validation))) for count in counts], dataset.form.shape)
    return {
        "data.classes": list(dataset.arranged.classes),
        "data.image_size": list(dataset.form.size),
        "data.pictures.channels": pictures.channels,
        "data.pictures.isolate": pictures.isolate,
        "data.pictures.fit": pictures.fit,
        "data.pictures.ground": pictures.ground,
        **{f"data.{key}": None for key in IDX_FILES},
        "data.shards": [file.model_dump() for file in dataset.files],
        "data.sources": ["dvc"],
        "validate.max_quarantined": _round_up(MOST_QUARANTINED + quarantined_share(measured), 3),
        "prepare.validation_fraction": validation,
        "train.recipe": name,
        f"train.recipes.{name}": recipe.model_dump(mode="json", exclude_defaults=True),
        **_gates(measured, recipe, bins),
        **_margins(measured),
        "register.name": name,
    }


def read_values(text: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that params.yaml has under these dotted names."""
    content, found = YAML(typ="safe").load(text), {}
    for name in names:
        value: Any = content
        for key in split_name(name):
            value = value.get(key) if isinstance(value, dict) else None
        found[name] = value
    return found


def write_values(text: str, values: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    """Return the text of params.yaml with these values."""
    changes = {split_name(name): REMOVED if value is None else value for name, value in values.items()}
    return edit(text, changes, {split_name(name): note for name, note in notes.items()})


def split_name(name: str) -> Path:
    """Return the keys of a dotted name; the name of a recipe may hold dots."""
    if name.startswith("train.recipes."):
        return "train", "recipes", name.removeprefix("train.recipes.")
    return tuple(name.split("."))


def choose_values(before: Mapping[str, Any], is_known: bool, text: str, after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be written, by dotted name; None: the key is to go.

    Args:
        before: what was derived last, for this dataset or for another one.
        is_known: whether it was for this one: then what a person has edited since stays.
        text: params.yaml as it is.
    """
    present = read_values(text, {**before, **after})
    if not is_known:
        # The recipe of the other dataset goes, unless it was edited.
        gone = [name for name, value in before.items() if name not in after and present[name] == value]
        return {**after, **dict.fromkeys(gone)}
    merged = merge(before, present, after)
    return {name: after[name] if name in ALWAYS else merged.get(name) for name in after}


def _validation(counts: Sequence[int]) -> float:
    """Return a share of which the rarest class has at least one image."""
    return min(MOST_VALIDATION, max(LEAST_VALIDATION, _round_up(1 / min(counts), 2)))


def _gates(measured: Measured, recipe: Recipe, bins: int) -> dict[str, float]:
    test, classes = measured.of("test"), len(measured.classes)
    calibration = CALIBRATION + BY_CHANCE * math.sqrt(bins / len(test))
    # A recipe that makes up for unequal classes aims at equal recalls, at the cost of the most frequent class.
    is_equal = recipe.class_weights == "none"
    return {
        "evaluate.gates.accuracy_at_least": _above(max(measured.shares["test"]) if is_equal else 1 / classes),
        "evaluate.gates.recall_of_every_class_at_least": math.floor(10_000 / classes) / 10_000,
        "evaluate.gates.expected_calibration_error_at_most": _round_up(calibration, 2),
    }


def _margins(measured: Measured) -> dict[str, float]:
    margin = choose_margin(len(measured.of("test")))
    return {
        "register.judgement.margins.accuracy": margin,
        "register.judgement.margins.accuracy_for_recent": min(1.0, FOR_RECENT * margin),
    }


def choose_margin(test_images: int) -> float:
    """Return a margin of accuracy that a candidate as good as the champion can keep to.

    The 95 % interval of a difference reaches 1.96 times the root of d / n to either side, if two equally good models
    answer the share d of n test images differently. With 1 / root of n they keep to the margin up to d = 0.26.
    """
    return _round_up(max(LEAST_MARGIN, 1 / math.sqrt(test_images)), 3)


def _above(share: float) -> float:
    """Return the next whole percentage above a share."""
    return min(1.0, (math.floor(round(100 * share, 6)) + 1) / 100)


def _round_up(value: float, digits: int) -> float:
    factor: int = 10**digits
    return min(1.0, math.ceil(round(value * factor, 6)) / factor)
