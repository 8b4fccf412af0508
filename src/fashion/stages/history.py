"""The training history that `train` has saved."""

import io

import pandas as pd

from fashion.errors import ArtifactError
from fashion.paths import Project
from fashion.storage import LARGEST_ARTIFACT, read_text


def read_history(project: Project) -> pd.DataFrame:
    """A row an epoch, with the columns of `Epoch`."""
    path = project.model / "history.csv"
    try:
        return pd.read_csv(io.StringIO(read_text(path, LARGEST_ARTIFACT)))
    except (FileNotFoundError, ValueError) as error:
        raise ArtifactError(f"{path} is missing or damaged; make it with: dvc repro train") from error
