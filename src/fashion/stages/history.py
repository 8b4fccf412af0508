"""The training history that `train` has saved."""

import pandas as pd

from fashion.errors import ArtifactError
from fashion.paths import Project


def read_history(project: Project) -> pd.DataFrame:
    """A row an epoch, with the columns of `Epoch`."""
    path = project.model / "history.csv"
    try:
        return pd.read_csv(path)
    except (FileNotFoundError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ArtifactError(f"{path} is missing or damaged; make it with: dvc repro train") from error
