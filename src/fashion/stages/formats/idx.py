"""Gzipped IDX files: two for each split, images and labels; two for a batch of collected images."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from fashion.arrays import Bytes, LabelledImages
from fashion.errors import DataError
from fashion.images.idx import copy_idx, read_idx_shape, write_idx, write_images
from fashion.params import DataFile, DataParams
from fashion.paths import Project
from fashion.stages.formats.maps import map_bytes, unnamed_file
from fashion.stages.restoring import advise, find_file
from fashion.storage import atomic_file

BATCH_IMAGES, BATCH_LABELS = "images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"
SUPPORTED = (
    "It is the file that params.yaml asks for, but its format is not supported: expected gzipped IDX files of unsigned "
    "bytes, grey images (n, height, width) or colour images (n, height, width, 3) as data.image_size and "
    "data.pictures.channels say, and labels (n,). Convert the dataset, and set the digests in params.yaml"
)


def read_split(project: Project, params: DataParams, name: str) -> LabelledImages:
    """Read the split `train` or `test`.

    Raises:
        DataError: a file is missing or damaged, or the two do not match each other or params.yaml.
    """
    files = _files(params, name)
    images = _with_channels(_read(project, files[0], _dimensions(params)), params)
    split = LabelledImages(images, _read(project, files[1], 1))
    _check_pair(_names(files), split.images.shape, split.labels.shape, params)
    if not len(split.images):
        raise DataError(f"data/{files[0].name} contains no images")
    return split


def read_batch(project: Project, params: DataParams, folder: Path) -> LabelledImages:
    """Read the images and labels of a batch."""
    return read_labelled_files(project, params, folder / BATCH_IMAGES, folder / BATCH_LABELS)


def read_labelled_files(project: Project, params: DataParams, images_path: Path, labels_path: Path) -> LabelledImages:
    """Read two gzipped IDX files that belong together; the images have the dataset's size.

    Raises:
        DataError: a file is missing or damaged, they disagree in number, or the images have another size.
    """
    images = _with_channels(_read_file(project, images_path, _dimensions(params)), params)
    labels = _read_file(project, labels_path, 1)
    _check_pair((images_path, labels_path), images.shape, labels.shape, params)
    return LabelledImages(images, labels)


def check_files(project: Project, params: DataParams) -> None:
    """Check the headers of the four files.

    Raises:
        DataError: a file is not an IDX file, has other dimensions, or does not match its companion or params.yaml.
    """
    try:
        for files in (_files(params, name) for name in ("train", "test")):
            images = _read_shape(project, files[0], _dimensions(params))
            labels = _read_shape(project, files[1], 1)
            _check_pair(_names(files), images if len(images) == 4 else (*images, 1), labels, params)
    except DataError as error:
        raise DataError(f"{error}. {SUPPORTED}") from error


def write_splits(project: Project, params: DataParams, splits: Mapping[str, LabelledImages]) -> None:
    """Write the four files."""
    for name, split in splits.items():
        contents = write_images(split.images), write_idx(split.labels.astype(np.uint8))
        for file, content in zip(_files(params, name), contents, strict=True):
            with atomic_file(project.data / file.name) as temporary:
                temporary.write_bytes(content)


def write_batch(params: DataParams, folder: Path, batch: LabelledImages, pictures: Iterable[bytes | None]) -> None:  # noqa: ARG001 - IDX keeps images only
    """Write the two files of a batch."""
    (folder / BATCH_IMAGES).write_bytes(write_images(batch.images))
    (folder / BATCH_LABELS).write_bytes(write_idx(batch.labels.astype(np.uint8)))


def _files(params: DataParams, split: str) -> tuple[DataFile, ...]:
    return params.idx_files[:2] if split == "train" else params.idx_files[2:]


def _names(files: tuple[DataFile, ...]) -> tuple[str, str]:
    return f"data/{files[0].name}", f"data/{files[1].name}"


def _dimensions(params: DataParams) -> int:
    """Return the dimensions of a file of images: grey ones have no channels there."""
    return 3 if params.pictures.channels == 1 else 4


def _with_channels(images: Bytes, params: DataParams) -> Bytes:
    return images[..., None] if _dimensions(params) == 3 else images


def _read_shape(project: Project, file: DataFile, dimensions: int) -> tuple[int, ...]:
    with (project.data / file.name).open("rb") as stream:
        return read_idx_shape(stream, f"data/{file.name}", dimensions)


def _check_pair(
    names: tuple[object, object], images: tuple[int, ...], labels: tuple[int, ...], params: DataParams
) -> None:
    """Raise DataError unless the shapes of images and labels match each other and params.yaml."""
    if images[0] != labels[0]:
        raise DataError(
            f"{names[0]} has {images[0]} images but {names[1]} has {labels[0]} labels; expected equal numbers"
        )
    if images[1:] != params.shape:
        raise DataError(
            f"{names[0]}: expected images of {_size(params.shape)} (data.image_size and data.pictures.channels in "
            f"params.yaml), found {_size(images[1:])}"
        )


def _size(shape: tuple[int, ...]) -> str:
    height, width, *channels = shape
    return f"{height} x {width}" if channels in ([], [1]) else f"{height} x {width} in {channels[0]} channels"


def _read(project: Project, file: DataFile, dimensions: int) -> Bytes:
    """Read one of the files that `fetch` provides."""
    path = find_file(project, file)
    try:
        return _read_file(project, path, dimensions)
    except DataError as error:
        raise advise(error, project, file, SUPPORTED) from error


def _read_file(project: Project, path: Path, dimensions: int) -> Bytes:
    if path.exists() and not path.is_file():
        raise DataError(f"{path.parent.name}/{path.name}: expected a file, found a folder or a device")
    try:
        with path.open("rb") as stream, unnamed_file(project.state) as file:
            shape = copy_idx(stream, file, f"{path.parent.name}/{path.name}", dimensions)
            return map_bytes(file, shape)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
