"""Reading what `fetch` and `prepare` have written. Every stage gets its images here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion.errors import ArtifactError, DataError
from fashion.images.idx import read_idx, read_idx_shape
from fashion.params import DataFile, DataParams
from fashion.paths import Project
from fashion.storage import file_digest, read_json, read_text

BATCH_IMAGES, BATCH_LABELS = "images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"
RECENT = "recent"
"""The split of collected images that nothing is trained on; their labels were asked for at random."""
SUPPORTED = (
    "It is the file that params.yaml asks for, but of a kind that is not supported: expected gzipped IDX files of "
    "unsigned bytes, grey images (n, height, width) of data.image_size and labels (n,). Convert the dataset, and set "
    "the digests in params.yaml"
)
SALT, SALT_BYTES = "salt", 32
"""The file in data/ with the secret, in hexadecimal, by which collected images are divided; git does not have it."""
SYNTHETIC = "SYNTHETIC"
"""Name of the file that stands in data/ while any file there is drawn; it says how."""


@dataclass(frozen=True)
class Split:
    """Images (n, height, width) uint8 and labels (n,) uint8 of one part of the dataset."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def is_synthetic(project: Project) -> bool:
    """Whether data/ holds drawn garments instead of real data."""
    return (project.data / SYNTHETIC).exists()


def read_raw(project: Project, params: DataParams) -> dict[str, Split]:
    """The splits `train` and `test` as they stand in data/.

    Raises:
        DataError: a file is missing or damaged, or the files disagree with each other or with params.yaml.
    """
    splits = {
        "train": _read_pair(project.data, params.train_images, params.train_labels),
        "test": _read_pair(project.data, params.test_images, params.test_labels),
    }
    for images_file, split in zip((params.train_images, params.test_images), splits.values(), strict=True):
        if split.images.shape[1:] != params.image_size:
            raise DataError(_wrong_size(images_file, params, split.images.shape))
    _check_digests(project, params)
    return splits


def read_batches(project: Project, params: DataParams) -> dict[str, Split]:
    """The batches of collected images under data/batches, by name, the oldest first; none is usual.

    Raises:
        DataError: a file is missing or damaged, or the images have another size than the dataset's.
    """
    folders = sorted(path for path in project.batches.glob("*") if path.is_dir())
    return {folder.name: read_batch(folder, params) for folder in folders}


def read_batch(folder: Path, params: DataParams) -> Split:
    """One batch. Raises DataError as `read_batches`."""
    try:
        return read_labelled_files(folder / BATCH_IMAGES, folder / BATCH_LABELS, params)
    except DataError as error:
        raise DataError(f"{error}. {bring_back(folder)}") from error


def read_salt(project: Project) -> bytes:
    """The secret by which collected images are divided into learned and tested ones; empty in data of earlier code.

    Raises:
        DataError: the file is damaged.
    """
    path = project.data / SALT
    try:
        salt = bytes.fromhex(read_text(path, 10 * SALT_BYTES))
        if len(salt) != SALT_BYTES:
            raise ValueError(f"expected {SALT_BYTES} bytes, found {len(salt)}")
    except FileNotFoundError:
        return b""
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}). {_bring_back(path, project.data)}") from error
    return salt


def bring_back(batch: Path) -> str:
    """Return what to do about a damaged batch."""
    return _bring_back(batch, batch.parents[1])


def _bring_back(path: Path, data: Path) -> str:
    """Not by DVC's `--force`: with a lost cache it may remove all of data/."""
    command = "dvc pull data.dvc" if (data / SYNTHETIC).exists() else "fashion fetch"
    return f"Remove {path}, then bring back what data.dvc pins with: {command}"


def read_labelled_files(images_path: Path, labels_path: Path, params: DataParams) -> Split:
    """Two gzipped IDX files that belong together; the images have the dataset's size.

    Raises:
        DataError: a file is missing or damaged, they disagree in number, or the images have another size.
    """
    split = Split(_read_file(images_path, dimensions=3), _read_file(labels_path, dimensions=1))
    if len(split.images) != len(split.labels):
        raise DataError(f"{images_path} holds {len(split.images)} images but {labels_path} {len(split.labels)} labels")
    if split.images.shape[1:] != params.image_size:
        raise DataError(
            f"{images_path}: expected images of {_size(params.image_size)} (data.image_size in params.yaml), found "
            f"{_size(split.images.shape[1:])}"
        )
    return split


def check_shapes(project: Project, params: DataParams) -> None:
    """Look at the beginning of the four files in data/: whether they can be used at all, before they are pinned.

    Raises:
        DataError: a file is no IDX file, has other dimensions, or does not fit its companion or params.yaml.
    """
    for images_file, labels_file in (
        (params.train_images, params.train_labels),
        (params.test_images, params.test_labels),
    ):
        images, labels = _read_shape(project, images_file, 3), _read_shape(project, labels_file, 1)
        if images[1:] != params.image_size:
            raise DataError(f"{_wrong_size(images_file, params, images)}. {SUPPORTED}")
        if images[0] != labels[0]:
            raise DataError(f"{_wrong_count(images_file, labels_file, images[0], labels[0])}. {SUPPORTED}")


def _read_shape(project: Project, file: DataFile, dimensions: int) -> tuple[int, ...]:
    try:
        with (project.data / file.name).open("rb") as stream:
            return read_idx_shape(stream, f"data/{file.name}", dimensions)
    except DataError as error:
        raise DataError(f"{error}. {SUPPORTED}") from error


def has_recent(project: Project) -> bool:
    """Whether there are collected images to test on: the split `recent`."""
    return (project.dataset / f"{RECENT}_images.npy").exists()


def digests(project: Project, params: DataParams) -> dict[str, str]:
    """SHA-256 of each data file, those of the batches too, by its path below data/."""
    files = [project.data / file.name for file in params.files]
    batches = sorted(path for path in project.batches.glob("*/*") if path.is_file())
    return {path.relative_to(project.data).as_posix(): file_digest(path) for path in (*files, *batches)}


def read_prepared(project: Project) -> Any:
    """Return what `prepare` says of the dataset that it has made: dataset.json.

    Raises:
        ArtifactError: `prepare` has not run, or the file is damaged.
    """
    return read_json(project.dataset / "dataset.json", "dvc repro prepare")


def load_split(project: Project, name: str) -> Split:
    """The prepared split `train`, `validation` or `test`, memory-mapped and read-only.

    Raises:
        ArtifactError: `prepare` has not run, or its files are damaged.
    """
    try:
        images, labels = (_map(project.dataset / f"{name}_{part}.npy") for part in ("images", "labels"))
        _check_arrays(images, labels)
    except FileNotFoundError as error:
        raise ArtifactError(f"{error.filename} is missing; make it with: dvc repro prepare") from error
    except Exception as error:  # Of a damaged header, which it parses as Python, numpy raises many kinds.
        raise ArtifactError(f"{project.dataset} is damaged ({error}); make it again with: dvc repro prepare") from error
    return Split(images, labels)


def _map(path: Path) -> NDArray[np.uint8]:
    if path.exists() and not path.is_file():
        raise ValueError(f"{path.name}: expected a file, found a folder or a device")  # A pipe would be waited for.
    return np.lib.format.open_memmap(path, mode="r")


def _check_arrays(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    found = f"{images.dtype} {images.shape} and {labels.dtype} {labels.shape}"
    if {images.dtype, labels.dtype} != {np.dtype(np.uint8)} or images.ndim != 3 or labels.shape != images.shape[:1]:
        raise ValueError(f"expected images uint8 (n, height, width) and labels uint8 (n,), found {found}")


def _check_digests(project: Project, params: DataParams) -> None:
    """Files that were drawn have digests that params.yaml does not know."""
    if is_synthetic(project):
        return
    found = digests(project, params)
    for file in params.files:
        if found[file.name] != file.sha256:
            raise DataError(
                f"data/{file.name} is not the file that params.yaml asks for: expected SHA-256 {file.sha256}, "
                f"found {found[file.name]}. Bring the right one with: fashion fetch --force"
            )


def _read_pair(folder: Path, images_file: DataFile, labels_file: DataFile) -> Split:
    images = _read(folder, images_file, dimensions=3)
    labels = _read(folder, labels_file, dimensions=1)
    if len(images) != len(labels):
        raise DataError(_wrong_count(images_file, labels_file, len(images), len(labels)))
    if not len(images):
        raise DataError(f"data/{images_file.name} holds no image")
    return Split(images, labels)


def _wrong_size(file: DataFile, params: DataParams, found: tuple[int, ...]) -> str:
    expected = f"expected images of {_size(params.image_size)} (data.image_size in params.yaml)"
    return f"data/{file.name}: {expected}, found {_size(found[1:])}"


def _wrong_count(images_file: DataFile, labels_file: DataFile, images: int, labels: int) -> str:
    found = f"data/{images_file.name} holds {images} images but data/{labels_file.name} {labels} labels"
    return f"{found}; expected as many of one as of the other"


def _read(folder: Path, file: DataFile, dimensions: int) -> NDArray[np.uint8]:
    """One of the files that `fetch` brings."""
    path = folder / file.name
    drawn = (folder / SYNTHETIC).exists()
    if not path.exists():
        raise DataError(
            f"{path} is missing; bring it with: {'fashion fetch --synthetic' if drawn else 'fashion fetch'}"
        )
    try:
        return _read_file(path, dimensions)
    except DataError as error:
        if path.is_file() and file_digest(path) == file.sha256:
            raise DataError(f"{error}. {SUPPORTED}") from error
        command = "fashion fetch --synthetic" if drawn else "fashion fetch --force"
        raise DataError(f"{error}. Bring the right file with: {command}") from error


def _read_file(path: Path, dimensions: int) -> NDArray[np.uint8]:
    if path.exists() and not path.is_file():
        raise DataError(f"{path.parent.name}/{path.name}: expected a file, found a folder or a device")
    try:
        with path.open("rb") as stream:
            return read_idx(stream, f"{path.parent.name}/{path.name}", dimensions)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _size(size: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in size)
