"""Reading what is in data/: the published files and the batches of collected images."""

from pathlib import Path

from fashion.arrays import Bytes, LabelledImages
from fashion.errors import DataError
from fashion.images.idx import read_idx, read_idx_shape
from fashion.params import DataFile, DataParams
from fashion.paths import Project
from fashion.reading import read_text
from fashion.storage import file_digest

BATCH_IMAGES, BATCH_LABELS = "images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"
SUPPORTED = (
    "It is the file that params.yaml asks for, but its format is not supported: expected gzipped IDX files of unsigned "
    "bytes, grey images (n, height, width) or colour images (n, height, width, 3) as data.image_size and "
    "data.pictures.channels say, and labels (n,). Convert the dataset, and set the digests in params.yaml"
)
SALT, SALT_BYTES = "salt", 32
"""The file in data/ with the secret, in hexadecimal, that divides collected images; it is not in git."""
SYNTHETIC = "SYNTHETIC"
"""Name of a file that is in data/ whenever any file there is drawn; it says how."""


def is_synthetic(project: Project) -> bool:
    """Return whether data/ holds drawn garments instead of real data."""
    return (project.data / SYNTHETIC).exists()


def read_raw(project: Project, params: DataParams) -> dict[str, LabelledImages]:
    """Read the splits `train` and `test` from data/.

    Raises:
        DataError: a file is missing or damaged, or the files disagree with each other or with params.yaml.
    """
    splits = {name: _read_split(project, images, labels, params) for name, (images, labels) in _pairs(params).items()}
    _check_digests(project, params)
    return splits


def _pairs(params: DataParams) -> dict[str, tuple[DataFile, DataFile]]:
    return {"train": (params.train_images, params.train_labels), "test": (params.test_images, params.test_labels)}


def read_batches(project: Project, params: DataParams) -> dict[str, LabelledImages]:
    """Read the batches of collected images under data/batches, by name, the oldest first; often there are none.

    Raises:
        DataError: a file is missing or damaged, or the images have another size than the dataset's.
    """
    folders = sorted(path for path in project.batches.glob("*") if path.is_dir())
    return {folder.name: read_batch(folder, params) for folder in folders}


def read_batch(folder: Path, params: DataParams) -> LabelledImages:
    """Read one batch. Raises DataError like `read_batches`."""
    try:
        return read_labelled_files(folder / BATCH_IMAGES, folder / BATCH_LABELS, params)
    except DataError as error:
        raise DataError(f"{error}; {bring_back(folder)}") from error


def read_salt(project: Project) -> bytes:
    """Read the secret that divides collected images between training and testing; empty in data of earlier releases.

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
        raise DataError(f"{path} is damaged ({error}); {_bring_back(path, project.data)}") from error
    return salt


def bring_back(batch: Path) -> str:
    """Return the advice for restoring a damaged batch."""
    return _bring_back(batch, batch.parents[1])


def _bring_back(path: Path, data: Path) -> str:
    """Return how to restore a file, without DVC's `--force`: if the cache is lost, that may remove all of data/."""
    command = "dvc pull data.dvc" if (data / SYNTHETIC).exists() else "fashion fetch"
    return f"remove {path}, then restore what data.dvc pins with: {command}"


def read_labelled_files(images_path: Path, labels_path: Path, params: DataParams) -> LabelledImages:
    """Read two gzipped IDX files that belong together; the images have the dataset's size.

    Raises:
        DataError: a file is missing or damaged, they disagree in number, or the images have another size.
    """
    images = _with_channels(_read_file(images_path, _dimensions(params)), params)
    labels = _read_file(labels_path, 1)
    _check_pair((images_path, labels_path), images.shape, labels.shape, params)
    return LabelledImages(images, labels)


def _dimensions(params: DataParams) -> int:
    """Return the dimensions of a file of images: grey ones have no channels there."""
    return 3 if params.pictures.channels == 1 else 4


def _with_channels(images: Bytes, params: DataParams) -> Bytes:
    return images[..., None] if _dimensions(params) == 3 else images


def check_shapes(project: Project, params: DataParams) -> None:
    """Check the headers of the four files in data/, before they are pinned.

    Raises:
        DataError: a file is not an IDX file, has other dimensions, or does not match its companion or params.yaml.
    """
    for files in _pairs(params).values():
        images, labels = (
            _read_shape(project, file, dimensions)
            for file, dimensions in zip(files, (_dimensions(params), 1), strict=True)
        )
        if _dimensions(params) == 3:
            images = (*images, 1)
        try:
            _check_pair(_names(files), images, labels, params)
        except DataError as error:
            raise DataError(f"{error}. {SUPPORTED}") from error


def _read_shape(project: Project, file: DataFile, dimensions: int) -> tuple[int, ...]:
    try:
        with (project.data / file.name).open("rb") as stream:
            return read_idx_shape(stream, f"data/{file.name}", dimensions)
    except DataError as error:
        raise DataError(f"{error}. {SUPPORTED}") from error


def digests(project: Project, params: DataParams) -> dict[str, str]:
    """Return the SHA-256 of each data file, including those of the batches, by its path below data/."""
    files = [project.data / file.name for file in params.files]
    batches = sorted(path for path in project.batches.glob("*/*") if path.is_file())
    return {path.relative_to(project.data).as_posix(): file_digest(path) for path in (*files, *batches)}


def _check_digests(project: Project, params: DataParams) -> None:
    """Check the files against params.yaml, unless they were drawn: it does not know the digests of those."""
    if is_synthetic(project):
        return
    found = digests(project, params)
    for file in params.files:
        if found[file.name] != file.sha256:
            raise DataError(
                f"data/{file.name} is not the file that params.yaml asks for: expected SHA-256 {file.sha256}, "
                f"found {found[file.name]}. Get the right one with: fashion fetch --force"
            )


def _read_split(project: Project, images_file: DataFile, labels_file: DataFile, params: DataParams) -> LabelledImages:
    images = _with_channels(_read(project.data, images_file, _dimensions(params)), params)
    split = LabelledImages(images, _read(project.data, labels_file, 1))
    _check_pair(_names((images_file, labels_file)), split.images.shape, split.labels.shape, params)
    if not len(split.images):
        raise DataError(f"data/{images_file.name} contains no images")
    return split


def _names(files: tuple[DataFile, DataFile]) -> tuple[str, str]:
    return f"data/{files[0].name}", f"data/{files[1].name}"


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


def _read(folder: Path, file: DataFile, dimensions: int) -> Bytes:
    """Read one of the files that `fetch` provides."""
    path = folder / file.name
    drawn = (folder / SYNTHETIC).exists()
    if not path.exists():
        raise DataError(f"{path} is missing; get it with: {'fashion fetch --synthetic' if drawn else 'fashion fetch'}")
    try:
        return _read_file(path, dimensions)
    except DataError as error:
        if path.is_file() and file_digest(path) == file.sha256:
            raise DataError(f"{error}. {SUPPORTED}") from error
        command = "fashion fetch --synthetic" if drawn else "fashion fetch --force"
        raise DataError(f"{error}. Get the right file with: {command}") from error


def _read_file(path: Path, dimensions: int) -> Bytes:
    if path.exists() and not path.is_file():
        raise DataError(f"{path.parent.name}/{path.name}: expected a file, found a folder or a device")
    try:
        with path.open("rb") as stream:
            return read_idx(stream, f"{path.parent.name}/{path.name}", dimensions)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _size(shape: tuple[int, ...]) -> str:
    height, width, *channels = shape
    return f"{height} x {width}" if channels in ([], [1]) else f"{height} x {width} in {channels[0]} channels"
