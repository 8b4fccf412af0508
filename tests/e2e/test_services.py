"""`make up` and `make down`: the services as a person starts and ends them."""

import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from uuid import UUID

import httpx
import psutil
import pytest
from playwright.sync_api import expect

from fashion.locks import read_holder
from fashion.params import load_params
from fashion.registry.overview import list_changes
from fashion.settings import headers_for_prefect
from tests.browser import chromium, open_page
from tests.conftest import authentication, copy_prefect, copy_template, use_environment
from tests.projects import edit_params, git, move_registry
from tests.servers import PATIENCE_SECONDS, reserved_port, wait_until


def run(project, *command):
    command = [sys.executable, "-m", *command]
    return subprocess.run(
        command, cwd=project.root, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )


@pytest.fixture
def ports(new_port, monkeypatch):
    """Ports for Prefect and MLflow, set for what this test starts."""
    prefect, mlflow = new_port(), new_port()
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{prefect}/api")
    monkeypatch.setenv("FASHION_MLFLOW_PORT", str(mlflow))
    return prefect, mlflow


class Host:
    """A trained project and its services, which cost half a minute to start: the tests of this file share them."""

    def __init__(self, project, ports, folder):
        self.project, self.ports, self.folder = project, ports, folder
        self.up, self.log, self.starts = None, None, 0

    def start(self):
        """Start them unless they are up; the process and its log."""
        if self.up is None or self.up.poll() is not None:
            self.starts += 1
            self.log = self.folder / f"up{self.starts}.log"
            with self.log.open("wb") as output:
                command = [sys.executable, "-m", "flows.services", "up"]
                self.up = subprocess.Popen(command, cwd=self.project.root, stdout=output, stderr=output)
            wait_for(self.log, r"Worker 'fashion' started", self.up)
        return self.up, self.log

    def end(self):
        everything = family(self.up)
        self.up.terminate()
        try:
            self.up.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.up.kill()
        for process in psutil.wait_procs(everything, timeout=5)[1]:
            process.kill()


@pytest.fixture(scope="module")
def host(trained_template, tmp_path_factory):
    folder = tmp_path_factory.mktemp("host")
    with pytest.MonkeyPatch.context() as patch, reserved_port() as prefect, reserved_port() as mlflow:
        project = copy_template(trained_template, folder / "project", patch)
        move_registry(project, trained_template)
        host = Host(project, (prefect, mlflow), folder)
        yield host
        if host.up:
            host.end()


@pytest.fixture
def services(host, monkeypatch):
    """They are up, and the project has the parameters it was trained with."""
    prefect, mlflow = host.ports
    git(host.project.root, "checkout", "--quiet", "--", "params.yaml")
    use_environment(host.project, monkeypatch)
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{prefect}/api")
    monkeypatch.setenv("FASHION_MLFLOW_PORT", str(mlflow))
    monkeypatch.setenv("PREFECT_WORKER_QUERY_SECONDS", "2")
    host.start()
    return host


def wait_for(log, pattern, process):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not re.search(pattern, log.read_text()):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


REPEATED = "consume_loop|Worker channel heartbeat"


def errors(log):
    """What the services said with the word error in it, a message with its traceback as one.

    Left out: an event or a heartbeat that met Prefect's busy database. Prefect says so with a traceback, and delivers
    it again.
    """
    said, prefects = [], []
    for line in log.read_text().splitlines():
        if " prefect | " not in line:
            said.append(line)
        elif prefects and not re.search(r"prefect \| \d\d:\d\d:\d\d\.\d+ ", line):
            prefects[-1] += f"\n{line}"
        else:
            prefects.append(line)
    found = [message for message in said + prefects if "error" in message.lower()]
    return [message for message in found if not ("database is locked" in message and re.search(REPEATED, message))]


def family(process):
    return psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []


def query(project, statement):
    with sqlite3.connect(project.state / "prefect" / "prefect.db") as connection:
        return connection.execute(statement).fetchall()


TRAIN = ("prefect", "deployment", "run", "training/default", "--param", "synthetic=true")


def start_training(project, seed=1, epochs=6):
    """What a click in Prefect's page does."""
    edit_params(project, {"train": {"seed": seed, "recipes": {"baseline": {"epochs": epochs}}}})
    api = os.environ["PREFECT_API_URL"]
    deployment = (
        httpx.get(f"{api}/deployments/name/training/default", headers=headers_for_prefect(), timeout=60)
        .raise_for_status()
        .json()["id"]
    )
    content = {"parameters": {"synthetic": True}}
    # Prefect answers 503 when its database was busy, and has taken nothing then.
    wait_until(
        lambda: (
            httpx.post(
                f"{api}/deployments/{deployment}/create_flow_run",
                json=content,
                headers=headers_for_prefect(),
                timeout=60,
            ).is_success
        )
    )


def state_of(project, seed):
    """State of the run with this seed, and the slots that are taken."""
    (state,) = query(project, f"SELECT state_name FROM flow_run WHERE name LIKE 'baseline, seed {seed}%'")
    (slots,) = query(project, "SELECT active_slots FROM concurrency_limit_v2 WHERE name = 'training'")
    return *state, *slots


def find_pause(project):
    """The id of the run that waits for a person, once the form is there."""
    rows = query(project, "SELECT flow_run_id FROM flow_run_input GROUP BY flow_run_id HAVING count(*) = 2")
    return UUID(rows[0][0]) if rows else None


def fill_in_and_submit(page):
    """Whether Prefect took the answer; while its database is busy it does not, and one clicks again."""
    page.get_by_role("button", name="Resume").click()
    form = page.get_by_role("dialog")
    expect(form.get_by_role("heading", name="Shall asked version 1 be champion?")).to_be_visible()
    expect(form.get_by_role("listitem")).to_have_text("all gates passed; there was no champion")
    reason, who = form.locator("textarea").all()
    reason.fill("looks right")
    who.fill("Ann")
    form.get_by_role("button", name="Submit").click()
    expect(form).to_contain_text("required")
    form.locator(".p-select").click()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    with page.expect_response("**/resume") as answered:
        form.get_by_role("button", name="Submit").click()
    return answered.value.ok and answered.value.json()["status"] == "ACCEPT"


def test_a_training_goes_on_by_a_click_in_prefects_page_and_the_history_says_whose(services):
    trained_project = services.project
    edit_params(trained_project, {"register": {"name": "asked", "approval": "required"}})
    start_training(trained_project)
    with chromium() as browser:
        wait_until(lambda: find_pause(trained_project))
        page = open_page(browser, viewport={"width": 1300, "height": 1100})
        prefect = f"http://127.0.0.1:{services.ports[0]}"
        page.goto(f"{prefect}/")
        password = page.locator("input[type=password]")
        password.fill(authentication(trained_project))
        page.keyboard.press("Enter")
        expect(password).to_have_count(0)
        page.goto(f"{prefect}/flow-runs/flow-run/{find_pause(trained_project)}")
        while not fill_in_and_submit(page):
            page.reload()
        registry = load_params(trained_project.params)
        wait_until(lambda: list_changes(trained_project, registry)[0].action == "approve")
    change = list_changes(trained_project, registry)[0]
    assert (change.who, change.via, change.reason) == ("Ann", "Prefect's page", "looks right")


def test_a_run_that_was_killed_with_its_worker_is_crashed_and_its_slot_is_free(services):
    trained_project, up, log = services.project, services.up, services.log
    # The stage knows nothing of its flow's end, and goes on to its own.
    start_training(trained_project, seed=2, epochs=20)
    wait_for(log, r"epoch 1 of 20", up)
    assert state_of(trained_project, seed=2) == ("Running", 1)
    everything = family(up)
    worker = psutil.Process(int((trained_project.state / "worker.pid").read_text()))
    for process in [worker, *worker.children()]:
        process.kill()
    assert up.wait(timeout=PATIENCE_SECONDS) == 1
    assert "error: worker ended, so all were ended" in log.read_text()
    assert psutil.wait_procs(everything, timeout=PATIENCE_SECONDS)[1] == []
    assert state_of(trained_project, seed=2) == ("Running", 1)
    again, _ = services.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while state_of(trained_project, seed=2) != ("Crashed", 0):
        assert time.monotonic() < deadline, state_of(trained_project, seed=2)
        assert again.poll() is None
        time.sleep(0.5)


@pytest.mark.advice("make up", "adapters/orchestration/server.py", "doctor/services.py", "flows/artifacts.py")
@pytest.mark.advice("make up", "flows/services/server.py", "flows/training.py")
@pytest.mark.advice("make down", "doctor/machine.py", "flows/services/supervisor.py")
@pytest.mark.advice("prefect deployment", "flows/services/worker.py")
def test_a_deployment_runs_to_its_end_and_nothing_is_left_after_down(services):
    trained_project, up, log = services.project, services.up, services.log
    for port in services.ports:
        assert f"http://127.0.0.1:{port}" in log.read_text()
    assert (trained_project.state / "prefect" / "tmp" / "runner_storage").is_dir()

    wait_until(lambda: run(trained_project, "flows.services", "check").returncode == 0)
    watched = run(trained_project, *TRAIN, "--watch")
    assert watched.returncode == 0, watched.stdout + watched.stderr + log.read_text()
    assert "Completed" in watched.stdout
    assert errors(log) == []

    scheduled = query(trained_project, "SELECT parameters FROM flow_run WHERE state_type = 'SCHEDULED'")
    assert any('"weekly"' in parameters for (parameters,) in scheduled), "the weekly schedule has planned no run"

    emit = "from prefect.events import emit_event; emit_event('fashion.drift.detected', "
    emit += "resource={'prefect.resource.id': 'fashion.monitor'}, payload={'window': 7})"
    subprocess.run([sys.executable, "-c", emit], cwd=trained_project.root, check=True, timeout=PATIENCE_SECONDS)
    found = "SELECT name FROM flow_run WHERE name LIKE 'drift in window 7, %' AND state_name = 'NothingNew'"
    wait_until(lambda: query(trained_project, found))

    second = run(trained_project, "flows.services", "up")
    assert second.returncode == 1
    assert "error: The services are up already" in second.stderr

    start_training(trained_project, seed=3, epochs=1000)
    wait_for(log, r"epoch 1 of 1000", up)
    everything = family(up)
    assert len(everything) > 6
    down = run(trained_project, "flows.services", "down")
    assert (down.returncode, down.stdout) == (0, "All services have ended.\n")
    assert up.wait(timeout=PATIENCE_SECONDS) == 0
    assert psutil.wait_procs(everything, timeout=PATIENCE_SECONDS)[1] == []

    assert state_of(trained_project, seed=3) == ("Cancelled", 0)
    checked = run(trained_project, "flows.services", "check")
    assert checked.returncode == 1
    assert re.match(r"error: No Prefect server answers at http://\S+/api ", checked.stderr)


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


def test_a_service_that_dies_ends_all_and_is_named(project, prefect_template, ports, tmp_path):
    copy_prefect(prefect_template, project)
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
        assert up.wait(timeout=PATIENCE_SECONDS) == 1
    finally:
        up.terminate()
        up.wait(timeout=60)
    assert "error: mlflow ended, so all were ended" in log.read_text()
    assert read_holder(project.state / "services.lock") == {}
    assert psutil.wait_procs(everything, timeout=PATIENCE_SECONDS)[1] == []
