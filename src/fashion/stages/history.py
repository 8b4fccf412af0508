"""The training history that `train` has saved."""

import io

import pandas as pd

from fashion.errors import ArtifactError
from fashion.paths import Project
from fashion.storage import LARGEST_ARTIFACT, read_text

COLUMNS = ["epoch", "epochs", "loss", "accuracy", "validation_loss", "validation_accuracy"]
"""Those of `Epoch` that are read; named here, because that module imports TensorFlow."""


def read_history(project: Project) -> pd.DataFrame:
    """Return a row an epoch, with the columns of `Epoch`.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    path = project.model / "history.csv"
    try:
        history = pd.read_csv(io.StringIO(read_text(path, LARGEST_ARTIFACT)))
        history[COLUMNS].astype(float)  # Or it has no such columns, or they hold no numbers.
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise ArtifactError(f"{path} is missing or damaged; make it with: dvc repro train") from error
    return history
