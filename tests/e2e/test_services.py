"""`make up` and `make down`: the services as a person starts and ends them."""

import re
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from uuid import UUID

import psutil
import pytest
from playwright.sync_api import expect

from fashion.params import load_params
from fashion.stages.overview import list_changes
from flows.janitor import SILENCE
from tests.browser import chromium
from tests.projects import edit_params
from tests.servers import wait_until


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


@contextmanager
def services_of(project, log):
    """The services of a project, up, with their log; ended afterwards whatever happens."""
    with log.open("wb") as output:
        up = subprocess.Popen(
            [sys.executable, "-m", "flows.services", "up"], cwd=project.root, stdout=output, stderr=output
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


@pytest.fixture
def services(trained_project, ports, tmp_path):
    with services_of(trained_project, tmp_path / "up.log") as (up, log):
        yield up, log


def wait_for(log, pattern, process, seconds=180):
    deadline = time.monotonic() + seconds
    while not re.search(pattern, log.read_text()):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def family(process):
    return psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []


def query(project, statement):
    with sqlite3.connect(project.state / "prefect" / "prefect.db") as connection:
        return connection.execute(statement).fetchall()


TRAIN = ("prefect", "deployment", "run", "training/default", "--param", "synthetic=true")


def never_end(project):
    """A training that ends only when it is ended."""
    return edit_params(project, {"train": {"seed": 2, "recipes": {"compact": {"epochs": 1000}}}})


def seed_2(project):
    """State of the run of `never_end`, and the slots that are taken."""
    (state,) = query(project, "SELECT state_name FROM flow_run WHERE name LIKE 'compact, seed 2%'")
    (slots,) = query(project, "SELECT active_slots FROM concurrency_limit_v2 WHERE name = 'training'")
    return *state, *slots


def test_a_deployment_runs_to_its_end_and_nothing_is_left_after_down(services, trained_project, ports):
    up, log = services
    for port in ports:
        assert f"http://127.0.0.1:{port}" in log.read_text()

    watched = run(trained_project, *TRAIN, "--watch")
    assert watched.returncode == 0, watched.stdout + watched.stderr + log.read_text()
    assert "Completed" in watched.stdout
    assert "error" not in log.read_text().lower()

    scheduled = query(trained_project, "SELECT parameters FROM flow_run WHERE state_type = 'SCHEDULED'")
    assert any('"weekly"' in parameters for (parameters,) in scheduled), "the weekly schedule has planned no run"

    emit = "from prefect.events import emit_event; emit_event('fashion.drift.detected', "
    emit += "resource={'prefect.resource.id': 'fashion.monitor'}, payload={'window': 7})"
    subprocess.run([sys.executable, "-c", emit], cwd=trained_project.root, check=True, timeout=120)
    found = "SELECT name FROM flow_run WHERE name LIKE 'drift in window 7, %' AND state_name = 'NothingNew'"
    wait_until(lambda: query(trained_project, found), seconds=180)

    second = run(trained_project, "flows.services", "up")
    assert second.returncode == 1
    assert "error: The services are up already" in second.stderr

    never_end(trained_project)
    assert run(trained_project, *TRAIN).returncode == 0
    wait_for(log, r"epoch 1 of 1000", up)
    everything = family(up)
    assert len(everything) > 6
    down = run(trained_project, "flows.services", "down")
    assert (down.returncode, down.stdout) == (0, "All services have ended.\n")
    assert up.wait(timeout=10) == 0
    assert psutil.wait_procs(everything, timeout=5)[1] == []

    assert seed_2(trained_project) == ("Cancelled", 0)


def test_a_run_that_was_killed_with_its_worker_is_crashed_and_its_slot_is_free(services, trained_project, tmp_path):
    up, log = services
    never_end(trained_project)
    assert run(trained_project, *TRAIN).returncode == 0
    wait_for(log, r"epoch 1 of 1000", up)
    assert seed_2(trained_project) == ("Running", 1)
    everything = family(up)
    worker = psutil.Process(int((trained_project.state / "worker.pid").read_text()))
    for process in [worker, *worker.children()]:
        process.kill()
    assert up.wait(timeout=120) == 1
    assert "error: worker ended, so all were ended" in log.read_text()
    assert psutil.wait_procs(everything, timeout=30)[1] == []
    assert seed_2(trained_project) == ("Running", 1)
    with services_of(trained_project, tmp_path / "again.log") as (again, _):
        deadline = time.monotonic() + SILENCE.total_seconds() + 180
        while seed_2(trained_project) != ("Crashed", 0):
            assert time.monotonic() < deadline, seed_2(trained_project)
            assert again.poll() is None
            time.sleep(1)


def find_pause(project):
    """The id of the run that waits for a person, once the form is there."""
    rows = query(project, "SELECT flow_run_id FROM flow_run_input GROUP BY flow_run_id HAVING count(*) = 2")
    return UUID(rows[0][0]) if rows else None


def test_a_training_goes_on_by_a_click_in_prefects_page_and_the_history_says_whose(services, trained_project, ports):
    edit_params(trained_project, {"register": {"name": "asked", "approval": "required"}})
    assert run(trained_project, *TRAIN).returncode == 0
    with chromium() as browser:
        wait_until(lambda: find_pause(trained_project), seconds=180)
        page = browser.new_page(viewport={"width": 1300, "height": 1100})
        page.goto(f"http://127.0.0.1:{ports[0]}/flow-runs/flow-run/{find_pause(trained_project)}")
        page.get_by_role("button", name="Resume").click(timeout=60_000)
        form = page.get_by_role("dialog")
        expect(form.get_by_role("heading", name="Shall asked version 1 be champion?")).to_be_visible(timeout=60_000)
        expect(form.get_by_role("listitem")).to_have_text("all gates passed; there was no champion")
        reason, who = form.locator("textarea").all()
        reason.fill("looks right")
        who.fill("Ann")
        form.get_by_role("button", name="Submit").click()
        expect(form).to_contain_text("required", timeout=60_000)
        form.locator(".p-select").click()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        form.get_by_role("button", name="Submit").click()
        registry = load_params(trained_project.params)
        wait_until(lambda: list_changes(trained_project, registry)[0].action == "approve", seconds=120)
    change = list_changes(trained_project, registry)[0]
    assert (change.who, change.via, change.reason) == ("Ann", "Prefect's page", "looks right")


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
