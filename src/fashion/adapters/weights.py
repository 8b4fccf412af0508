"""The weights in a .keras file, read with h5py: without TensorFlow, and without running the model's code."""

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
    """Read every array of the file by its name, and the bytes of the model's configuration as one more.

    The configuration contains the architecture, and the temperature, which is fitted but is not a weight. The rest of
    the zip contains the time of saving.

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
        raise ArtifactError(f"{path} is not a complete .keras file ({error}); make or fetch it again") from error
    return arrays


def _configuration(content: bytes) -> bytes:
    """Remove the memory addresses of Keras objects from the configuration."""
    cleaned = json.loads(
        content, object_hook=lambda node: {name: node[name] for name in node if name != "shared_object_id"}
    )
    return json.dumps(cleaned, sort_keys=True).encode()
