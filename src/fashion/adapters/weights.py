"""The weights in a .keras file, read with h5py: no TensorFlow, and none of the model's code, which may be another's."""

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from fashion.errors import ArtifactError

WEIGHTS = "model.weights.h5"
CONFIG = "config.json"


def read_weights(path: Path) -> dict[str, NDArray[np.generic]]:
    """Every array of the file by its name, and, as one more, the bytes of the model's configuration.

    The configuration holds the architecture and what is fitted but no weight: the temperature. The rest of the zip
    carries the time of saving.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    arrays: dict[str, NDArray[np.generic]] = {}

    def collect(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            arrays[name] = node[()]

    try:
        with zipfile.ZipFile(path) as archive:
            arrays[CONFIG] = np.frombuffer(_configuration(archive.read(CONFIG)), np.uint8)
            with h5py.File(io.BytesIO(archive.read(WEIGHTS))) as file:
                file.visititems(collect)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{path} is not a whole .keras file ({error}); make it again, or fetch it again") from error
    return arrays


def _configuration(content: bytes) -> bytes:
    """Without the addresses that Keras' objects had in memory."""
    cleaned = json.loads(
        content, object_hook=lambda node: {name: node[name] for name in node if name != "shared_object_id"}
    )
    return json.dumps(cleaned, sort_keys=True).encode()
