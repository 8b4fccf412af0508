"""The backbone of a recipe: its weights are a file in data/, so that DVC keeps them with the data of the version."""

from pathlib import Path

import keras
import numpy as np

from fashion.errors import ArtifactError
from fashion.model.backbones import BACKBONES, build_backbone
from fashion.params import Recipe
from fashion.paths import Project
from fashion.stages.restoring import find_pinned


def load_backbone(project: Project, recipe: Recipe) -> keras.Model | None:
    """Load the backbone that a recipe names, if it names one, after verifying the digest of its weights.

    Raises:
        ArtifactError: the file is missing, is another one, or is damaged; the message says how to get it back.
    """
    if (wanted := recipe.backbone) is None:
        return None
    name = f"the weights of {wanted.name} that the recipe names"
    again = f"get it with: dvc pull data.dvc; or anew: {advise(wanted.name)}"
    return read_backbone(wanted.name, find_pinned(project.root / wanted.path, wanted.sha256, name, again))


def read_backbone(name: str, path: Path) -> keras.Model:
    """Build the backbone of this name with the weights in a file.

    Raises:
        ArtifactError: the file is damaged, or has the weights of another network.
    """
    backbone = build_backbone(name)
    try:
        backbone.load_weights(path)
    except Exception as error:  # Keras and HDF5 raise many kinds for a damaged file, or another network's.
        reason = " ".join(str(error).split())[:300]
        raise ArtifactError(
            f"{path} does not have the weights of {name} without its head ({reason}); {advise(name)}"
        ) from error
    if not all(np.isfinite(weights).all() for weights in backbone.get_weights()):
        raise ArtifactError(f"{path} has weights of {name} that are not finite numbers; {advise(name)}")
    return backbone


def advise(name: str) -> str:
    """Return which file has the weights, where it is published, and the command that takes it."""
    published = BACKBONES[name]
    return (
        f"download {published.file} from {published.address} (nothing here downloads it), then type: fashion backbone "
        f"{name} {published.file}"
    )
