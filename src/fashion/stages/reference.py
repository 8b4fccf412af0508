"""The reference of a model: its outputs on images from when it was trained, with which later images are compared."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion.arrays import Bytes, Labels
from fashion.evaluation.abstention import Abstention, Appearance
from fashion.images.descriptors import describe
from fashion.reading import translate_damage
from fashion.storage import atomic_file

OUTPUTS, DESCRIPTORS, EXAMPLES = "reference.npz", "reference.parquet", "examples.npz"
"""Files in artifacts/evaluation/, and beside the model of a registered version."""
MOST_EXAMPLES, MOST_VALUES = 2000, 1 << 26
"""Training images kept with a version, some 2 MB with their embeddings where they are small, and the values in them."""


@dataclass(frozen=True)
class Reference:
    """One row per image; the model was not trained on any of them."""

    embeddings: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    labels: Labels
    predicted: Labels
    abstention: Abstention
    learned_collected: bool = False
    """Whether the model was trained on collected images: then incoming images may look different from these rows."""


@dataclass(frozen=True)
class Examples:
    """Some of the images that the model was trained on, to show beside later ones."""

    images: Bytes
    labels: Labels
    embeddings: NDArray[np.float32]


@dataclass(frozen=True)
class Known:
    """Everything that later images are compared with."""

    reference: Reference
    descriptors: pd.DataFrame
    """The descriptors of the reference's images, with the columns of `fashion.images.descriptors.describe`."""
    examples: Examples
    settled: bool = False
    """Whether the reference is the champion's first predictions: its classes are as frequent as chance had it."""


def write_reference(folder: Path, reference: Reference, images: Bytes) -> None:
    """Write the outputs, and the descriptors of the images (n, height, width, channels), into the existing `folder`."""
    with atomic_file(folder / DESCRIPTORS) as path:
        describe(images).to_parquet(path, index=False)
    rule = reference.abstention
    look = rule.appearance
    appearance = {f"appearance_{name}": value for name, value in vars(look).items()} if look else {}
    with atomic_file(folder / OUTPUTS) as path, path.open("wb") as stream:
        np.savez(
            stream,
            embeddings=reference.embeddings,
            probabilities=reference.probabilities,
            labels=reference.labels,
            predicted=reference.predicted,
            neighbours=rule.neighbours,
            distance_limit=rule.distance_limit,
            confidence_limit=rule.confidence_limit,
            learned_collected=reference.learned_collected,
            **appearance,
        )


def read_reference(folder: Path) -> Reference:
    """Read what `write_reference` wrote.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    path = folder / OUTPUTS
    with translate_damage(path, _fetch_again(folder)), path.open("rb") as file, np.load(file) as arrays:
        distance, confidence = (float(arrays[f"{name}_limit"]) for name in ("distance", "confidence"))
        rule = Abstention(arrays["neighbours"], distance, confidence, _read_appearance(arrays))
        columns = {name: arrays[name] for name in ("embeddings", "probabilities", "labels", "predicted")}
        # Earlier releases do not record it.
        learned = "learned_collected" in arrays and bool(arrays["learned_collected"])
        return Reference(**columns, abstention=rule, learned_collected=learned)


def _fetch_again(folder: Path) -> str:
    """Return the advice for a damaged file beside the model of a version that was fetched from the registry."""
    return f"if the registry has the version's files whole, remove {folder.parent}, and they are fetched again"


def read_rule(folder: Path) -> Abstention | None:
    """Read the abstention rule of the version in `folder`; None if it was registered without a reference.

    Raises:
        ArtifactError: the reference is damaged.
    """
    return read_reference(folder).abstention if (folder / OUTPUTS).is_file() else None


def _read_appearance(arrays: Mapping[str, NDArray[Any]]) -> Appearance | None:
    """Read the appearance; None if the reference was written before there was one."""
    if "appearance_limit" not in arrays:
        return None
    # Earlier releases kept the mean of all known images alone.
    centres = arrays["appearance_centres"] if "appearance_centres" in arrays else arrays["appearance_centre"][None]
    return Appearance(centres, arrays["appearance_precision"], float(arrays["appearance_limit"]))


def read_descriptors(folder: Path) -> pd.DataFrame:
    """Read one row per image of the reference, with the columns of `fashion.images.descriptors.describe`.

    Raises:
        ArtifactError: they are missing or damaged.
    """
    path = folder / DESCRIPTORS
    with translate_damage(path, _fetch_again(folder)):
        return pd.read_parquet(path)


def count_examples(shape: tuple[int, ...]) -> int:
    """Return how many training images of this height, width and number of channels are kept with a version."""
    return min(MOST_EXAMPLES, MOST_VALUES // math.prod(shape))


def write_examples(folder: Path, examples: Examples) -> None:
    with atomic_file(folder / EXAMPLES) as path, path.open("wb") as stream:
        np.savez_compressed(stream, **vars(examples))


def read_examples(folder: Path) -> Examples:
    """Read what `write_examples` wrote.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    path = folder / EXAMPLES
    with translate_damage(path, _fetch_again(folder)), path.open("rb") as file, np.load(file) as arrays:
        images = arrays["images"]
        if images.ndim == 3:  # Grey images, kept by release 0.2 or earlier.
            images = images[..., None]
        return Examples(images, arrays["labels"], arrays["embeddings"])
