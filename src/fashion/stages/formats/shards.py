"""Parquet shards: pictures in any size and kind, which become images of the dataset as they are read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion.adapters.shards import Row, Rows, Stored, read_pictures, read_rows, write_shard
from fashion.arrays import Booleans, Bytes, LabelledImages
from fashion.errors import DataError
from fashion.images.encoding import encode_png
from fashion.images.photos import Form, form_of
from fashion.params import DataFile, DataParams
from fashion.paths import Project
from fashion.stages.formats.maps import map_bytes, unnamed_file
from fashion.stages.pictures import see_picture, see_stored
from fashion.stages.restoring import advise, find_file
from fashion.storage import atomic_file

BATCH = "images.parquet"
SPLITS = ("train", "validation", "test")
"""The names that `datasets` gives to splits. Those of training and validation are one here: `prepare` divides them."""
SUPPORTED = (
    "It is the file that params.yaml asks for, but it cannot be used: expected Parquet with the columns image {bytes, "
    "path} and label, as docs/datasets.md says. Convert the dataset, and set the digests in params.yaml"
)


@dataclass(frozen=True)
class _Shard:
    file: DataFile
    path: Path
    rows: Rows
    in_test: Booleans

    @property
    def name(self) -> str:
        return f"data/{self.file.name}"

    def wanted(self, split: str) -> Booleans:
        return self.in_test if split == "test" else ~self.in_test


def read_split(project: Project, params: DataParams, name: str) -> LabelledImages:
    """Read the split `train` or `test`.

    Raises:
        DataError: a shard is missing, damaged or of another form; a picture cannot be decoded; there are none.
    """
    shards = _read_shards(project, params)
    wanted = [shard.wanted(name) for shard in shards]
    pairs = list(zip(shards, wanted, strict=True))
    parts = (part for shard, rows in pairs for part in _read_pictures(project, shard, rows))
    images = _map(project, parts, form_of(params))
    labels = np.concatenate([shard.rows.labels[rows] for shard, rows in pairs])
    groups = _number_groups(shards)
    chosen = None if groups is None else groups[np.concatenate(wanted)]
    return LabelledImages(images, labels.astype(np.uint8), groups=chosen)


def read_batch(project: Project, params: DataParams, folder: Path) -> LabelledImages:
    """Read the shard of a batch."""
    name = f"{folder.name}/{BATCH}"
    if not (folder / BATCH).exists():
        raise DataError(f"{folder / BATCH} is missing")
    rows = read_rows(folder / BATCH, name)
    _check_labels(rows, name, params)
    parts = read_pictures(folder / BATCH, name, np.ones(len(rows.labels), np.bool_))
    return LabelledImages(_map(project, parts, form_of(params)), rows.labels.astype(np.uint8))


def check_files(project: Project, params: DataParams) -> None:
    """Check everything in the shards but the pictures.

    Raises:
        DataError: like `read_split`.
    """
    _read_shards(project, params)


def write_splits(project: Project, params: DataParams, splits: Mapping[str, LabelledImages]) -> None:
    """Write the shards, each about as many of the images of its split, as PNG."""
    for name, split in splits.items():
        files = [file for file in params.shards if _is_test(None, f"data/{file.name}", file) == (name == "test")]
        if not files:
            raise DataError(f"data.shards in params.yaml names no file of the split {name} ({name}-*.parquet)")
        for file, chosen in zip(files, np.array_split(np.arange(len(split.labels)), len(files)), strict=True):
            with atomic_file(project.data / file.name) as path:
                write_shard(path, _rows(split, chosen, name), params.classes)


def write_batch(params: DataParams, folder: Path, batch: LabelledImages, pictures: Iterable[bytes | None]) -> None:
    """Write the shard of a batch: the pictures as they were sent, if they become the same images again, else as PNG."""
    form, images = form_of(params), zip(batch.images, batch.labels, pictures, strict=True)
    rows = (Row(_content(image, picture, form), int(label)) for image, label, picture in images)
    write_shard(folder / BATCH, rows, params.classes)


def _content(image: Bytes, picture: bytes | None, form: Form) -> bytes:
    """Return the picture, unless the model saw another image of it: as one of a version with another form did."""
    if picture is not None:
        with suppress(DataError):
            if np.array_equal(see_picture(picture, "a picture", form), image):
                return picture
    return encode_png(image)


def _rows(split: LabelledImages, chosen: NDArray[np.int64], name: str) -> Iterator[Row]:
    for place in chosen:
        path = f"{name}-{place:06d}.png"
        yield Row(encode_png(split.images[place]), int(split.labels[place]), path, split=name)


def _read_shards(project: Project, params: DataParams) -> list[_Shard]:
    shards = [_read_shard(project, params, file) for file in params.shards]
    for name in ("train", "test"):
        if not any(shard.wanted(name).any() for shard in shards):
            raise DataError(f"{', '.join(shard.name for shard in shards)}: there are no pictures of the split {name}")
    _check_groups(shards)
    return shards


def _read_shard(project: Project, params: DataParams, file: DataFile) -> _Shard:
    path, name = find_file(project, file), f"data/{file.name}"
    try:
        rows = read_rows(path, name)
        if not len(rows.labels):
            raise DataError(f"{name} contains no pictures")
        _check_labels(rows, name, params)
        in_test = [_is_test(split, f"{name}, row {row}", file) for row, split in enumerate(rows.splits)]
    except DataError as error:
        raise advise(error, project, file, SUPPORTED) from error
    return _Shard(file, path, rows, np.array(in_test, np.bool_))


def _check_labels(rows: Rows, name: str, params: DataParams) -> None:
    # Shards from before a class was added have fewer: the numbers of their labels mean the same.
    if rows.classes is not None and rows.classes != params.classes[: len(rows.classes)]:
        raise DataError(
            f"{name}: its classes are {', '.join(rows.classes)}; expected those of data.classes in params.yaml, in "
            f"their order: {', '.join(params.classes)}"
        )
    outside = np.flatnonzero((rows.labels < 0) | (rows.labels >= len(params.classes)))
    if len(outside):
        raise DataError(
            f"{name}, row {outside[0]}: expected a label from 0 to {len(params.classes) - 1} (data.classes in "
            f"params.yaml), found {rows.labels[outside[0]]}; of the others in this file, {len(outside) - 1} are like it"
        )


def _is_test(split: str | None, where: str, file: DataFile) -> bool:
    """Return whether a row is for testing; what has no split has the one in the name of its file, as in `datasets`."""
    found = split if split is not None else file.name.replace(".", "-").split("-")[0]
    if found not in SPLITS:
        what = f"its split is {found!r}" if split is not None else "no split, and the name of the file begins with none"
        raise DataError(f"{where}: {what}; expected one of {', '.join(SPLITS)}")
    return found == "test"


def _check_groups(shards: Sequence[_Shard]) -> None:
    in_test, in_train = (
        {group for shard in shards for group, is_in in zip(shard.rows.groups, shard.wanted(name), strict=True) if is_in}
        for name in ("test", "train")
    )
    if both := sorted(filter(None, in_test & in_train)):
        raise DataError(
            f"{len(both)} groups of pictures are both in the test set and in another split, the first of them "
            f"{both[0]!r}: what a model was trained on says nothing about it. Give each group one split"
        )


def _number_groups(shards: Sequence[_Shard]) -> NDArray[np.int64] | None:
    """Return the number of each row's group; one that belongs to none is its own. None where there are no groups."""
    names = [group for shard in shards for group in shard.rows.groups]
    if not any(names):
        return None
    numbers, known = pd.factorize(np.array(names, object))
    alone = numbers < 0
    return np.where(alone, len(known) + np.cumsum(alone), numbers).astype(np.int64)


def _read_pictures(project: Project, shard: _Shard, wanted: Booleans) -> Iterator[list[Stored]]:
    try:
        yield from read_pictures(shard.path, shard.name, wanted)
    except DataError as error:
        raise advise(error, project, shard.file, SUPPORTED) from error


def _map(project: Project, parts: Iterable[list[Stored]], form: Form) -> Bytes:
    """Return the images of all parts, as a mapped file."""
    count = 0
    with unnamed_file(project.state) as file:
        for images in see_stored(parts, form):
            file.write(images.data)
            count += len(images)
        return map_bytes(file, (count, *form.shape))
