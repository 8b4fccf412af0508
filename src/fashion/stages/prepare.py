"""Training, validation and test images as arrays that every later stage maps into memory."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion.arrays import LabelledImages, Labels
from fashion.errors import DataError
from fashion.evaluation.survey import Survey
from fashion.images.assignment import Fractions, assign_splits
from fashion.images.split import Positions, class_counts, stratified_split
from fashion.params import Params
from fashion.paths import DATASET, QUARANTINE, Project
from fashion.reading import translate_damage
from fashion.stages.batches import read_labels, read_survey
from fashion.stages.collected import Collected, Split, add_collected, choose
from fashion.stages.dataset import write_split
from fashion.stages.raw import digests, read_batches, read_raw, read_salt
from fashion.stages.restoring import is_synthetic
from fashion.storage import atomic_folder, write_json


@dataclass(frozen=True)
class Prepared:
    """What dataset.json says about the arrays beside it."""

    classes: tuple[str, ...]
    images: dict[str, int]
    """By split."""
    images_of_class: dict[str, dict[str, int]]
    """By split, then by class."""
    quarantined: int
    """Training and collected images that are left out."""
    collected: int
    """Collected images among the training and validation images, each counted once."""
    survey: Survey
    """How many labels had been requested at random, and how many of them had arrived."""
    validation_fraction: float
    seed: int
    synthetic: bool
    files: dict[str, str]
    """SHA-256 of each data file."""


def prepare(project: Project, params: Params) -> Prepared:
    """Drop quarantined images, set a validation part aside, and write all splits to artifacts/dataset.

    The published test set stays as it is. Part of the collected images whose label was requested at random becomes the
    recent test set; all others are used for training. If an image was collected again, only its last label counts.

    Raises:
        DataError: a data file is damaged, a label is not a class, or a class has too few images.
        ArtifactError: `validate` has not run, or its list of quarantined images is damaged, or that of a batch.
    """
    raw, batches = read_raw(project, params.data), read_batches(project, params.data)
    quarantined = {
        name: _quarantined(project, name, split) for name, split in {"train": raw["train"], **batches}.items()
    }
    kept = np.delete(np.arange(len(raw["train"].labels)), quarantined["train"])
    whole = np.arange(len(raw["test"].labels))
    _check_labels(params, "train", raw["train"].labels, kept)
    _check_labels(params, "test", raw["test"].labels, whole)
    splits = {**_divide(params, raw["train"], kept), "test": choose(raw["test"], whole)}
    collected = 0
    if batches:
        joined = _join(batches, quarantined, read_labels(project, batches))
        splits, collected = add_collected(params, splits, joined, read_salt(project))
    left_out, survey = sum(map(len, quarantined.values())), read_survey(project)
    prepared = _describe(project, params, splits, {"quarantined": left_out, "collected": collected}, survey)
    with atomic_folder(project.dataset) as folder:
        for name, split in splits.items():
            write_split(folder, name, split.pieces, split.labels)
        write_json(folder / DATASET, asdict(prepared))
    return prepared


def _quarantined(project: Project, name: str, split: LabelledImages) -> NDArray[np.int64]:
    """Return the positions of the images in a split that `validate` quarantined, ascending and unique."""
    path = project.validation / QUARANTINE
    with translate_damage(path, "make it with: dvc repro validate"):
        table = pd.read_csv(path)
        positions = np.unique(table.loc[table["split"] == name, "index"].to_numpy(np.int64))
        if len(positions) and not 0 <= positions[0] <= positions[-1] < len(split.labels):
            raise ValueError(f"it belongs to other data: image {positions[-1]} of {len(split.labels)}")
    return positions


def _check_labels(params: Params, split: str, labels: Labels, kept: Positions) -> None:
    file = {"train": params.data.train_labels, "test": params.data.test_labels}[split]
    where = f"data/{file.name}" if file else f"The split {split} of the shards"
    classes, used, left_out = len(params.data.classes), labels[kept], np.delete(labels, kept)
    outside = np.flatnonzero(used >= classes)
    if len(outside):
        raise DataError(
            f"{where}: expected labels 0 to {classes - 1} for the {classes} classes of params.yaml, found "
            f"{len(outside)} others, the first of them {used[outside[0]]}. "
            "Correct data.classes in params.yaml, or the labels"
        )
    missing = np.flatnonzero(class_counts(used, classes) == 0)
    if len(missing):
        raise DataError(
            f"{where}: expected images of every class, found none of {_names(params, missing, left_out)}. "
            "Add images, or remove the class from the data and from data.classes in params.yaml"
        )


def _divide(params: Params, train: LabelledImages, kept: Positions) -> dict[str, Split]:
    labels, left_out = train.labels[kept], np.delete(train.labels, kept)
    if train.groups is None:
        parts = _divide_images(params, labels, left_out)
    else:
        parts = _divide_groups(params, labels, left_out, train.groups[kept])
    return {name: choose(train, kept[part]) for name, part in zip(("train", "validation"), parts, strict=True)}


def _divide_images(params: Params, labels: Labels, left_out: Labels) -> tuple[Positions, Positions]:
    fraction = params.prepare.validation_fraction
    counts = class_counts(labels, len(params.data.classes))
    few = np.flatnonzero((np.floor(counts * fraction) < 1) | (np.ceil(counts * fraction) >= counts))
    if len(few):
        raise DataError(
            f"Too few training images of {_names(params, few, left_out)} to set {fraction:.0%} aside for validation: "
            f"found {', '.join(str(counts[label]) for label in few)}. "
            "Add images, or change prepare.validation_fraction in params.yaml"
        )
    return stratified_split(labels, fraction, params.prepare.seed)


def _divide_groups(
    params: Params, labels: Labels, left_out: Labels, groups: NDArray[np.int64]
) -> tuple[Positions, Positions]:
    fractions = Fractions(test=0, validation=params.prepare.validation_fraction)
    assigned = assign_splits(labels, groups, ["train"] * len(labels), fractions, params.prepare.seed)
    if assigned.too_rare:
        raise DataError(
            f"The training images of {_names(params, assigned.too_rare, left_out)} are in too few groups, and a group "
            "is never divided: each class needs one for training and one for validation. Add groups, or merge classes"
        )
    split = np.array(assigned.split)
    return np.flatnonzero(split == "train"), np.flatnonzero(split == "validation")


def _join(
    batches: Mapping[str, LabelledImages], quarantined: Mapping[str, NDArray[np.int64]], labels: pd.DataFrame
) -> Collected:
    """Return the images of all batches that are fit for training, each with the label that counts."""
    parts = []
    for name, batch in batches.items():
        rows = labels[(labels["batch"] == name) & labels["counts"] & ~labels["index"].isin(quarantined[name])]
        fit = rows["index"].to_numpy(np.int64)
        came = (rows[column].to_numpy(np.int64) for column in ("first", "first_batch"))
        parts.append((batch.images[fit], batch.labels[fit], *came, rows["asked"].to_numpy(bool)))
    images, numbers, first, first_batch, asked = (np.concatenate(values) for values in zip(*parts, strict=True))
    # A correction does not change which image of a group came first, which decides the group's side.
    order = np.argsort(first)
    return Collected(images[order], numbers[order], first_batch[order], asked[order])


def _describe(
    project: Project, params: Params, splits: Mapping[str, Split], counted: Mapping[str, int], survey: Survey
) -> Prepared:
    names = params.data.classes
    counts = {name: class_counts(split.labels, len(names)).tolist() for name, split in splits.items()}
    return Prepared(
        classes=names,
        images={name: len(split.labels) for name, split in splits.items()},
        images_of_class={name: dict(zip(names, each, strict=True)) for name, each in counts.items()},
        **counted,
        survey=survey,
        validation_fraction=params.prepare.validation_fraction,
        seed=params.prepare.seed,
        synthetic=is_synthetic(project),
        files=digests(project, params.data),
    )


def _names(params: Params, labels: Iterable[int], left_out: Labels) -> str:
    """Return the names of classes, each with the number of its images that are in quarantine, if any."""
    counts = ((params.data.classes[label], np.count_nonzero(left_out == label)) for label in labels)
    names = (f"{name} ({count} are in artifacts/validation/{QUARANTINE})" if count else name for name, count in counts)
    return ", ".join(names)
