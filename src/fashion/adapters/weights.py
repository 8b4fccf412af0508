"""The weights in a .keras file, read with h5py: no TensorFlow, and none of the model's code, which may be another's."""

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from fashion.errors import ArtifactError

WEIGHTS = "model.weights.h5"
CONFIG = "config.json"


def read_weights(path: Path) -> dict[str, NDArray[np.generic]]:
    """Every array of the file by its name, and the bytes of the model's configuration.

    The configuration holds the architecture and what is fitted but no weight, such as the temperature. Left out is the
    rest of the zip: it carries the time of saving.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    arrays: dict[str, NDArray[np.generic]] = {}

    def collect(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            arrays[name] = node[()]

    try:
        with zipfile.ZipFile(path) as archive:
            arrays[CONFIG] = np.frombuffer(archive.read(CONFIG), np.uint8)
            with h5py.File(io.BytesIO(archive.read(WEIGHTS))) as file:
                file.visititems(collect)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{path} is not a whole .keras file ({error}); make it again, or fetch it again") from error
    return arrays
