"""The labels of all batches of collected images, and which of them count: an image may come again, corrected."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from fashion.arrays import LabelledImages
from fashion.evaluation.survey import NOBODY_ASKED, Survey
from fashion.images.descriptors import content_hashes
from fashion.paths import Project
from fashion.reading import LARGEST_ARTIFACT_BYTES, load_json, translate_damage
from fashion.stages.restoring import bring_back
from fashion.storage import write_json

USED = "predictions.csv"
"""In the folder of a batch: for each image the id and time of its prediction, when the label arrived, and whether it
was requested at random."""
SURVEY = "survey.json"
"""Beside it: how many labels had been requested at random when the batch was made, how many of them had arrived, and
the batch's number. The folder's name tells when its newest prediction was made, which may precede an earlier batch."""


def read_labels(project: Project, batches: Mapping[str, LabelledImages]) -> pd.DataFrame:
    """Return one row per label of the batches, in the order in which they were made.

    Returns:
        batch, index (position in it), label, content_hash (of the image), id (of the prediction; empty if not known),
        labelled (UTC; NaT if not known), counts (whether this label counts: if an image has labels in several batches,
        only the last one does), asked (whether the label was requested at random when the image was first collected:
        an image once used for training is not used for testing later), first (the row in which the image first
        appeared), first_batch (the position of that batch among all, from 0).

    Raises:
        ArtifactError: the list of predictions of a batch, or its number, is damaged.
    """
    tables = [_read_batch(project.batches / name, batches[name]) for name in _in_order(project, batches)]
    table = pd.concat(tables or [_table("", LabelledImages(np.empty((0, 1, 1, 1), np.uint8), np.empty(0, np.uint8)))])
    table = table.reset_index(drop=True)
    by_time = table.sort_values("labelled", kind="stable", na_position="first")
    last = by_time.drop_duplicates("content_hash", keep="last").set_index("content_hash")["batch"]
    firsts = table.assign(first=table.index, first_batch=pd.factorize(table["batch"])[0])
    firsts = firsts.drop_duplicates("content_hash").set_index("content_hash")[["asked", "first", "first_batch"]]
    table["counts"] = table["batch"] == table["content_hash"].map(last)
    return table.drop(columns="asked").join(firsts, on="content_hash")


def read_survey(project: Project) -> Survey:
    """Return the newest batch's count of the labels that were requested at random, and of those that have arrived.

    Raises:
        ArtifactError: it is damaged.
    """
    newest = newest_batch(project)
    return _read_survey(project.batches / newest)[0] if newest else NOBODY_ASKED


def newest_batch(project: Project) -> str | None:
    """Return the batch in data/ that was made last; none if there is none.

    Raises:
        ArtifactError: the number of a batch is damaged.
    """
    return next(reversed(_in_order(project, (path.name for path in project.batches.glob("*")))), None)


def write_survey(project: Project, folder: Path, survey: Survey) -> None:
    """Write the survey of a new batch into its `folder`, with the number that follows those of the batches in data/.

    Raises:
        ArtifactError: the number of one of them is damaged.
    """
    newest = newest_batch(project)
    write_json(folder / SURVEY, asdict(survey) | {"number": _number(project, newest) + 1 if newest else 1})


def _in_order(project: Project, batches: Iterable[str]) -> list[str]:
    return sorted(batches, key=lambda name: (_number(project, name), name))


def _number(project: Project, name: str) -> int:
    return _read_survey(project.batches / name)[1]


def _read_survey(folder: Path) -> tuple[Survey, int]:
    """Return the survey and number of a batch. Batches of earlier releases have neither and come first, by name."""
    path = folder / SURVEY
    if not path.exists():
        return NOBODY_ASKED, 0
    with translate_damage(path, bring_back(folder)):
        content = load_json(path, LARGEST_ARTIFACT_BYTES)
        return Survey(int(content["asked"]), int(content["answered"])), int(content.get("number", 0))


def _read_batch(folder: Path, batch: LabelledImages) -> pd.DataFrame:
    table = _table(folder.name, batch)
    path = folder / USED
    if not path.exists():
        return table
    with translate_damage(path, bring_back(folder)):
        used = pd.read_csv(path, dtype="str")
        if len(used) != len(table):
            raise ValueError(f"expected {len(table)} predictions, found {len(used)}")
        # Batches of earlier releases do not record when their labels arrived, or which were requested.
        if "labelled" in used:
            table["labelled"] = pd.to_datetime(used["labelled"], utc=True).dt.tz_localize(None)
        if "asked" in used:
            table["asked"] = used["asked"] == "True"
        return table.assign(id=used["id"])


def _table(name: str, batch: LabelledImages) -> pd.DataFrame:
    """Return the rows of a batch about which nothing else is known."""
    return pd.DataFrame(
        {
            "batch": pd.Series([name] * len(batch.labels), dtype="str"),
            "index": np.arange(len(batch.labels)),
            "label": batch.labels.astype(np.int64),
            "content_hash": pd.Series(content_hashes(batch.images), dtype="str"),
            "id": pd.Series([""] * len(batch.labels), dtype="str"),
            "labelled": np.full(len(batch.labels), np.datetime64("NaT", "us")),
            "asked": False,
        }
    )
