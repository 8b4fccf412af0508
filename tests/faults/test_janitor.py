"""A run whose process was killed does not stay `Running`, without a next training to clear it away."""

import os
import subprocess
import sys
import time

import pytest
from prefect import get_client
from prefect.context import refresh_global_settings_context

from fashion.paths import Project
from flows.janitor import NAME, SILENCE, crash_dead_runs
from flows.server import prefect_server
from tests.conftest import use_environment

FLOW = """
import sys, time
from prefect import flow
from prefect.states import Completed

@flow(flow_run_name=sys.argv[1])
def run():
    print("running", flush=True)
    time.sleep(float(sys.argv[2]))
    return Completed(name="NotPromoted")

run()
"""


@pytest.fixture
def client(tmp_path, monkeypatch):
    """A client of a server of this test's own."""
    home = Project(tmp_path)
    use_environment(home, monkeypatch)
    with prefect_server(home), get_client(sync_client=True) as client:
        yield client
    refresh_global_settings_context()


@pytest.fixture
def start():
    """Starts a flow run in a process of its own; killed at the end if it is still there."""
    processes = []

    def run(name, seconds):
        command = [sys.executable, "-c", FLOW, name, str(seconds)]
        process = subprocess.Popen(command, env=os.environ.copy(), stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "running\n"
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def states(client):
    return {run.name: run.state.name for run in client.read_flow_runs()}


def test_a_killed_run_is_crashed_and_one_that_lives_or_has_ended_is_not(client, start):
    for _ in range(2):
        crash_dead_runs(client)
    assert len(client.read_automations_by_name(NAME)) == 1
    ended, _, killed = start("ended", 1), start("alive", 600), start("killed", 600)
    assert ended.wait(timeout=60) == 0
    time.sleep(5)  # The first heartbeat is on its way.
    killed.kill()
    deadline = time.monotonic() + SILENCE.total_seconds() + 120
    while states(client)["killed"] == "Running":
        assert time.monotonic() < deadline
        time.sleep(1)
    time.sleep(20)  # The others would be crashed within these seconds: they started before.
    assert states(client) == {"ended": "NotPromoted", "alive": "Running", "killed": "Crashed"}
