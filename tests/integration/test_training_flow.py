"""The flow `training` against a real Prefect server, and that server itself."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict
from functools import partial
from threading import Event
from types import SimpleNamespace
from uuid import UUID

import httpx
import psutil
import pytest
from mlflow import MlflowClient
from prefect import flow, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.context import refresh_global_settings_context
from prefect.states import Running

from fashion.adapters import orchestration
from fashion.errors import ServiceError
from fashion.locks import between_trainings, read_holder
from fashion.params import load_params
from fashion.paths import Project
from fashion.registry import register as stage
from fashion.registry.approval import answer
from fashion.registry.overview import list_changes, list_models
from fashion.registry.promotion import promote
from fashion.settings import headers_for_prefect, tracking_uri
from flows import pipeline
from flows import training as training_module
from flows.pipeline import PIPELINE
from flows.retraining import retraining
from flows.services.server import prefect_server
from flows.services.slot import FLOWS, LIMIT, training_slot
from flows.training import training
from tests.conftest import copy_prefect
from tests.projects import SOURCE, copy_cache, edit_params
from tests.servers import PATIENCE_SECONDS, read_task_runs

HOLD_THE_SLOT = """
import sys
from pathlib import Path
from prefect import flow
from fashion.paths import Project
from flows.services.slot import training_slot

@flow(name=sys.argv[2], flow_run_name="the first")
def hold():
    with training_slot(Project(Path(sys.argv[1])), print):
        print("holding", flush=True)
        sys.stdin.read()

hold()
"""


@pytest.fixture
def client(at_server, project):
    at_server(project)
    with get_client(sync_client=True) as client:
        yield client


def test_a_server_that_does_not_know_this_project_is_refused_in_words(project, at_server, address, monkeypatch):
    at_server(project)
    assert httpx.post(f"{address}/flow_runs/filter", json={}).status_code == 401
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "somebody:else")
    with pytest.raises(ServiceError, match="Set PREFECT_API_AUTH_STRING"), prefect_server(project):
        pytest.fail("it was taken for our own")


def run_flow(**parameters):
    """The run's final state, and everything the server knows about it."""
    state = training(**parameters, return_state=True)
    tasks = read_task_runs(state.state_details.flow_run_id)
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)
        own = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        artifacts = client.read_artifacts(flow_run_filter=own)
    artifacts.sort(key=lambda artifact: artifact.created)  # Of two with one key, the later one is shown.
    return state, run, tasks, {artifact.key: artifact for artifact in artifacts}


def test_a_training_with_nothing_to_do_shows_every_step_and_changes_nothing(trained_project, at_server):
    at_server(trained_project)
    edit_params(trained_project, {"register": {"approval": "required"}})  # There is nothing to agree to.
    state, run, tasks, artifacts = run_flow(reason="a look", synthetic=True)
    assert [task.name for task in tasks] == ["fetch", *PIPELINE[:2], "explore", *PIPELINE[2:], "register", "report"]
    assert {task.state.name for task in tasks[:-2]} == {"UpToDate"}
    outcome = asdict(state.result())
    assert outcome.pop("judgement")["reasons"] == ("all gates passed; there was no champion",)
    trained_in = outcome.pop("run_id")
    assert outcome == {
        "name": "fashion-classifier",
        "version": "1",
        "created": False,
        "verdict": "champion",
        "reason": "all gates passed; there was no champion",
        "approval": "none",
        "absence": None,
    }
    assert run.name.startswith("baseline, seed 1, a look, ")
    assert "recipe:baseline" in run.tags
    assert any(tag.startswith("data:") for tag in run.tags)
    assert f"/runs/{trained_in}?" in artifacts["training"].data
    tags = MlflowClient(tracking_uri(trained_project)).get_run(trained_in).data.tags
    # That of the first run, whose server ended with it: a page that is not there is not linked.
    assert tags["prefect_flow_run"].startswith("baseline, seed 1, test, ")
    assert tags["prefect_flow_run_id"] != str(run.id)
    assert tags.get("prefect_flow_run_address") is None
    assert "Validation" in artifacts["validation"].data
    assert "](data:image/png;base64," in artifacts["pictures"].data
    assert "](data:image/png;base64," in artifacts["exploration"].data
    assert "**To be promoted**" in artifacts["judgement"].data
    assert f"`{trained_project.reports / 'fashion-classifier' / '1.html'}`" in artifacts["report"].data
    assert "/artifacts/report/fashion-classifier/1/report.html) (while `make up` runs)" in artifacts["report"].data
    assert "all 18 gates passed; champion" in artifacts["report"].description
    assert list((trained_project.state / "mlflow").glob("*/artifacts/report/fashion-classifier/1/report.html"))
    assert artifacts["gates"].description == "All 18 gates passed"
    accuracy = json.loads(artifacts["gates"].data)[0]
    assert list(accuracy) == ["gate", "value", "interval", "limit", "verdict"]
    assert " to " in accuracy["interval"]
    with get_client(sync_client=True) as client:
        assert client.read_global_concurrency_limit_by_name(LIMIT).active_slots == 0


@pytest.fixture
def without_stages(monkeypatch):
    """The stages change nothing in these tests, and DVC takes a second each to say so."""
    monkeypatch.setattr("flows.pipeline.PIPELINE", ())


@pytest.mark.usefixtures("without_stages")
def test_a_report_that_cannot_be_written_does_not_fail_the_training(trained_project, at_server):
    at_server(trained_project)
    (gone,) = (trained_project.state / "mlflow").glob("*/artifacts/evaluation/predictions.parquet")
    gone.unlink()
    state, _, tasks, artifacts = run_flow(reason="a look", synthetic=True)
    assert state.is_completed()
    assert tasks[-1].state.name == "NotReported"
    assert "predictions.parquet is missing" in tasks[-1].state.message
    assert "report" not in artifacts


@pytest.fixture
def asked(trained_project, at_server, without_stages):
    """A trained project with an empty registry, where a person must agree before anything becomes champion."""
    edit_params(trained_project, {"register": {"name": "asked", "approval": "required"}})
    return at_server(trained_project)


def train_and(answer):
    """A training, and what `answer` returns, which is called with the run when that has paused."""
    with ThreadPoolExecutor() as pool:
        ended = Event()
        answered = pool.submit(lambda: answer_or_release(answer, paused_run(ended)))
        try:
            outcome = run_flow(synthetic=True)
        finally:
            ended.set()
        return outcome, answered.result()


def paused_run(ended):
    while not ended.wait(0.2):
        with suppress(ServiceError):
            return orchestration.find_paused_run(os.environ["PREFECT_API_URL"], "asked/1")
    pytest.fail("the run ended without a pause")


def answer_or_release(answer, run):
    """When the answer fails, the run does not wait for another one."""
    try:
        return answer(run)
    except BaseException:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(run.id), Running(), force=True)
        raise


def resume(run, **form):
    """Click as in Prefect's page, and again where Prefect says that it could take nothing, its database being busy."""
    path = f"{os.environ['PREFECT_API_URL']}/flow_runs/{run.id}/resume"
    while (
        said := httpx.post(path, json={"run_input": form}, headers=headers_for_prefect(), timeout=None)
    ).status_code == 503:
        time.sleep(0.2)
    assert said.is_success, said.text
    return said.json()["status"]


def fashion(project, *arguments):
    command = [sys.executable, "-c", "from fashion.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)


@pytest.mark.advice("fashion approve", "flows/approval.py", "registry/absence.py")
@pytest.mark.advice("make up", "flows/artifacts.py")
def test_a_training_that_nobody_could_answer_asks_when_it_runs_again_and_the_command_approves(asked, heard):
    state, *_ = run_flow(synthetic=True, unattended=True)
    assert [title for title, _ in heard] == ["asked: version 1"]
    assert (state.name, state.result().approval) == ("AwaitsApproval", "awaited")
    assert "asked has no champion: version 1 awaits approval." in state.message
    assert list_models(asked, load_params(asked.params)).models[0].aliases == ("challenger",)

    def approve(run):
        with get_client(sync_client=True) as client:
            assert client.read_global_concurrency_limit_by_name(LIMIT).active_slots == 0
            keys = client.read_flow_run(UUID(run.id)).state.state_details.run_input_keyset
            form = json.loads(client.read_flow_run_input(UUID(run.id), keys["schema"]))
            assert list(form["properties"]) == ["decision", "reason", "who"]
            assert form["required"] == ["decision"]
            question = json.loads(client.read_flow_run_input(UUID(run.id), keys["description"]))
            assert question.startswith("# Shall asked version 1 be champion?\n\n**To be promoted**")
        assert f"asked/1, run {run.id} (" in fashion(asked, "approve", "2").stderr
        return fashion(asked, "approve", "1", "--reason", "looks right")

    heard.clear()
    (state, run, _, artifacts), command = train_and(approve)
    (asking, question), (outcome, said) = heard
    assert (asking, outcome) == ("asked: version 1 awaits approval", "asked: version 1")
    assert f"/flow-run/{run.id}, or type: fashion approve 1, or: fashion refuse 1 --reason '...'" in question
    assert question.endswith("\n\nawaits approval: all gates passed; there was no champion")
    assert said == f"{outcome}: {state.message}"
    assert (command.returncode, command.stderr) == (0, "")
    assert re.fullmatch(
        r"Version 1 is champion: approved by \S+@\S+ \(fashion approve\): looks right\n", command.stdout
    )
    assert state.result().verdict == "champion"
    assert {"recipe:baseline", "approval:asked/1"} <= set(run.tags)
    assert "(fashion approve): looks right" in artifacts["judgement"].data
    change = list_changes(asked, load_params(asked.params))[0]
    assert (change.action, change.via, change.flow_run) == ("approve", "fashion approve", run.name)


@pytest.mark.usefixtures("without_stages")
def test_a_version_whose_registration_succeeds_at_the_second_try_is_announced_once(
    trained_project, at_server, heard, monkeypatch
):
    at_server(trained_project)
    edit_params(trained_project, {"register": {"name": "tried"}})
    look_up, away = stage.look_up_judgement, [ServiceError("No MLflow server answers")]

    def look_up_later(*arguments):
        if away and "verdict" in arguments[2].tags:
            raise away.pop()
        return look_up(*arguments)

    monkeypatch.setattr(stage, "look_up_judgement", look_up_later)
    monkeypatch.setattr(pipeline, "register", pipeline.register.with_options(retry_delay_seconds=0))
    state, *_ = run_flow(synthetic=True)
    assert (away, state.result().verdict) == ([], "champion")
    run_flow(synthetic=True)
    assert [title for title, _ in heard] == ["tried: version 1"]


@pytest.mark.advice("fashion refuse --reason", "flows/approval.py")
def test_an_answer_in_the_page_needs_a_choice_and_after_a_refusal_a_click_changes_nothing(asked):
    def refuse(run):
        clicks = [resume(run), resume(run, decision="perhaps")]
        fashion(asked, "refuse", "1", "--reason", "too slow")
        return [*clicks, resume(run)]

    (state, *_), clicks = train_and(refuse)
    assert clicks == ["REJECT", "REJECT", "ABORT"]
    assert (state.name, state.result().verdict) == ("NoChampion", "challenger")
    assert re.fullmatch(r"refused by \S+@\S+ \(fashion refuse\): too slow", state.result().reason)
    assert f"was refused ({state.result().reason})" in state.message


def test_without_an_answer_in_time_the_training_ends_and_a_late_one_is_told_so(asked):
    edit_params(asked, {"register": {"approval_days": 1 / 86400}})
    state, run, *_ = run_flow(synthetic=True)
    assert state.name == "NoChampion"
    assert state.result().reason.startswith("nobody answered within")
    found = {"id": str(run.id), "name": run.name, "tags": run.tags, "state": None}
    with pytest.raises(ServiceError, match="too late"):
        orchestration.resume(os.environ["PREFECT_API_URL"], orchestration.Run(**found), {"decision": "approve"})


def test_an_approval_promotes_nothing_when_the_champion_has_changed_while_the_training_waited(asked):
    params = load_params(asked.params)

    def approve(run):
        client = MlflowClient(tracking_uri(asked))
        one = client.get_model_version("asked", "1")
        tags = {"gates": "passed"}
        client.create_model_version("asked", one.source, one.run_id, tags=tags, model_id=one.source.split("/")[-1])
        promote(asked, params, "2", "in a hurry")
        return answer(params, "1", approved=True, reason="looks right")

    (state, *_), said = train_and(approve)
    assert state.result().verdict == "challenger"
    assert said == state.message
    assert said.endswith("but the champion changed since the judgement: none then, version 2 now")


def test_a_training_that_leaves_the_registry_without_a_champion_ends_as_such_and_says_what_to_do(
    trained_project, at_server
):
    at_server(trained_project)
    edit_params(trained_project, {"register": {"name": "strict"}, "evaluate": {"gates": {"model_bytes_at_most": 1}}})
    state, _, _, artifacts = run_flow(synthetic=True)
    assert (state.type, state.name) == ("COMPLETED", "NoChampion")
    absence = state.result().absence
    assert "strict has no champion: version 1, the newest, was refused (gates failed: model_bytes is" in absence
    assert state.message == f"Version 1 is challenger.\n\n{absence}"
    assert absence in artifacts["announcements"].data
    assert absence in artifacts["judgement"].data
    promote(trained_project, load_params(trained_project.params), "1", "good enough", force=True)
    state, *_ = run_flow(synthetic=True)
    assert (state.name, state.result().absence) == ("Completed", None)
    assert state.message.startswith("Version 1 is champion: promoted by ")
    assert state.message.endswith(" although its gates failed: good enough")


@pytest.mark.usefixtures("without_stages")
@pytest.mark.parametrize(("remote", "state"), [("shared", "Completed"), ("/dev/null/folder", "NotPushed")])
def test_a_training_pushes_to_the_default_remote_and_is_none_the_worse_if_that_fails(
    trained_project, at_server, tmp_path, remote, state
):
    at_server(trained_project)
    config = trained_project.root / ".dvc" / "config"
    config.write_text(f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {tmp_path / remote}\n")
    final, _, tasks, _ = run_flow(reason="a look", synthetic=True)
    assert [task.name for task in tasks[-3:]] == ["register", "report", "push"]
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
    assert "Task run 'validate' - Running stage 'validate':" in output
    last = output.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert output.count("train-images-idx3-ubyte.gz") == last.count("train-images-idx3-ubyte.gz") == 1


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
    """Starts another process that holds the training slot until its input ends; killed at the end if it is there."""
    processes = []

    def start(flow="training"):
        command = [sys.executable, "-c", HOLD_THE_SLOT, str(project.root), flow]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(command, cwd=SOURCE, text=True, env=os.environ.copy(), **pipes)
        processes.append(process)
        assert process.stdout.readline() == "holding\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_a_mistake_in_the_parameters_of_a_deployed_training_is_what_the_run_says(project, at_server):
    at_server(project)
    project.params.write_text("train: {seeds: 1}\n")
    state, *_ = run_flow()
    assert state.is_failed(), state
    assert "params.yaml" in state.message
    assert "seeds" in state.message


def test_a_run_has_no_server_of_its_own_on_a_database_for_all(project, monkeypatch):
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgresql+asyncpg://ann:word@db.example/prefect")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    try:
        with pytest.raises(ServiceError, match="Start the one server with: make up"), prefect_server(project):
            pass
    finally:
        monkeypatch.undo()
        refresh_global_settings_context()


def hold_once(project, until=None):
    """Take the slot in this process; what was said while waiting, and how many slots were taken meanwhile.

    What is waited for ends as soon as this process says that it waits.
    """
    said = []

    def hear(line):
        said.append(line)
        until.stdin.close()

    @flow(name="training", flow_run_name="the second")
    def hold():
        with training_slot(project, hear), get_client(sync_client=True) as client:
            return client.read_global_concurrency_limit_by_name(LIMIT).active_slots

    return said, hold()


def test_a_second_training_waits_for_the_first_and_says_so(client, project, holder):
    first = holder()
    said, taken = hold_once(project, until=first)
    assert first.wait(timeout=PATIENCE_SECONDS) == 0
    assert said == [f"the first (process {first.pid})"]
    assert taken == 1
    assert client.read_global_concurrency_limit_by_name(LIMIT).active_slots == 0


def test_a_training_waits_for_a_command_that_changes_the_data_and_says_so(client, project):
    with ExitStack() as command:
        command.enter_context(between_trainings(project, "fashion collect"))
        said, _ = hold_once(project, until=SimpleNamespace(stdin=command))
    assert said == [f"fashion collect (process {os.getpid()})"]


@pytest.mark.parametrize("flow", [partial(training, synthetic=True), retraining], ids=["training", "retraining"])
def test_who_waited_goes_by_the_parameters_of_when_its_turn_comes(trained_project, at_server, monkeypatch, flow):
    at_server(trained_project)
    with ExitStack() as command:
        command.enter_context(between_trainings(trained_project, "fashion collect"))

        def edit_meanwhile(_):
            edit_params(trained_project, {"register": {"name": "renamed", "approval": "required"}})
            command.close()

        monkeypatch.setattr(pipeline, "_say_for_whom", edit_meanwhile)
        monkeypatch.setattr(pipeline, "ask", lambda *_: None)
        registration = flow(return_state=True).result()
    assert (registration.name, registration.version, registration.approval) == ("renamed", "1", "answered")


def test_a_training_that_was_killed_holds_up_nobody_and_does_not_run_for_ever(client, project, holder):
    first = holder()
    left = read_holder(project.state / "training.lock")
    first.send_signal(signal.SIGKILL)
    first.wait()
    said, taken = hold_once(project)
    assert (said, taken) == ([], 1)  # Who waits says so.
    assert client.read_flow_run(UUID(left["id"])).state.name == "Crashed"
    assert client.read_global_concurrency_limit_by_name(LIMIT).active_slots == 0


def test_a_copy_of_a_project_leaves_the_training_alone_that_was_running_when_it_was_copied(
    client, project, holder, tmp_path
):
    first, copy = holder(), Project(tmp_path / "copy")
    run = read_holder(project.state / "training.lock")["id"]
    shutil.copytree(project.state, copy.state)
    said, taken = hold_once(copy, until=first)
    assert (said, taken) == (["run the first"], 1)
    assert first.wait(timeout=PATIENCE_SECONDS) == 0
    assert client.read_flow_run(UUID(run)).state.name == "Completed"


def test_what_two_projects_on_one_server_train_takes_turns_and_says_for_which_run(client, project, holder, tmp_path):
    said, _ = hold_once(Project(tmp_path / "another"), until=holder("retraining"))
    assert said == ["run the first"]
    flows = (SOURCE / "flows").glob("*.py")
    assert sorted(FLOWS) == sorted(
        path.stem for path in flows if "with training_turn(project) as params:" in path.read_text()
    )


@pytest.fixture
def interruptible():
    """What is started can be interrupted, even where these tests run in the background, with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("send", "signal_number", "moment"),
    [(os.killpg, signal.SIGINT, "Running stage 'validate'"), (os.kill, signal.SIGTERM, "epoch 1 of 10000")],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_a_stopped_training_is_cancelled_and_leaves_nothing_behind(
    small_project, trained_template, prefect_template, tmp_path, interruptible, send, signal_number, moment
):
    """A terminal sends Ctrl-C to the whole process group; SIGTERM comes to one process."""
    copy_prefect(prefect_template, small_project)
    if "epoch" in moment:
        copy_cache(trained_template, small_project, "validate", "prepare")
    edit_params(small_project, {"train": {"recipe": "baseline", "recipes": {"baseline": {"epochs": 10_000}}}})
    log = tmp_path / "log"
    environment = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    command = [sys.executable, "-m", "flows.training", "--synthetic"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=small_project.root, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while moment not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        started = psutil.Process(process.pid).children(recursive=True)
        send(process.pid, signal_number)
        assert process.wait(timeout=PATIENCE_SECONDS) == 130
        assert psutil.wait_procs(started, timeout=PATIENCE_SECONDS)[1] == []
    finally:
        process.kill()
        process.wait()
    text = log.read_text()
    assert "Finished in state Cancelled" in text
    assert "Traceback" not in text
    assert not small_project.model.exists()
    assert not list(small_project.model.parent.glob(".model*"))
