"""MLflow dies, or somebody else holds its database, in the middle of registering; then the same command again."""

import sqlite3
from contextlib import closing

import pytest
from mlflow import MlflowClient

from fashion.adapters import tracking
from fashion.adapters.tracking import address as address_module
from fashion.adapters.tracking.address import EXPERIMENT, Registry, registry_of
from fashion.errors import ServiceError
from fashion.registry.register import register
from fashion.stages.train import train
from tests.conftest import forget_artifact_folders
from tests.projects import edit_params
from tests.servers import end, reserved_port, start_mlflow, wait_for


def loadable_aliases(registry, folder):
    """The aliases by version; those who have one can be fetched."""
    found = [tracking.get_version(registry, one.number) for one in tracking.list_versions(registry)]
    for version in found:
        if version.aliases:
            tracking.keep_version(registry, version, folder)
    return {version.number: version.aliases for version in found}


class Mortal:
    """An MLflow server that dies and comes back, at one address and with the same database."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port
        self.start()

    def start(self):
        self.address, self.process = start_mlflow(self.folder, self.port)
        wait_for(self.address, self.process)

    def die(self):
        end(self.process)


@pytest.fixture(scope="module")
def mortal(tmp_path_factory):
    with reserved_port() as port:
        server = Mortal(tmp_path_factory.mktemp("server"), port)
        yield server
        server.die()


@pytest.fixture
def server(mortal):
    """It is alive, and remembers no run of the tests before."""
    if mortal.process.poll() is not None:
        mortal.start()
    client = MlflowClient(mortal.address)
    if experiment := client.get_experiment_by_name(EXPERIMENT):
        for run in client.search_runs([experiment.experiment_id]):
            client.delete_run(run.info.run_id)
    return mortal


@pytest.mark.parametrize(
    "call",
    ["log_artifacts", "create_model_version", "log_param", "set_registered_model_alias", "set_model_version_tag"],
)
def test_what_mlflow_died_in_the_middle_of_is_finished_by_the_same_command(
    trained_project, server, tmp_path, monkeypatch, call
):
    """MLflow is killed as it is asked for the step, whose request is then made of nobody."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    forget_artifact_folders()
    params = edit_params(trained_project, {"register": {"name": f"garments-{call}"}})
    registry = registry_of(trained_project, params)
    real = getattr(MlflowClient, call)

    def die(self, *arguments, **options):
        server.die()
        return real(self, *arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(ServiceError, match="the same command goes on"):
        patch.setattr(MlflowClient, call, die)
        register(trained_project, params)
    server.start()
    forget_artifact_folders()
    known = loadable_aliases(registry, tmp_path / "before")
    assert set(known) <= {"1"}
    finished = register(trained_project, params)
    assert (finished.version, finished.verdict) == ("1", "champion")
    assert loadable_aliases(registry, tmp_path / "after") == {"1": ("champion",)}


@pytest.fixture
def database(trained_project):
    """MLflow's database as another program sees it."""
    with closing(sqlite3.connect(trained_project.state / "mlflow.db", isolation_level=None)) as connection:
        yield connection


def test_a_database_that_is_held_by_another_program_is_said_before_mlflow_is_asked(
    trained_project, database, monkeypatch
):
    """MLflow would wait for twenty seconds at each of its calls."""
    params = edit_params(trained_project, {"register": {"name": "another"}})
    database.execute("BEGIN EXCLUSIVE")
    with monkeypatch.context() as patch, pytest.raises(ServiceError, match=r"cannot be used \(database is locked\)"):
        patch.setattr(address_module, "PATIENCE_SECONDS", 0.1)
        register(trained_project, params)
    database.execute("ROLLBACK")
    assert register(trained_project, params).version == "1"


def test_a_database_that_is_taken_while_a_version_is_registered_loses_nothing(trained_project, database, monkeypatch):
    """Others may read it, but it takes no writes: MLflow waits for twenty seconds, then says so."""
    params = edit_params(trained_project, {"register": {"name": "another"}})
    registry: Registry = registry_of(trained_project, params)
    real = MlflowClient.create_model_version

    def take(self, *arguments, **options):
        database.execute("BEGIN IMMEDIATE")
        return real(self, *arguments, **options)

    with monkeypatch.context() as patch, pytest.raises(ServiceError, match="Another program holds its database"):
        patch.setattr(MlflowClient, "create_model_version", take)
        register(trained_project, params)
    database.execute("ROLLBACK")
    assert tracking.list_versions(registry) == ()
    assert register(trained_project, params).verdict == "champion"
    assert len(tracking.list_versions(registry)) == 1


def test_a_training_ends_well_without_its_curves_where_the_database_is_taken(
    trained_project, database, monkeypatch, caplog
):
    params = edit_params(trained_project, {"train": {"recipes": {"baseline": {"epochs": 1}}}})
    real = MlflowClient.log_batch

    def take(self, *arguments, **options):
        if not database.in_transaction:
            database.execute("BEGIN IMMEDIATE")
        return real(self, *arguments, **options)

    monkeypatch.setattr(MlflowClient, "log_batch", take)
    train(trained_project, params, lambda done, total: None)
    assert "Training goes on without its live curves" in caplog.text
    assert trained_project.model_file.is_file()
