"""The splits that `prepare` has made of these data, to be compared with each other."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fashion.arrays import LabelledImages
from fashion.images.descriptors import describe
from fashion.pages.exploration import Set, count_labels
from fashion.params import Params
from fashion.paths import DATASET, Project
from fashion.stages.dataset import RECENT, has_recent, load_split, read_prepared
from fashion.storage import file_digest

PREPARE = "dvc repro prepare"
TRAIN, VALIDATION, TEST = "train", "validation", "test"
NAMES = {TRAIN: "training split", VALIDATION: "validation split", TEST: "test split", RECENT: "recent split"}
"""Other words than for the published images: of those, the first two are one part, and bad ones are still in it."""


@dataclass(frozen=True)
class Prepared:
    """The splits of these data, or why there are none."""

    missing: str | None = None
    """Why, and what to type."""
    sets: tuple[Set, ...] = ()
    """The training split first, with which the others are compared."""


def find_digest(project: Project, files: Mapping[str, str]) -> str | None:
    """Return a digest of what `prepare` has made of the data with these digests; None where it was made of others.

    Raises:
        ArtifactError: what it wrote is damaged.
    """
    path = project.dataset / DATASET
    if not path.exists():
        return None
    found = read_prepared(project)
    return file_digest(path) if isinstance(found, dict) and found.get("files") == dict(files) else None


def read_splits(project: Project, params: Params, files: Mapping[str, str], table: pd.DataFrame) -> Prepared:
    """Describe the splits, where they were made of the data with these digests.

    Args:
        table: the descriptors of the published images, of which the test set is a split as it is.

    Raises:
        ArtifactError: what `prepare` wrote is damaged.
    """
    then = f"Type: {PREPARE}, then fashion explore"
    if not (project.dataset / DATASET).exists():
        return Prepared(f"The validation split has not been made yet. {then}")
    if find_digest(project, files) is None:
        return Prepared(f"The data have changed since the validation split was made. {then}")
    classes = params.data.classes
    names = (TRAIN, VALIDATION, *((RECENT,) if has_recent(project) else ()))
    found = {name: _describe(name, load_split(project, name), classes) for name in names}
    test = table[table["split"] == TEST]
    found[TEST] = Set(NAMES[TEST], test, count_labels(test["label"].to_numpy(np.int64), classes))
    return Prepared(sets=tuple(found[name] for name in NAMES if name in found))


def _describe(name: str, split: LabelledImages, classes: tuple[str, ...]) -> Set:
    return Set(NAMES[name], describe(split.images), count_labels(split.labels.astype(np.int64), classes))
