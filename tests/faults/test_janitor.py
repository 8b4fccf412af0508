"""A run whose process was killed does not stay `Running`, without a next training to clear it away."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from prefect import get_client
from prefect.context import refresh_global_settings_context

from fashion.paths import Project
from flows.services import janitor
from flows.services.janitor import NAME, crash_dead_runs
from flows.services.server import prefect_server
from tests.conftest import copy_prefect, use_environment
from tests.servers import PATIENCE_SECONDS, wait_until

SHORT = timedelta(seconds=20)
"""Instead of SILENCE, which is three of the heartbeats that Prefect sends every thirty seconds at the most."""
FLOW = """
import select, sys
from prefect import flow
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed

@flow(flow_run_name=sys.argv[1])
def run():
    resource = {"prefect.resource.id": f"prefect.flow-run.{flow_run.id}"}
    print("running", flush=True)
    while not select.select([sys.stdin], [], [], 1)[0]:
        emit_event("prefect.flow-run.heartbeat", resource=resource)
    return Completed(name="NotPromoted")

run()
"""
"""It sends a heartbeat a second, until its input ends."""


@pytest.fixture
def client(prefect_template, tmp_path, monkeypatch):
    """A client of a server of this test's own."""
    home = Project(tmp_path)
    use_environment(home, monkeypatch)
    copy_prefect(prefect_template, home)
    with prefect_server(home), get_client(sync_client=True) as client:
        yield client
    refresh_global_settings_context()


@pytest.fixture
def start():
    """Starts a flow run in a process of its own; killed at the end if it is still there."""
    processes = []

    def run(name):
        command, pipes = [sys.executable, "-c", FLOW, name], {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(command, env=os.environ.copy(), text=True, **pipes)
        processes.append(process)
        assert process.stdout.readline() == "running\n"
        return process

    yield run
    for process in processes:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def states(client):
    return {run.name: run.state.name for run in client.read_flow_runs()}


def heartbeats(client):
    """The names of the runs of which the server has had one."""
    wanted = {"filter": {"event": {"name": ["prefect.flow-run.heartbeat"]}}}
    events = client.request("POST", "/events/filter", json=wanted).json()["events"]
    seen = {event["resource"]["prefect.resource.id"] for event in events}
    return {run.name for run in client.read_flow_runs() if f"prefect.flow-run.{run.id}" in seen}


def await_crash(client, name):
    wait_until(lambda: states(client)[name] != "Running")
    assert states(client)[name] == "Crashed"


def test_a_killed_run_is_crashed_and_one_that_lives_or_has_ended_is_not(client, start, monkeypatch):
    monkeypatch.setattr(janitor, "SILENCE", SHORT)
    for _ in range(2):
        crash_dead_runs(client)
    assert len(client.read_automations_by_name(NAME)) == 1
    ended, alive, killed = (start(name) for name in ("ended", "alive", "killed"))
    wait_until(lambda: heartbeats(client) == {"ended", "alive", "killed"})
    ended.stdin.close()
    assert ended.wait(timeout=PATIENCE_SECONDS) == 0
    killed.kill()
    await_crash(client, "killed")
    assert states(client) == {"ended": "NotPromoted", "alive": "Running", "killed": "Crashed"}
    # Until this one is crashed too, the other has been silent for longer than any run may be.
    alive.kill()
    await_crash(client, "alive")
    assert states(client) == {"ended": "NotPromoted", "alive": "Crashed", "killed": "Crashed"}
