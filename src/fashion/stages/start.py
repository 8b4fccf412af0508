"""The model that a training starts from: a file in data/, so that DVC keeps it with the data of the version."""

import logging

import keras

from fashion.params import StartFrom
from fashion.paths import Project
from fashion.stages.classifier import load_classifier
from fashion.stages.restoring import find_pinned

logger = logging.getLogger(__name__)


def load_start(project: Project, start: StartFrom | None) -> keras.Model | None:
    """Load the model named in params.yaml, if one is, after verifying its digest.

    Raises:
        ArtifactError: the file is missing, is another one, or is damaged; the message says how to get it back.
    """
    if start is None:
        return None
    name = "the model that train.start_from names"
    return load_classifier(find_pinned(project.root / start.path, start.sha256, name, advise(start)))


def advise(start: StartFrom) -> str:
    """Return how the file comes back, or how to do without."""
    name, _, number = start.version.rpartition(" ")
    return (
        f"get it with: dvc pull data.dvc, or from the registry with: fashion start-from {number} --model {name}. To "
        "start from nothing: fashion start-from --none"
    )
