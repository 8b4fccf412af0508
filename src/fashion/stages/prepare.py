"""Training, validation and test images as arrays that every later stage maps into memory."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion.arrays import Booleans, Bytes, LabelledImages, Labels
from fashion.errors import DataError
from fashion.evaluation.survey import Survey
from fashion.images.assignment import Fractions, assign_splits
from fashion.images.near_copies import group_near_copies
from fashion.images.split import Positions, class_counts, hold_out_groups, stratified_split
from fashion.params import Params
from fashion.paths import DATASET, QUARANTINE, Project
from fashion.reading import translate_damage
from fashion.stages.batches import read_labels, read_survey
from fashion.stages.dataset import RECENT, write_split
from fashion.stages.raw import digests, read_batches, read_raw, read_salt
from fashion.stages.restoring import is_synthetic
from fashion.storage import atomic_folder, write_json


@dataclass(frozen=True)
class _Collected:
    """The collected images that are fit for training, each with the label that counts; one row per image."""

    images: Bytes
    labels: Labels
    batches: NDArray[np.int64]
    """The number of the batch in which the image first appeared; images are in the order of their arrival."""
    asked: Booleans
    """Whether the image's label was requested at random."""


@dataclass(frozen=True)
class _Split:
    """Images of one split, where they lie and in their order; they are copied only as they are written."""

    pieces: tuple[tuple[Bytes, NDArray[np.int64]], ...]
    """Images (n, height, width, channels), and which of them."""
    labels: Labels


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
    splits = {**_divide(params, raw["train"], kept), "test": _choose(raw["test"], whole)}
    collected = 0
    if batches:
        joined = _join(batches, quarantined, read_labels(project, batches))
        splits, collected = _with_collected(params, splits, joined, read_salt(project))
    left_out, survey = sum(map(len, quarantined.values())), read_survey(project, batches)
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


def _divide(params: Params, train: LabelledImages, kept: Positions) -> dict[str, _Split]:
    labels, left_out = train.labels[kept], np.delete(train.labels, kept)
    if train.groups is None:
        parts = _divide_images(params, labels, left_out)
    else:
        parts = _divide_groups(params, labels, left_out, train.groups[kept])
    return {name: _choose(train, kept[part]) for name, part in zip(("train", "validation"), parts, strict=True)}


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
            f"The training images of {_names(params, assigned.too_rare, left_out)} are in fewer than two groups, and a "
            "group is never divided: one is for training, one for validation. Add groups, or merge classes"
        )
    split = np.array(assigned.split)
    return np.flatnonzero(split == "train"), np.flatnonzero(split == "validation")


def _choose(split: LabelledImages, chosen: NDArray[np.int64]) -> _Split:
    return _Split(((split.images, chosen),), split.labels[chosen])


def _join(
    batches: Mapping[str, LabelledImages], quarantined: Mapping[str, NDArray[np.int64]], labels: pd.DataFrame
) -> _Collected:
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
    return _Collected(images[order], numbers[order], first_batch[order], asked[order])


def _with_collected(
    params: Params, splits: Mapping[str, _Split], collected: _Collected, salt: bytes
) -> tuple[dict[str, _Split], int]:
    """Add collected images to the training and validation splits, and to a split `recent` for testing if there are any.

    Copies and near copies of an image are on the same side, whatever their batch: no test image was ever trained on. Of
    a group on the test side, only images whose label was requested are tested on; the others are left out.

    Returns:
        The splits, and how many collected images are used for training and validation.
    """
    groups, fraction = group_near_copies(collected.images), params.prepare.recent_test_fraction
    apart = _first_asked(groups, collected) & hold_out_groups(collected.images, groups, fraction, salt)
    tested = apart & collected.asked
    learned = LabelledImages(collected.images[~apart], collected.labels[~apart])
    chosen = hold_out_groups(learned.images[:, ::-1], groups[~apart], params.prepare.validation_fraction, salt)
    held_out = LabelledImages(collected.images, collected.labels)
    recent = {RECENT: _choose(held_out, np.flatnonzero(tested))} if tested.any() else {}
    return {
        **splits,
        "train": _extend(splits["train"], learned, ~chosen, params.prepare.recent_copies),
        "validation": _extend(splits["validation"], learned, chosen, 1),
        **recent,
    }, len(learned.labels)


def _first_asked(groups: NDArray[np.int64], collected: _Collected) -> Booleans:
    """Return whether a label in each image's group was requested in its first batch; if not, it was trained on."""
    count = groups.max(initial=-1) + 1
    first = np.full(count, collected.batches.max(initial=0))
    np.minimum.at(first, groups, collected.batches)
    asked = np.zeros(count, np.bool_)
    np.logical_or.at(asked, groups, collected.asked & (collected.batches == first[groups]))
    return asked[groups]


def _extend(split: _Split, more: LabelledImages, chosen: Booleans, copies: int) -> _Split:
    added = _choose(more, np.flatnonzero(chosen))
    return _Split(split.pieces + added.pieces * copies, np.concatenate([split.labels, *[added.labels] * copies]))


def _describe(
    project: Project, params: Params, splits: Mapping[str, _Split], counted: Mapping[str, int], survey: Survey
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
