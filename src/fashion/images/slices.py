"""Slices of a test set: kinds of images on which a model may do worse than its accuracy tells.

The training images say what is dark, low in contrast, blurred, small or pale: the lowest tenth of a descriptor. A class
is rare by its number of training images.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fashion.arrays import Booleans, Bytes, LabelledImages, Labels
from fashion.images.descriptors import describe, measure_sharpness
from fashion.images.photos import Form

LOWEST = 0.1
"""Share of the training images below the limit of a slice; more where so many share the lowest value."""
RARE = 0.5
"""A class is rare if it has fewer training images than this share of the average class."""
MOST_DESCRIBED, MOST_VALUES = 10_000, 1 << 27
"""Training images that the limits are taken from, and the most pixels times channels of them."""
DARK, LOW_CONTRAST, BLURRED, SMALL, PALE = "dark", "low_contrast", "blurred", "small", "pale"
RARE_CLASS = "rare_class"
COLUMNS = {
    DARK: ("mean", "mean brightness (0 to 255)"),
    LOW_CONTRAST: ("standard_deviation", "standard deviation of the brightness (0 to 255)"),
    BLURRED: ("sharpness", "sharpness (mean difference between a pixel and its neighbours)"),
    SMALL: ("ink_fraction", "share of the pixels brighter than 25"),
    PALE: ("saturation", "saturation (0 to 1)"),
}
"""The descriptor of each slice, and what it is in words."""
WORDS = {
    DARK: "dark images",
    LOW_CONTRAST: "images of low contrast",
    BLURRED: "blurred images",
    SMALL: "images of small objects",
    PALE: "pale images",
    RARE_CLASS: "images of rare classes",
}
"""What the images of each slice are called in a sentence."""


@dataclass(frozen=True)
class Slice:
    """What belongs to a slice: images whose descriptor is below a limit, or images of some classes."""

    name: str
    definition: str
    """In words."""
    column: str | None = None
    below: float = 0.0
    labels: tuple[int, ...] = ()


def define_slices(train: LabelledImages, form: Form, classes: tuple[str, ...]) -> tuple[Slice, ...]:
    """Return the slices that images of this form can have.

    What is small can be said only where an object stands on black (`isolate`), and what is pale only in colour.
    """
    table = describe_for_slices(_sample(train.images))
    names = [DARK, LOW_CONTRAST, BLURRED]
    names += [SMALL] if form.pictures.isolate else []
    names += [PALE] if form.pictures.channels > 1 else []
    return (*(_lowest(name, table) for name in names), _rare_classes(train.labels, classes))


def describe_for_slices(images: Bytes) -> pd.DataFrame:
    """Return the descriptors of images, and their sharpness also where they are grey."""
    table = describe(images)
    return table if "sharpness" in table else table.assign(sharpness=measure_sharpness(images))


def belong(one: Slice, table: pd.DataFrame, labels: Labels) -> Booleans:
    """Return which images belong to the slice, (n,); `table` is that of `describe_for_slices`."""
    if one.column is None:
        return np.isin(labels, one.labels)
    return np.asarray(table[one.column] < one.below)


def _sample(images: Bytes) -> Bytes:
    count = max(1, min(MOST_DESCRIBED, MOST_VALUES // math.prod(images.shape[1:])))
    if count >= len(images):
        return images
    return images[np.sort(np.random.default_rng(0).permutation(len(images))[:count])]


def _lowest(name: str, table: pd.DataFrame) -> Slice:
    column, words = COLUMNS[name]
    values = table[column]
    limit, share = float(values.quantile(LOWEST)), "tenth"
    higher = values[values > limit]
    # So many have the value of the limit itself; of more than half, it says nothing.
    if (values < limit).mean() < LOWEST / 2 and len(higher) >= len(values) / 2:
        limit, share = float(higher.min()), f"{1 - len(higher) / len(values):.0%}"
    return Slice(name, f"{words} below {limit:.4g}, as in the lowest {share} of the training images", column, limit)


def _rare_classes(labels: Labels, classes: tuple[str, ...]) -> Slice:
    counts = np.bincount(labels, minlength=len(classes))
    rare = np.flatnonzero(counts < RARE * counts.mean())
    found = ", ".join(f"{classes[label]} ({counts[label]:,})" for label in rare) or "none"
    rule = f"classes with fewer than {RARE * counts.mean():,.0f} training images, half of the average class: {found}"
    return Slice(RARE_CLASS, rule, labels=tuple(int(label) for label in rare))
