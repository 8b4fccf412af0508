"""The model that a training starts from: a file in data/, so that DVC keeps it with the data of the version."""

import logging

import keras

from fashion.errors import ArtifactError
from fashion.params import StartFrom
from fashion.paths import Project
from fashion.stages.classifier import load_classifier
from fashion.storage import file_digest

logger = logging.getLogger(__name__)


def load_start(project: Project, start: StartFrom | None) -> keras.Model | None:
    """Load the model named in params.yaml, if one is, after verifying its digest.

    Raises:
        ArtifactError: the file is missing, is another one, or is damaged; the message says how to get it back.
    """
    if start is None:
        return None
    path, again = project.root / start.path, advise(start)
    if not path.is_file():
        raise ArtifactError(f"{start.path}, the model that train.start_from names, is missing; {again}")
    if (found := file_digest(path)) != start.sha256:
        raise ArtifactError(
            f"{start.path} is not the model that train.start_from names: expected SHA-256 {start.sha256}, found "
            f"{found}; {again}"
        )
    return load_classifier(path)


def advise(start: StartFrom) -> str:
    """Return how the file comes back, or how to do without."""
    name, _, number = start.version.rpartition(" ")
    return (
        f"get it with: dvc pull data.dvc, or from the registry with: fashion start-from {number} --model {name}. To "
        "start from nothing: fashion start-from --none"
    )
