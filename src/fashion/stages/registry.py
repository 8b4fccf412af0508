"""Which registry the project uses, and how `train` and `register` find each other's runs in it."""

from hashlib import sha256
from pathlib import Path

from fashion.adapters.tracking.address import Registry
from fashion.params import Params
from fashion.paths import Project
from fashion.settings import tracking_uri

MODEL_DIGEST = "model_sha256"
"""The tag by which `register` finds the run in which a model was trained."""
DATA_VERSION = "data_version"
"""The tag that says of which data a version was made: the digest that data.dvc had then."""
VERDICT, REASON = "verdict", "reason"
"""The tags that say what was decided about a version, and why."""


def registry_of(project: Project, params: Params) -> Registry:
    return Registry(tracking_uri(project), project.state / "mlflow", params.register_.name)


def run_name(params: Params) -> str:
    return f"{params.train.model}, seed {params.train.seed}"


def champion_folder(project: Project, params: Params) -> Path:
    """Where champions are kept on this machine, apart for each registry and model: both may have a version 1."""
    registry = registry_of(project, params)
    address = registry.uri.replace(f"{project.root}/", "")  # A moved project goes on with what it has.
    return project.state / "champion" / sha256(f"{registry.name}\n{address}".encode()).hexdigest()[:16]
