"""What goes into the prediction log and what comes out, as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion.arrays import Booleans, Bytes, LabelledImages, Shape
from fashion.images.descriptors import describe
from fashion.settings import DEFAULT_KEY

NO_LABEL = -1
"""The number of no class: there is no label, or it is none of the reader's classes."""
DESCRIPTORS = ("mean", "standard_deviation", "minimum", "maximum", "ink_fraction", "content_hash")


@dataclass(frozen=True)
class Record:
    """One prediction."""

    id: str
    time: datetime
    """With its zone."""
    model_version: str
    image: Bytes
    """(height, width, channels)."""
    probabilities: NDArray[np.float32]
    """(classes,)."""
    embedding: NDArray[np.float32]
    """(d,); d is 0 where the model has none."""
    reason: str | None
    """Why the model abstained; None where it answered."""
    model_identity: str | None = None
    """As that of `ModelVersion`."""
    model: str | None = None
    """The registered model's name."""
    asked: bool = False
    """Whether its label was asked for at random."""
    source: str | None = None
    """Who sent the image."""
    picture: bytes | None = None
    """The picture from which the image was made, as a file; None where an array was sent, or it is not kept."""


@dataclass(frozen=True)
class Label:
    """What somebody says a prediction should have been."""

    number: int
    """Of the class, for the model that was champion then."""
    name: str | None
    """Of the class; None where earlier code wrote the label."""

    def among(self, classes: Sequence[str]) -> str | None:
        """Return the name, or that of the number among `classes`; None if there is none."""
        if self.name is None and self.number < len(classes):
            return classes[self.number]
        return self.name


@dataclass(frozen=True)
class Labelled(LabelledImages):
    """Images whose true class is known, in the order of their predictions; each array has one row a prediction."""

    ids: NDArray[np.str_]
    times: NDArray[np.datetime64]
    """Of the prediction; UTC, microseconds."""
    labelled: NDArray[np.datetime64]
    """When the label came; UTC, microseconds."""
    asked: Booleans
    """Whether it was asked for at random."""
    sources: tuple[str | None, ...]
    """Who sent the image."""


def to_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return rows for the table `predictions`."""
    rows: list[dict[str, Any]] = []
    for shape in {record.image.shape for record in records}:
        alike = [record for record in records if record.image.shape == shape]
        described = describe(np.stack([record.image for record in alike]))[list(DESCRIPTORS)].to_dict("records")
        rows += [_row(record) | descriptors for record, descriptors in zip(alike, described, strict=True)]
    return rows


def _row(record: Record) -> dict[str, Any]:
    height, width, channels = record.image.shape
    predicted = int(record.probabilities.argmax())
    return {
        "id": record.id,
        "time": record.time,
        "model_version": record.model_version,
        "model_identity": record.model_identity,
        "model": record.model,
        "asked": record.asked,
        "source": record.source,
        "image": record.image.tobytes(),
        "height": height,
        "width": width,
        "channels": channels,
        "probabilities": record.probabilities.astype("<f4").tobytes(),
        "predicted": predicted,
        "confidence": float(record.probabilities[predicted]),
        "abstained": record.reason is not None,
        "reason": record.reason,
        "embedding": record.embedding.astype("<f4").tobytes(),
    }


def class_number(label: int, name: str | None, classes: Sequence[str] | None) -> int:
    """Return the number of a label's class among `classes`, -1 if it is none of them.

    A label without a name counts as the number that it was written with, and so do all where `classes` is None.
    """
    if classes is None:
        return label
    if name is None:
        return label if 0 <= label < len(classes) else NO_LABEL
    return classes.index(name) if name in classes else NO_LABEL


def to_labels(rows: Sequence[Any], classes: Sequence[str] | None) -> pd.DataFrame:
    """Return the table of `PredictionLog.read_labels`."""
    columns = ["id", "time", "content_hash", "asked", "source", "label"]
    columns += ["labelled", "label_number", "given_by", "collected"]
    table = pd.DataFrame([[getattr(row, name) for name in columns] for row in rows], columns=columns)
    times = {name: [time.replace(tzinfo=None) for time in table[name]] for name in ("time", "labelled")}
    return table.assign(
        label=np.array([class_number(row.label, row.name, classes) for row in rows], dtype=np.int64),
        asked=table["asked"].astype(np.bool_),
        key=pd.Series([_key_of(source) for source in table["given_by"]], dtype="str"),
        collected=np.array([row.collected is not None for row in rows], dtype=np.bool_),
        **{name: np.array(each, dtype="datetime64[us]") for name, each in times.items()},
    )


def _key_of(source: str) -> str:
    """Return the name of a key, without what its owner claims behind the slash; before keys had names there was one."""
    name, slash, _ = source.partition("/")
    return name if slash else DEFAULT_KEY


def to_labelled(table: pd.DataFrame, images: Mapping[str, bytes], shape: Shape) -> Labelled:
    """Return those rows of `to_labels` that have an image, of that shape."""
    table = table[table["id"].isin(list(images))].sort_values("id")
    return Labelled(
        ids=table["id"].to_numpy(np.str_),
        times=table["time"].to_numpy("datetime64[us]"),
        images=stack([images[one] for one in table["id"]], np.uint8).reshape(len(table), *shape),
        labels=table["label"].to_numpy(np.uint8),
        labelled=table["labelled"].to_numpy("datetime64[us]"),
        asked=table["asked"].to_numpy(np.bool_),
        sources=tuple(None if pd.isna(source) else str(source) for source in table["source"]),
    )


def stack(blobs: Sequence[bytes], dtype: Any) -> NDArray[Any]:
    """Return an array (n, length) of n equally long byte strings."""
    if not blobs:
        return np.empty((0, 0), dtype)
    return np.frombuffer(b"".join(blobs), dtype).reshape(len(blobs), len(blobs[0]) // np.dtype(dtype).itemsize)
