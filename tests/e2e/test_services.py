"""`make up` and `make down`: the services as a person starts and ends them."""

import re
import socket
import sqlite3
import subprocess
import sys
import time

import psutil
import pytest

from tests.projects import edit_params


def run(project, *command):
    command = [sys.executable, "-m", *command]
    return subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False, timeout=300)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def ports(monkeypatch):
    """Free ports for Prefect and MLflow, set for what this test starts."""
    prefect, mlflow = free_port(), free_port()
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{prefect}/api")
    monkeypatch.setenv("FASHION_MLFLOW_PORT", str(mlflow))
    return prefect, mlflow


@pytest.fixture
def services(trained_project, ports, tmp_path):
    """The services of a trained project, up, with their log; ended afterwards whatever happens."""
    log = tmp_path / "up.log"
    with log.open("wb") as output:
        up = subprocess.Popen(
            [sys.executable, "-m", "flows.services", "up"], cwd=trained_project.root, stdout=output, stderr=output
        )
    try:
        wait_for(log, r"Worker 'fashion' started", up)
        yield up, log
    finally:
        everything = family(up)
        up.terminate()
        try:
            up.wait(timeout=60)
        except subprocess.TimeoutExpired:
            up.kill()
        for process in psutil.wait_procs(everything, timeout=5)[1]:
            process.kill()


def wait_for(log, pattern, process, seconds=180):
    deadline = time.monotonic() + seconds
    while not re.search(pattern, log.read_text()):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def wait_until(condition, complaint, seconds=180):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.5)


def family(process):
    return psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []


def query(project, statement):
    with sqlite3.connect(project.state / "prefect" / "prefect.db") as connection:
        return connection.execute(statement).fetchall()


def test_a_deployment_runs_to_its_end_and_nothing_is_left_after_down(services, trained_project, ports):
    up, log = services
    for port in ports:
        assert f"http://127.0.0.1:{port}" in log.read_text()

    command = ("prefect", "deployment", "run", "training/default", "--param", "synthetic=true")
    watched = run(trained_project, *command, "--watch")
    assert watched.returncode == 0, watched.stdout + watched.stderr + log.read_text()
    assert "Completed" in watched.stdout
    assert "error" not in log.read_text().lower()

    scheduled = query(trained_project, "SELECT parameters FROM flow_run WHERE state_type = 'SCHEDULED'")
    assert any('"weekly"' in parameters for (parameters,) in scheduled), "the weekly schedule has planned no run"

    emit = "from prefect.events import emit_event; emit_event('fashion.drift.detected', "
    emit += "resource={'prefect.resource.id': 'fashion.monitor'}, payload={'window': 7})"
    subprocess.run([sys.executable, "-c", emit], cwd=trained_project.root, check=True, timeout=120)
    found = "SELECT name FROM flow_run WHERE name LIKE 'drift in window 7, %' AND state_name = 'NothingNew'"
    wait_until(lambda: query(trained_project, found), "no retraining was started by the event")

    second = run(trained_project, "flows.services", "up")
    assert second.returncode == 1
    assert "error: The services are up already" in second.stderr

    edit_params(trained_project, {"train": {"seed": 2, "recipes": {"compact": {"epochs": 1000}}}})
    assert run(trained_project, *command).returncode == 0
    wait_for(log, r"epoch 1 of 1000", up)
    everything = family(up)
    assert len(everything) > 6
    down = run(trained_project, "flows.services", "down")
    assert (down.returncode, down.stdout) == (0, "All services have ended.\n")
    assert up.wait(timeout=10) == 0
    assert psutil.wait_procs(everything, timeout=5)[1] == []

    states = query(trained_project, "SELECT state_name FROM flow_run WHERE name LIKE 'compact, seed 2%'")
    assert states == [("Cancelled",)]
    assert query(trained_project, "SELECT active_slots FROM concurrency_limit_v2 WHERE name = 'training'") == [(0,)]


def test_a_port_that_is_taken_is_said_before_anything_starts(project, ports):
    with socket.create_server(("127.0.0.1", ports[1])):
        result = run(project, "flows.services", "up")
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: Port {ports[1]} for mlflow is taken")
    assert "FASHION_MLFLOW_PORT" in result.stderr
    assert not list(project.state.glob("*.pid"))


def test_down_says_so_when_nothing_runs(project, ports):
    result = run(project, "flows.services", "down")
    assert (result.returncode, result.stdout) == (0, "Nothing runs.\n")


def test_a_service_that_dies_ends_all_and_is_named(project, ports, tmp_path):
    log = tmp_path / "up.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "flows.services", "up"]
        up = subprocess.Popen(command, cwd=project.root, stdout=output, stderr=output)
    try:
        pid_file = project.state / "mlflow.pid"
        wait_for(log, r"mlflow +started", up)
        while not (pid_file.exists() and pid_file.read_text()):
            time.sleep(0.05)
        everything = family(up)
        psutil.Process(int(pid_file.read_text())).kill()
        assert up.wait(timeout=60) == 1
    finally:
        up.terminate()
        up.wait(timeout=60)
    assert "error: mlflow ended, so all were ended" in log.read_text()
    assert psutil.wait_procs(everything, timeout=5)[1] == []
