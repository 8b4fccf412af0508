"""What `prepare` and `train` leave for others: the splits, and the epochs of the training."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion.arrays import Bytes, LabelledImages, Labels
from fashion.paths import DATASET, HISTORY, Project
from fashion.reading import LARGEST_ARTIFACT_BYTES, read_json, read_text, translate_damage

AT_ONCE = 1000
"""Images in memory while a split is written."""
RECENT = "recent"
"""The split of collected images that is held out from training; their labels were requested at random."""
MADE_BY_PREPARE = "make it with: dvc repro prepare"
HISTORY_COLUMNS = ["epoch", "epochs", "loss", "accuracy", "validation_loss", "validation_accuracy"]
"""The columns of `Epoch` that are read; listed here because that module imports TensorFlow."""


def has_recent(project: Project) -> bool:
    """Return whether there are collected images to test on: the split `recent`."""
    return (project.dataset / f"{RECENT}_images.npy").exists()


def read_prepared(project: Project) -> Any:
    """Return what `prepare` recorded about the dataset: dataset.json.

    Raises:
        ArtifactError: `prepare` has not run, or the file is damaged.
    """
    return read_json(project.dataset / DATASET, "dvc repro prepare")


def load_split(project: Project, name: str) -> LabelledImages:
    """Load the prepared split `train`, `validation` or `test`, memory-mapped and read-only.

    Raises:
        ArtifactError: `prepare` has not run, or its files are damaged.
    """
    paths = [project.dataset / f"{name}_{part}.npy" for part in ("images", "labels")]
    images, labels = (_map(path) for path in paths)
    with translate_damage(project.dataset, MADE_BY_PREPARE):
        if images.ndim == 3:  # Grey images, prepared by release 0.2 or earlier.
            images = images[..., None]
        _check_arrays(images, labels)
    return LabelledImages(images, labels)


def write_split(folder: Path, name: str, pieces: Sequence[tuple[Bytes, NDArray[np.int64]]], labels: Labels) -> None:
    """Write a split into the existing `folder`, for `load_split`; its images are copied a few at a time.

    Args:
        pieces: images (n, height, width, channels), and which of them, in the order in which they are written.
    """
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(labels), *pieces[0][0].shape[1:])}
    # As a file rather than through a map: a full disk is an error then, and does not end the process.
    with (folder / f"{name}_images.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for images, chosen in pieces:
            for start in range(0, len(chosen), AT_ONCE):
                file.write(images[chosen[start : start + AT_ONCE]].data)
    np.save(folder / f"{name}_labels.npy", labels)


def read_history(project: Project) -> pd.DataFrame:
    """Return one row per epoch, with the columns of `Epoch`.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    path = project.model / HISTORY
    with translate_damage(path, "make it with: dvc repro train"):
        history = pd.read_csv(io.StringIO(read_text(path, LARGEST_ARTIFACT_BYTES)))
        history[HISTORY_COLUMNS].astype(float)  # Fails if columns are missing or are not numeric.
    return history


def _map(path: Path) -> Bytes:
    with translate_damage(path, MADE_BY_PREPARE):
        if path.exists() and not path.is_file():
            raise ValueError("expected a file, found a folder or a device")  # A pipe would block.
        try:
            return np.lib.format.open_memmap(path, mode="r")
        except FileNotFoundError:
            raise
        except Exception as error:  # For a damaged header, which it parses as Python, numpy raises many kinds.
            raise ValueError(str(error)) from error


def _check_arrays(images: Bytes, labels: Labels) -> None:
    found = f"{images.dtype} {images.shape} and {labels.dtype} {labels.shape}"
    if {images.dtype, labels.dtype} != {np.dtype(np.uint8)} or images.ndim != 4 or labels.shape != images.shape[:1]:
        raise ValueError(f"expected images uint8 (n, height, width, channels) and labels uint8 (n,), found {found}")
