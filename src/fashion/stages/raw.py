"""Reading what is in data/: the published files and the batches of collected images, in the dataset's own format."""

from pathlib import Path

from fashion.arrays import LabelledImages
from fashion.errors import DataError
from fashion.params import DataParams
from fashion.paths import Project
from fashion.reading import read_text
from fashion.stages.formats import format_of
from fashion.stages.restoring import bring_back, is_synthetic, restore
from fashion.storage import file_digest

SALT, SALT_BYTES = "salt", 32
"""The file in data/ with the secret, in hexadecimal, that divides collected images; it is not in git."""


def read_raw(project: Project, params: DataParams) -> dict[str, LabelledImages]:
    """Read the splits `train` and `test` from data/; their images are mapped files.

    Raises:
        DataError: a file is missing or damaged, or the files disagree with each other or with params.yaml.
    """
    splits = {name: format_of(params).read_split(project, params, name) for name in ("train", "test")}
    _check_digests(project, params)
    return splits


def read_test(project: Project, params: DataParams) -> LabelledImages:
    """Read the split `test` alone. Raises DataError like `read_raw`."""
    split = format_of(params).read_split(project, params, "test")
    _check_digests(project, params)
    return split


def read_batches(project: Project, params: DataParams) -> dict[str, LabelledImages]:
    """Read the batches of collected images under data/batches, by name, the oldest first; often there are none.

    Raises:
        DataError: a file is missing or damaged, or the images have another size than the dataset's.
    """
    folders = sorted(path for path in project.batches.glob("*") if path.is_dir())
    return {folder.name: _read_batch(project, params, folder) for folder in folders}


def _read_batch(project: Project, params: DataParams, folder: Path) -> LabelledImages:
    try:
        return format_of(params).read_batch(project, params, folder)
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
        raise DataError(f"{path} is damaged ({error}); {restore(path, project.data)}") from error
    return salt


def digests(project: Project, params: DataParams) -> dict[str, str]:
    """Return the SHA-256 of each data file, including those of the batches, by its path below data/."""
    files = [project.data / file.name for file in params.files]
    batches = sorted(path for path in project.batches.glob("*/*") if path.is_file())
    return {path.relative_to(project.data).as_posix(): file_digest(path) for path in (*files, *batches)}


def _check_digests(project: Project, params: DataParams) -> None:
    """Check the files against params.yaml, unless they were drawn: it does not know the digests of those."""
    if is_synthetic(project):
        return
    for file in params.files:
        if (found := file_digest(project.data / file.name)) != file.sha256:
            raise DataError(
                f"data/{file.name} is not the file that params.yaml asks for: expected SHA-256 {file.sha256}, "
                f"found {found}. Get the right one with: fashion fetch --force"
            )
