"""The flow `training` against a real Prefect server, and that server itself."""

import os
import signal
import subprocess
import sys
import time
from uuid import UUID

import pytest
from prefect import flow, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.context import refresh_global_settings_context

from fashion.paths import Project
from flows import training as training_module
from flows.locks import read_holder
from flows.server import answers, prefect_server
from flows.slot import LIMIT, training_slot
from flows.training import PIPELINE, training
from tests.conftest import use_environment
from tests.projects import SOURCE

HOLD_THE_SLOT = """
import sys, time
from pathlib import Path
from prefect import flow
from fashion.paths import Project
from flows.slot import training_slot

@flow(name="training", flow_run_name="the first")
def hold(seconds):
    with training_slot(Project(Path(sys.argv[1])), print):
        print("holding", flush=True)
        time.sleep(seconds)

hold(float(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """One server for the tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        home = Project(tmp_path_factory.mktemp("server"))
        use_environment(home, patch)
        with prefect_server(home) as temporary:
            assert temporary
            yield os.environ["PREFECT_API_URL"]
    refresh_global_settings_context()


@pytest.fixture
def at_server(address, monkeypatch):
    """Everything in this test, and what it starts, speaks to that server."""

    def enter(project):
        project.state.mkdir(exist_ok=True)
        monkeypatch.setenv("PREFECT_API_URL", address)
        monkeypatch.setenv("FASHION_HOME", str(project.root))
        refresh_global_settings_context()
        return project

    return enter


@pytest.fixture
def client(at_server, project):
    at_server(project)
    with get_client(sync_client=True) as client:
        yield client


def run_flow(**parameters):
    """The run's final state, and everything the server knows about it."""
    state = training(**parameters, return_state=True)
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)
        own = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        tasks = client.read_task_runs(flow_run_filter=own)
        artifacts = client.read_artifacts(flow_run_filter=own)
    tasks.sort(key=lambda task: task.start_time)
    return state, run, tasks, {artifact.key: artifact for artifact in artifacts}


def test_a_training_with_nothing_to_do_shows_every_step_and_changes_nothing(trained_project, at_server):
    at_server(trained_project)
    state, run, tasks, artifacts = run_flow(reason="a look", synthetic=True)
    assert [task.name for task in tasks] == ["fetch", *PIPELINE, "register"]
    assert {task.state.name for task in tasks[:-1]} == {"UpToDate"}
    outcome = state.result()
    assert outcome.pop("judgement")["reasons"] == ("all gates passed; there was no champion",)
    assert outcome == {
        "name": "fashion-classifier",
        "version": "1",
        "created": False,
        "verdict": "champion",
        "reason": "all gates passed; there was no champion",
    }
    assert run.name.startswith("compact, seed 1, a look, ")
    assert "model:compact" in run.tags
    assert any(tag.startswith("data:") for tag in run.tags)
    assert "Validation" in artifacts["validation"].data
    assert "](data:image/png;base64," in artifacts["pictures"].data
    assert "**Promoted**" in artifacts["judgement"].data
    assert artifacts["gates"].description == "All 17 gates passed"
    with get_client(sync_client=True) as client:
        assert client.read_global_concurrency_limit_by_name(LIMIT).active_slots == 0


@pytest.mark.parametrize(("remote", "state"), [("shared", "Completed"), ("/dev/null/folder", "NotPushed")])
def test_a_training_pushes_to_the_default_remote_and_is_none_the_worse_if_that_fails(
    trained_project, at_server, tmp_path, remote, state
):
    at_server(trained_project)
    config = trained_project.root / ".dvc" / "config"
    config.write_text(f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {tmp_path / remote}\n")
    final, _, tasks, _ = run_flow(reason="a look", synthetic=True)
    assert [task.name for task in tasks[-2:]] == ["register", "push"]
    assert tasks[-1].state.name == state
    assert final.is_completed()
    assert (tmp_path / "shared" / "files" / "md5").exists() == (state == "Completed")


def test_data_that_are_unfit_fail_the_run_with_the_words_of_the_stage(small_project, at_server, monkeypatch, capsys):
    at_server(small_project)
    damaged = small_project.data / "train-images-idx3-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:100])
    monkeypatch.setattr(sys, "argv", ["training", "--synthetic"])
    with pytest.raises(SystemExit) as caught:
        training_module.main()
    assert caught.value.code == 1
    output = capsys.readouterr().err
    assert "Traceback" not in output
    last = output.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "train-images-idx3-ubyte.gz" in last


def test_a_tracking_server_that_is_away_is_found_before_any_step(small_project, at_server, monkeypatch):
    at_server(small_project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    state, _, tasks, _ = run_flow(synthetic=True)
    assert state.is_failed()
    assert "127.0.0.1:9" in state.message
    assert tasks == []


def test_a_mistake_in_the_parameters_is_said_before_anything_starts(project, monkeypatch, capsys):
    project.params.write_text(project.params.read_text().replace("seed: 0", "sed: 0"))
    monkeypatch.setenv("FASHION_HOME", str(project.root))
    monkeypatch.setattr(sys, "argv", ["training"])
    with pytest.raises(SystemExit):
        training_module.main()
    assert "did you mean seed?" in capsys.readouterr().err
    assert not (project.state / "prefect").exists()


@pytest.fixture
def holder(client, project):
    """Starts another process that holds the training slot; killed at the end if it is still there."""
    processes = []

    def start(seconds):
        command = [sys.executable, "-c", HOLD_THE_SLOT, str(project.root), str(seconds)]
        process = subprocess.Popen(command, cwd=SOURCE, stdout=subprocess.PIPE, text=True, env=os.environ.copy())
        processes.append(process)
        assert process.stdout.readline() == "holding\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def hold_once(project):
    """Take the slot in this process; what was said while waiting, and how many slots were taken meanwhile."""
    said = []

    @flow(name="training", flow_run_name="the second")
    def hold():
        with training_slot(project, said.append), get_client(sync_client=True) as client:
            return client.read_global_concurrency_limit_by_name(LIMIT).active_slots

    return said, hold()


def test_a_second_training_waits_for_the_first_and_says_so(client, project, holder):
    first = holder(3)
    said, taken = hold_once(project)
    assert first.wait(timeout=10) == 0
    assert said == [f"the first (process {first.pid})"]
    assert taken == 1
    assert client.read_global_concurrency_limit_by_name(LIMIT).active_slots == 0


def test_a_training_that_was_killed_holds_up_nobody_and_does_not_run_for_ever(client, project, holder):
    first = holder(600)
    left = read_holder(project.state / "training.lock")
    first.send_signal(signal.SIGKILL)
    first.wait()
    start = time.monotonic()
    said, taken = hold_once(project)
    assert (said, taken) == ([], 1)
    assert time.monotonic() - start < 20
    assert client.read_flow_run(UUID(left["id"])).state.name == "Crashed"
    assert client.read_global_concurrency_limit_by_name(LIMIT).active_slots == 0


def test_trainings_of_two_projects_on_one_server_wait_for_each_other(client, project, holder, tmp_path):
    holder(3)
    said, _ = hold_once(Project(tmp_path / "another"))
    assert said == ["run the first"]


@pytest.fixture
def interruptible():
    """What is started can be interrupted, even where these tests run in the background, with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_stopped_training_is_cancelled_and_leaves_no_server_behind(small_project, tmp_path, interruptible):
    """By Ctrl-C, as a terminal sends it: to the whole process group."""
    small_project.state.mkdir(exist_ok=True)
    log = tmp_path / "log"
    environment = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    command = [sys.executable, "-m", "flows.training", "--synthetic"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=small_project.root, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 90
        while "Running stage 'validate'" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=30) == 130
    finally:
        process.kill()
        process.wait()
    text = log.read_text()
    assert "Finished in state Cancelled" in text
    assert "Traceback" not in text
    server = text.split("View at ")[1].split("/runs")[0]
    assert not answers(f"{server}/api")
