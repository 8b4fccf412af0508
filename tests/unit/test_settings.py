"""Whose variables and whose environment: the project's defaults, the user's, or another project's."""

import os
import sys

import pytest

from fashion.defaults import read_defaults
from fashion.environment import apply_environment
from fashion.errors import ParamsError
from fashion.paths import Project
from fashion.settings import load_project, load_settings, predictions_url, tracking_uri


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with two defaults, and an environment in which nobody has set anything."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in ("DO_NOT_TRACK", "MLFLOW_TRACKING_URI", "KERAS_HOME"):
        os.environ.pop(name, None)
    return make_project(tmp_path / "one")


def make_project(folder):
    folder.mkdir()
    folder.joinpath(".env").write_text("DO_NOT_TRACK=true\nMLFLOW_TRACKING_URI=sqlite:///.state/mlflow.db\n")
    return Project(folder)


def activate(project):
    """As activate.sh: what was set is written down."""
    defaults = read_defaults(project.root)
    os.environ.update(defaults)
    os.environ["_FASHION_SET"] = "".join(f"{name}={value}\n" for name, value in defaults.items())


def make_environment(folder, made_for, monkeypatch):
    """Let the interpreter be that of a virtual environment that setup.sh made for a folder."""
    folder.joinpath(".venv").mkdir()
    folder.joinpath(".venv", ".installed").write_text(f"folder {made_for}\npython 3.11.7\n")
    monkeypatch.setattr(sys, "prefix", str(folder / ".venv"))


def test_what_the_activation_of_another_project_has_set_gives_way(project, tmp_path):
    activate(make_project(tmp_path / "other"))
    apply_environment(project)
    assert os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{project.root}/.state/mlflow.db"


def test_what_the_user_has_set_wins_over_the_defaults_and_over_an_activation(project, tmp_path):
    activate(make_project(tmp_path / "other"))
    os.environ["MLFLOW_TRACKING_URI"] = "http://tracking.example:5000"
    apply_environment(project)
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://tracking.example:5000"


@pytest.mark.advice("unset", "environment.py")
@pytest.mark.parametrize("name", ["MLFLOW_REGISTRY_URI", "MLFLOW_REGISTRY_STORE_URI"])
def test_a_registry_apart_from_the_runs_is_refused_by_the_name_of_its_variable(project, name):
    os.environ[name] = "sqlite:////elsewhere/other.db"
    with pytest.raises(ParamsError, match=f"unset {name}"):
        apply_environment(project)
    del os.environ[name]
    apply_environment(project)
    os.environ[name] = f"sqlite:///{project.root}/.state/mlflow.db"
    apply_environment(project)


def test_what_the_code_needs_is_fixed_before_a_tool_is_imported(project):
    foreign = {"KERAS_BACKEND": "torch", "TF_USE_LEGACY_KERAS": "1", "KERAS_MAX_EPOCHS": "1", "GIT_DIR": "/other/.git"}
    os.environ.update(foreign, WEB_CONCURRENCY="4")
    apply_environment(project)
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert not {"TF_USE_LEGACY_KERAS", "KERAS_MAX_EPOCHS", "GIT_DIR", "WEB_CONCURRENCY"} & os.environ.keys()


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("FASHION_PREDICTIONS_KEEP_DAYS", "36501", "less than or equal to 36500 (found '36501')"),
        ("FASHION_PREDICTIONS_KEEP_DAYS", "0", "greater than or equal to 1 (found '0')"),
        ("FASHION_PREDICTIONS_KEEP_ROWS", "1e99", "valid integer"),
        ("FASHION_SERVE_PORT", "70000", "less than or equal to 65535 (found '70000')"),
        ("FASHION_MLFLOW_PORT", "http", "valid integer"),
    ],
)
def test_an_impossible_value_is_named_with_what_was_found(monkeypatch, name, value, complaint):
    monkeypatch.setenv(name, value)
    with pytest.raises(ParamsError) as error:
        load_settings()
    assert f"  {name}: Input should be" in str(error.value)
    assert complaint in str(error.value)
    assert "pydantic" not in str(error.value)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:4200/api", "http:///api", "http://host:42O0/api", "http://[::1/api", "http://host:4200"]
)
def test_an_address_of_prefect_that_is_none_is_named(monkeypatch, address):
    monkeypatch.setenv("PREFECT_API_URL", address)
    with pytest.raises(ParamsError, match="PREFECT_API_URL: Value error, .*found") as error:
        load_settings()
    assert address in str(error.value)


@pytest.mark.parametrize("address", ["http://host/api", "http://host:4200/api", "https://example.org/prefect/api"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_an_address_of_prefect_has_no_slash_at_its_end_whoever_reads_it(project, address, slash):
    os.environ["PREFECT_API_URL"] = address + slash
    apply_environment(project)
    assert load_settings().prefect_api_url == os.environ["PREFECT_API_URL"] == address


@pytest.mark.parametrize("key", [b"s\xc3\xa9cret-key", b"s\xe9cret-key", b" secret-key", b"secret-\tkey"])
def test_a_key_that_not_every_caller_can_send_is_refused_and_not_shown(monkeypatch, key):
    monkeypatch.setenv("FASHION_SERVE_KEY", os.fsdecode(key))
    with pytest.raises(ParamsError) as error:
        load_settings()
    assert "FASHION_SERVE_KEY: " in str(error.value)
    assert "cret" not in str(error.value)


@pytest.mark.parametrize("key", ["secret", "a key", "!~"])
def test_a_key_of_ascii_is_taken(monkeypatch, key):
    monkeypatch.setenv("FASHION_SERVE_KEY", key)
    assert load_settings().serve_key.get_secret_value() == key


def test_an_environment_that_was_copied_with_its_folder_is_refused(project, monkeypatch):
    make_environment(project.root, "/the/original", monkeypatch)
    with pytest.raises(ParamsError, match=f"made for /the/original.*cd {project.root} && make setup"):
        apply_environment(project)


def test_an_environment_is_refused_in_a_project_that_has_one_of_its_own(project, tmp_path, monkeypatch):
    make_environment(project.root, project.root, monkeypatch)
    other = make_project(tmp_path / "other")
    make_environment(other.root, other.root, monkeypatch)
    monkeypatch.setattr("fashion.environment.__file__", str(other.root / "src/fashion/environment.py"))
    with pytest.raises(ParamsError, match=f"source {project.root}/.venv/bin/activate"):
        apply_environment(project)
    apply_environment(other)


def test_code_of_another_folder_by_pythonpath_is_refused(project, monkeypatch):
    make_environment(project.root, project.root, monkeypatch)
    monkeypatch.setenv("PYTHONPATH", "/other/src")
    with pytest.raises(ParamsError, match=r"unset PYTHONPATH \(it is /other/src\)"):
        apply_environment(project)


def test_this_environment_belongs_to_this_folder():
    apply_environment(load_project())


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("own", [True, False])
def test_certificates_that_requests_trusts_count_for_every_client_that_has_none_of_its_own(
    project, name, own, tmp_path
):
    for other in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        os.environ.pop(other, None)
    theirs = tmp_path / "company.pem"
    theirs.touch()
    os.environ[name] = str(theirs)
    if own:
        os.environ["SSL_CERT_FILE"] = "/own.pem"
    apply_environment(project)
    assert os.environ["SSL_CERT_FILE"] == ("/own.pem" if own else str(theirs))


@pytest.mark.parametrize(
    ("named", "used"),
    [
        ("s3://bucket/mlflow/", "s3://bucket/mlflow"),
        ("/mnt/shared folder", "file:///mnt/shared%20folder"),
        ("file:///mnt/shared", "file:///mnt/shared"),
    ],
)
def test_a_place_of_artifacts_is_an_address(project, named, used):
    os.environ["MLFLOW_DEFAULT_ARTIFACT_ROOT"] = named
    assert load_settings().artifact_root == used


def test_a_place_of_artifacts_that_hangs_on_the_working_directory_is_refused_by_the_name_of_its_variable(project):
    os.environ["MLFLOW_DEFAULT_ARTIFACT_ROOT"] = "mlruns"
    with pytest.raises(ParamsError, match="MLFLOW_DEFAULT_ARTIFACT_ROOT: .*expected s3://bucket/path"):
        load_settings()


def test_a_database_of_mlflow_is_reached_by_the_driver_that_is_installed(project):
    os.environ["MLFLOW_TRACKING_URI"] = "postgresql://ann@db.example/mlflow"
    assert tracking_uri(project) == "postgresql+psycopg://ann@db.example/mlflow"
    os.environ["MLFLOW_TRACKING_URI"] = "postgresql+psycopg2://ann@db.example/mlflow"
    assert tracking_uri(project) == "postgresql+psycopg2://ann@db.example/mlflow"


def test_an_empty_variable_means_the_default(project):
    (project.root / "defaults.env").write_text("PREFECT_API_URL=http://127.0.0.1:4200/api\n")
    empty = ("MLFLOW_TRACKING_URI", "FASHION_PREDICTIONS_URL", "FASHION_SERVE_PORT", "FASHION_SERVE_KEY")
    os.environ.update(dict.fromkeys((*empty, "PREFECT_API_URL"), ""))
    apply_environment(project)
    assert os.environ["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"
    os.environ.update(dict.fromkeys(empty, ""))
    assert tracking_uri(project) == f"sqlite:///{project.root}/.state/mlflow.db"
    assert predictions_url(project) == f"sqlite:///{project.root}/.state/predictions.db"
    assert (load_settings().serve_port, load_settings().serve_key) == (8000, None)
