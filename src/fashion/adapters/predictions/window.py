"""Predictions that are looked at together, in the order in which they arrived."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, select

from fashion.adapters.predictions.rows import DESCRIPTORS, NO_LABEL, class_number, stack
from fashion.adapters.predictions.tables import ModelVersion, of_model, removed_requests
from fashion.arrays import Booleans, Bytes
from fashion.errors import DataError
from fashion.evaluation.survey import Survey
from fashion.images.descriptors import describe_colours


@dataclass(frozen=True)
class Window:
    """Predictions in the order in which they arrived; each array has one row a prediction."""

    ids: NDArray[np.str_]
    times: NDArray[np.datetime64]
    """UTC, microseconds."""
    images: Bytes
    """(n, height, width, channels)."""
    probabilities: NDArray[np.float32]
    """(n, classes)."""
    embeddings: NDArray[np.float32]
    """(n, d)."""
    predicted: NDArray[np.int64]
    labels: NDArray[np.int64]
    """The newest label of each; -1 where there is none, or where it is none of the reader's classes."""
    versions: NDArray[np.str_]
    reasons: tuple[str | None, ...]
    """Why the model abstained; None where it answered."""
    descriptors: pd.DataFrame
    """The columns of `fashion.images.descriptors.describe`."""
    numbers: NDArray[np.int64]
    """Of each prediction, by which it arrived."""
    asked: Booleans
    """Whether its label was asked for at random."""
    sources: tuple[str | None, ...]
    """Who sent the image."""
    removed: NDArray[np.int64]
    """(n, 2): of those that were removed between the one before it and each, how many labels were asked for at random,
    and how many of these had come. None are counted before the first."""
    unknown_labels: int
    """How many labels are left out, since they are none of the reader's classes."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def survey(self) -> Survey:
        """The labels that were asked for and those that have come; of removed predictions of this model, too."""
        asked, answered = (int(count) for count in self.removed.sum(axis=0))
        return Survey(asked + int(self.asked.sum()), answered + int((self.asked & (self.labels != NO_LABEL)).sum()))

    @property
    def span(self) -> tuple[datetime, datetime]:
        """The earliest and the latest time of a prediction, by the clocks of those who made them."""
        first, final = (time.astype(datetime).replace(tzinfo=UTC) for time in (self.times.min(), self.times.max()))
        return first, final

    def part(self, chosen: slice) -> "Window":
        """Return some of the predictions; `unknown_labels` is still that of all."""
        rows = {name: values[chosen] for name, values in vars(self).items() if name != "unknown_labels"}
        return Window(**rows, unknown_labels=self.unknown_labels)


def read(connection: Connection, chosen: Select[Any], version: ModelVersion | None) -> Window:
    """Return the window of some predictions.

    Args:
        chosen: rows of the table `predictions` in their order, with `label` and `name` of its newest label or None.
        version: as that of `PredictionLog.read_window`.

    Raises:
        DataError: the images have several sizes, or the models several numbers of classes.
    """
    rows = connection.execute(chosen).all()
    numbers = np.array([row.number for row in rows], dtype=np.int64)
    removed = _count_removed(connection, numbers, version.model if version else None)
    return _to_window(rows, numbers, removed, version.classes if version else None)


def _to_window(
    rows: Sequence[Any], numbers: NDArray[np.int64], removed: NDArray[np.int64], classes: Sequence[str] | None
) -> Window:
    shapes = {(row.height, row.width, row.channels, len(row.probabilities), len(row.embedding)) for row in rows}
    if len(shapes) > 1:
        raise DataError("The predictions are by models of different inputs or outputs; read those of one version")
    height, width, channels, *_ = shapes.pop() if shapes else (0, 0, 1)
    images = stack([row.image for row in rows], np.uint8).reshape(len(rows), height, width, channels)
    described = [{name: getattr(row, name) for name in DESCRIPTORS} for row in rows]
    descriptors = pd.DataFrame(described, columns=DESCRIPTORS)
    if channels == 3:  # The log holds those of all images only.
        descriptors = descriptors.join(describe_colours(images))
    labels = [NO_LABEL if row.label is None else class_number(row.label, row.name, classes) for row in rows]
    return Window(
        ids=np.array([row.id for row in rows], dtype=np.str_),
        times=np.array([row.time.replace(tzinfo=None) for row in rows], dtype="datetime64[us]"),
        images=images,
        probabilities=stack([row.probabilities for row in rows], np.dtype("<f4")),
        embeddings=stack([row.embedding for row in rows], np.dtype("<f4")),
        predicted=np.array([row.predicted for row in rows], dtype=np.int64),
        labels=np.array(labels, dtype=np.int64),
        versions=np.array([row.model_version for row in rows], dtype=np.str_),
        reasons=tuple(row.reason for row in rows),
        descriptors=descriptors.assign(height=height, width=width),
        numbers=numbers,
        asked=np.array([row.asked for row in rows], dtype=np.bool_),
        sources=tuple(row.source for row in rows),
        removed=removed,
        unknown_labels=labels.count(NO_LABEL) - sum(row.label is None for row in rows),
    )


def _count_removed(connection: Connection, numbers: NDArray[np.int64], model: str | None) -> NDArray[np.int64]:
    """Return `Window.removed`; of which version the removed ones were nobody knows, so all of the model count."""
    number = removed_requests.c.number
    first, last = (int(numbers[0]), int(numbers[-1])) if len(numbers) else (0, 0)
    within = select(number, removed_requests.c.answered).where(number > first, number < last)
    if model is not None:
        within = within.where(of_model(removed_requests, model))
    found = connection.execute(within).all()
    following = np.searchsorted(numbers, [row.number for row in found])
    answered = np.array([row.answered for row in found], dtype=np.bool_)
    counts = [np.bincount(these, minlength=len(numbers)) for these in (following, following[answered])]
    return np.stack(counts, axis=1)
