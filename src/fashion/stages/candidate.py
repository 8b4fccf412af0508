"""The candidate that `train` leaves behind, and where its run and its versions are kept. Imports no Keras."""

import pandas as pd

from fashion.adapters import tracking
from fashion.errors import ArtifactError
from fashion.params import Params
from fashion.paths import Project
from fashion.settings import tracking_uri

MODEL_DIGEST = "model_sha256"
"""The tag by which `register` finds the run in which a model was trained."""


def registry_of(project: Project, params: Params) -> tracking.Registry:
    return tracking.Registry(tracking_uri(project), project.state / "mlflow", params.register_.name)


def run_name(params: Params) -> str:
    return f"{params.train.model}, seed {params.train.seed}"


def read_history(project: Project) -> pd.DataFrame:
    """A row an epoch, with the columns of `Epoch`."""
    path = project.model / "history.csv"
    try:
        return pd.read_csv(path)
    except (FileNotFoundError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ArtifactError(f"{path} is missing or damaged; make it with: dvc repro train") from error
