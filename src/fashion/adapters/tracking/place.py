"""Where the files of new runs and versions are kept: known to every machine, and found out before any work."""

from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.uri import is_local_uri

from fashion.adapters.tracking.address import Registry, check, in_words
from fashion.errors import ServiceError


def check_place(registry: Registry) -> None:
    """Find out in seconds whether MLflow can be used and takes files, before anything expensive starts.

    Raises:
        ParamsError: nothing says where the files go.
        ServiceError: nothing answers at MLflow's address or where the files go, or they go to one machine's folder.
        SetupError: what asks S3 is not installed.
    """
    location = registry.artifact_location
    check(registry.uri)
    if location not in (None, registry.artifacts.as_uri()):
        _look(registry, str(location))


@in_words
def _look(registry: Registry, location: str) -> None:
    experiment = MlflowClient(registry.uri).get_experiment_by_name(registry.experiment)
    if experiment:
        check_location(registry, experiment)
        location = experiment.artifact_location
    get_artifact_repository(location).list_artifacts()


def check_location(registry: Registry, experiment: Experiment) -> None:
    """Check that an experiment in a database that others use does not keep its files in one machine's folder.

    Raises:
        ServiceError: it does: it was made before there was a place for them, and MLflow does not move it.
    """
    location = str(experiment.artifact_location)
    is_in_place = f"{location}/".startswith(f"{registry.artifact_location}/")
    if is_in_place or not registry.is_database or not is_local_uri(location):
        return
    raise ServiceError(
        f"The experiment {experiment.name} of {registry.uri} keeps its files in {location}, a folder of one machine, "
        f"and not in {registry.artifact_location}. Let a new one begin there; the old one stays under another name: "
        f"mlflow experiments rename --experiment-id {experiment.experiment_id} --new-name {experiment.name}-local"
    )
