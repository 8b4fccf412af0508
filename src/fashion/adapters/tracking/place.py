"""Where the files of new runs and versions are kept: known to every machine, and found out before any work."""

from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage
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
        check_experiment(registry, experiment)
        location = experiment.artifact_location
    get_artifact_repository(location).list_artifacts()


def check_kept(registry: Registry, experiment: Experiment) -> None:
    """Check that nobody deleted an experiment in MLflow, which keeps its name from any other.

    Raises:
        ServiceError: somebody did.
    """
    if experiment.lifecycle_stage == LifecycleStage.DELETED:
        raise ServiceError(
            f"The experiment {experiment.name} was deleted in {registry.uri}; bring it back with: "
            f"mlflow experiments restore --experiment-id {experiment.experiment_id}"
        )


def check_experiment(registry: Registry, experiment: Experiment) -> None:
    """Check that an experiment takes runs, and, in a database that others use, not their files in a machine's folder.

    Raises:
        ServiceError: it was deleted; or made before there was a place for the files, and MLflow does not move it.
    """
    check_kept(registry, experiment)
    location = str(experiment.artifact_location)
    is_in_place = f"{location}/".startswith(f"{registry.artifact_location}/")
    if is_in_place or not registry.is_database or not is_local_uri(location):
        return
    raise ServiceError(
        f"The experiment {experiment.name} of {registry.uri} keeps its files in {location}, a folder of one machine, "
        f"and not in {registry.artifact_location}. Let a new one begin there; the old one stays under another name: "
        f"mlflow experiments rename --experiment-id {experiment.experiment_id} --new-name {experiment.name}-local"
    )
