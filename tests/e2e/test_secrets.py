"""The name and password in an address are in nothing that a run or a command says or leaves behind."""

import logging
import os
from pathlib import Path

import pytest
from prefect import get_client
from typer.testing import CliRunner

from fashion.adapters.tracking import live_run
from fashion.adapters.tracking.address import registry_of
from fashion.cli import app
from fashion.errors import FashionError
from fashion.params import load_params
from flows.artifacts import print_summary
from flows.monitoring import monitoring
from flows.services.processes import service_commands
from flows.training import training
from tests.servers import end

SECRETS = ("mlflow-word", "log-word", "notify-word", "source-word", "proxy-word")


def find(text, where):
    """Each secret that stands in a text, with some of what stands around it."""
    return [
        f"{where}: {text[max(0, text.find(word) - 200) : text.find(word) + 50]}" for word in SECRETS if word in text
    ]


def find_in_files(folder):
    found = []
    for path in Path(folder).rglob("*"):
        if path.is_file() and not path.is_symlink():
            found += find(path.read_bytes().decode("latin-1"), path)
    return found


@pytest.fixture
def secretive(trained_project, at_server, mlflow_server, new_port, monkeypatch):
    """A trained project whose services are known by addresses with passwords; nobody answers but MLflow's server."""
    address, process = mlflow_server
    nobody = f"127.0.0.1:{new_port()}"
    at_server(trained_project)
    for name, value in {
        "MLFLOW_TRACKING_URI": address.replace("://", "://ann:mlflow-word@"),
        "FASHION_PREDICTIONS_URL": f"postgresql://ann:log-word@{nobody}/log",
        "FASHION_NOTIFY": f"http://{nobody}/notify-word",
        "FASHION_DATA_SOURCES": f"http://ann:source-word@{nobody},http://{nobody}/?token=source-word",
        "FTP_PROXY": f"http://ann:proxy-word@{nobody}",
    }.items():
        monkeypatch.setenv(name, value)
    return trained_project, process


def logs_of_prefect():
    with get_client(sync_client=True) as client:
        states = [run.state.message or "" for run in [*client.read_flow_runs(), *client.read_task_runs()]]
        written = [artifact.data for artifact in client.read_artifacts()]
        return "\n".join(map(str, [*states, *written, *(log.message for log in client.read_logs())]))


def type_command(*words):
    """What a person sees of a command, whether it fails or not."""
    result = CliRunner().invoke(app, words, env=dict(os.environ))
    assert isinstance(result.exception, FashionError | SystemExit | None), result.exception
    return f"{result.output}\n{result.exception}"


def test_no_output_of_a_run_or_a_command_holds_a_password_of_an_address(secretive, tmp_path, capfd, caplog):
    project, mlflow = secretive
    caplog.set_level(logging.INFO)
    params = load_params(project.params)
    state = training(reason="a test", synthetic=True, return_state=True)
    print_summary(project, state.result())
    with live_run(registry_of(project, params), "a run", {}, {}):
        pass
    monitoring(return_state=True)
    seen = [type_command("doctor"), type_command("history")]
    seen += [" ".join(line) for line in service_commands(project).values()]
    end(mlflow)
    training(reason="MLflow is away", synthetic=True, return_state=True)
    for command in ("models", "history", "predict", "monitor", "collect", "fetch --force", "doctor"):
        words = command.split() + (["picture.png"] if command == "predict" else [])
        seen.append(type_command(*words))
    seen += [*capfd.readouterr(), caplog.text, logs_of_prefect()]
    for said in ("No MLflow server answers", "The prediction log", "No source has", "Nobody was notified"):
        assert said in "".join(seen)
    assert find("\n".join(seen), "said") + find_in_files(project.root) + find_in_files(tmp_path) == []


def test_a_database_of_the_services_is_not_among_their_arguments(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://ann:mlflow-word@db.example/mlflow")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    assert find(str(service_commands(project)), "ps") == []
