"""Two at once: the second waits and says for whom. Locks of processes that are gone hold up nobody."""

import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from fashion.adapters.versioning import data_version, read_lock, reproduce
from fashion.adapters.versioning.pinning import changing_data, pin
from fashion.errors import ServiceError
from fashion.leftovers import place
from fashion.locks import between_trainings, hold, one_at_a_time, read_holder, training_lock, try_hold
from fashion.paths import Project
from flows.services.supervisor import down
from tests.faults.commands import run, start
from tests.projects import SOURCE, copy_pipeline, edit_params
from tests.servers import PATIENCE_SECONDS, wait_until

READ = "touch reading; while [ ! -e go ]; do sleep 0.1; done; cp data/a b"
STAGES = {
    "read": {"cmd": f"sh -c '{READ}'", "deps": ["data"], "outs": ["b"]},
    "copy": {"cmd": "cp data/a c", "deps": ["data"], "outs": ["c"]},
}


@pytest.fixture
def pipeline(pipeline_template, tmp_path):
    """A repository with data/ pinned and a stage that reads it until a file `go` is there."""
    return copy_pipeline(pipeline_template, tmp_path / "pipeline", STAGES)


@pytest.fixture
def by_hand(pipeline):
    """`dvc repro` by hand, at work until a file `go` is there."""
    process = start(pipeline, "dvc", "repro", "read", start_new_session=True)
    try:
        wait_until((pipeline.root / "reading").exists, process)
        yield process
    finally:
        (pipeline.root / "go").touch()
        process.communicate(timeout=PATIENCE_SECONDS)


def test_the_flows_stage_waits_for_a_dvc_repro_by_hand_and_names_it(pipeline, by_hand):
    said = []

    def hear(line):
        said.append(line)
        (pipeline.root / "go").touch()

    assert reproduce(pipeline, "read", hear) is False
    assert said[0].startswith("Waiting for DVC: the files of stage read are in use by ")
    assert f"process {by_hand.pid} (" in said[0]
    assert said[0].endswith("dvc repro read)")


def test_pinning_waits_for_a_dvc_repro_that_reads_the_data(pipeline, by_hand, caplog, on_word):
    (pipeline.data / "a").write_text("another")
    caplog.set_level("INFO", "fashion")
    on_word((pipeline.root / "go").touch)
    assert pin(pipeline) is True
    assert f"Waiting for DVC: data/ is in use by (PID {by_hand.pid})" in caplog.text


@pytest.fixture
def on_word():
    """Calls what it is given as soon as a line of ours is logged: that somebody waits."""
    handlers = []

    def call(action):
        handler = logging.Handler()
        handler.emit = lambda record: action()
        handlers.append(handler)
        logging.getLogger("fashion").addHandler(handler)

    yield call
    for handler in handlers:
        logging.getLogger("fashion").removeHandler(handler)


def test_data_change_after_a_dvc_repro_that_reads_them_so_that_dvc_lock_names_what_was_read(
    pipeline, by_hand, caplog, on_word
):
    caplog.set_level("INFO", "fashion")
    read = data_version(pipeline)
    on_word((pipeline.root / "go").touch)
    with changing_data(pipeline):
        assert (pipeline.root / "b").exists()
        (pipeline.data / "later").write_text("later")
        status, output = run(pipeline, "dvc", "repro", "copy")
        assert (status, f"(PID {os.getpid()})" in output) == (255, True), output
        pin(pipeline)
    assert f"Waiting for DVC: data/ is in use by (PID {by_hand.pid})" in caplog.text
    assert by_hand.wait(timeout=PATIENCE_SECONDS) == 0
    assert read_lock(pipeline.root / "dvc.lock")["read"].dependencies["data"] == read != data_version(pipeline)
    assert reproduce(pipeline, "copy", print, patience_seconds=0)
    assert read_lock(pipeline.root / "dvc.lock")["copy"].dependencies["data"] == data_version(pipeline)


def test_data_change_after_a_stage_by_hand_that_reads_them(pipeline, caplog, on_word):
    caplog.set_level("INFO", "fashion")
    with ExitStack() as stage:
        stage.enter_context(one_at_a_time(pipeline, "prepare"))
        on_word(stage.close)
        with changing_data(pipeline), try_hold(pipeline.state / "prepare.lock") as held:
            assert held is None
    assert f"Waiting for fashion prepare (process {os.getpid()})" in caplog.text


@pytest.mark.parametrize(
    "command", [["fetch", "--synthetic", "--images", "20", "--test-images", "10"], ["collect"]], ids=lambda one: one[0]
)
def test_a_command_that_changes_the_data_waits_for_a_training(small_project, command):
    before = data_version(small_project)
    with hold(training_lock(small_project), print) as training:
        training.write({"run": "compact, seed 1", "process": "7"})
        waiting = start(small_project, "fashion", *command)
        said = waiting.stdout.readline()
        assert said == "Waiting for compact, seed 1 (process 7)\n"
        assert data_version(small_project) == before
    rest, _ = waiting.communicate(timeout=PATIENCE_SECONDS)
    assert waiting.returncode == 0, rest
    assert (data_version(small_project) != before) == (command[0] == "fetch")


def test_a_command_that_waited_goes_by_params_yaml_as_it_is_when_its_turn_comes(small_project):
    with hold(training_lock(small_project), print) as training:
        training.write({"run": "compact, seed 1", "process": "7"})
        waiting = start(small_project, "fashion", "collect")
        assert waiting.stdout.readline() == "Waiting for compact, seed 1 (process 7)\n"
        edit_params(small_project, {"collect": {"at_least": 1234}})
    rest, _ = waiting.communicate(timeout=PATIENCE_SECONDS)
    assert "at least 1,234 are needed" in rest


@pytest.mark.parametrize("command", [["tune"], ["learning-curve", "--recipe", "baseline"]], ids=lambda one: one[0])
def test_a_search_that_waited_goes_by_params_yaml_as_it_is_when_its_turn_comes(small_project, command):
    with hold(training_lock(small_project), print) as training:
        training.write({"run": "fashion import", "process": "7"})
        waiting = start(small_project, "fashion", *command)
        while waiting.stdout.readline() != "Waiting for fashion import (process 7)\n":
            assert waiting.poll() is None
        networks = {"network": {"choices": ["baseline"]}}
        edit_params(small_project, {"data": {"image_size": [8, 8]}, "tune": {"space": networks}})
    rest, _ = waiting.communicate(timeout=PATIENCE_SECONDS)
    assert "takes images of at least" in rest


def test_a_learning_curve_looks_at_the_images_that_there_are_when_its_turn_comes(small_project):
    with hold(training_lock(small_project), print) as training:
        training.write({"run": "retraining", "process": "7"})
        waiting = start(small_project, "fashion", "learning-curve", "--sizes", "60,600")
        assert waiting.stdout.readline() == "Waiting for retraining (process 7)\n"
        small_project.dataset.mkdir(parents=True)
        for split in ("train", "validation"):
            np.save(small_project.dataset / f"{split}_images.npy", np.zeros((90, 28, 28, 1), np.uint8))
            np.save(small_project.dataset / f"{split}_labels.npy", np.arange(90, dtype=np.uint8) % 10)
    rest, _ = waiting.communicate(timeout=PATIENCE_SECONDS)
    assert "600 is more than there are: 90 training images" in rest


def test_a_training_waits_for_a_command_that_changes_the_data_and_what_a_killed_one_left_is_not_lost(project):
    left = {"run": "killed", "process": "7", "id": "a run", "lease": "a lease"}
    with hold(training_lock(project), print) as training:
        training.write(left)
    with between_trainings(project, "fashion collect"), try_hold(training_lock(project)) as training:
        assert training is None
        said = read_holder(training_lock(project))
        assert said == left | {"run": "fashion collect", "process": str(os.getpid())}
    assert read_holder(training_lock(project)) == left


def test_a_dvc_repro_by_hand_during_another_one_says_whose_turn_it_is_and_loses_nothing(pipeline, by_hand):
    status, output = run(pipeline, "dvc", "repro", "read")
    assert status == 255
    assert f"(PID {by_hand.pid}): " in output
    (pipeline.root / "go").touch()
    assert by_hand.wait(timeout=PATIENCE_SECONDS) == 0
    status, output = run(pipeline, "dvc", "repro", "read")
    assert (status, "didn't change" in output) == (0, True)


def test_a_stage_by_hand_waits_for_the_same_stage_and_says_so(small_project):
    with one_at_a_time(small_project, "validate"):
        second = start(small_project, "fashion", "validate")
        said = second.stdout.readline()
        assert said == f"Waiting for fashion validate (process {os.getpid()})\n"
        assert not small_project.validation.exists()
    rest, _ = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 0, rest
    assert small_project.validation.is_dir()


def dead_process():
    """The number of a process that has just ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.fixture
def zombie():
    """A process that was killed and that nobody has waited for."""
    process = subprocess.Popen(["sleep", "600"])
    process.kill()
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    yield process.pid
    process.wait()


def leave_lock(project, number):
    """What a `dvc repro read` leaves behind that was killed: its lock, and its entry in the list of users."""
    folder = project.root / ".dvc" / "tmp"
    (folder / "lock").write_text(f" {number}\n")
    user = {"pid": number, "cmd": "dvc repro read"}
    (folder / "rwlock").write_text(json.dumps({"write": {str(project.root / "c"): user}, "read": {}}))


@pytest.mark.parametrize("command", ["flow", "dvc"])
def test_the_lock_of_a_process_that_is_gone_holds_up_nobody(pipeline, command):
    leave_lock(pipeline, dead_process())
    if command == "flow":
        assert reproduce(pipeline, "copy", print, patience_seconds=0)
    else:
        status, output = run(pipeline, "dvc", "repro", "copy")
        assert status == 0, output
    assert (pipeline.root / "c").read_text() == "a"


def test_the_lock_of_a_killed_process_that_nobody_waited_for_holds_up_no_flow(pipeline, zombie):
    leave_lock(pipeline, zombie)
    assert reproduce(pipeline, "copy", print, patience_seconds=0)


def test_a_lock_from_before_a_power_cut_holds_up_no_flow_although_its_number_is_used_again(pipeline):
    leave_lock(pipeline, os.getpid())
    before = psutil.Process().create_time() - 60
    os.utime(pipeline.root / ".dvc" / "tmp" / "rwlock", (before, before))
    assert reproduce(pipeline, "copy", print, patience_seconds=0)


def test_a_list_of_locks_that_is_half_written_holds_up_no_flow(pipeline):
    (pipeline.root / ".dvc" / "tmp" / "rwlock").write_text('{"write": {"/a')
    assert reproduce(pipeline, "copy", print, patience_seconds=0)


@pytest.mark.parametrize("content", ["", '{"write": {"/a', "[]", '{"write": {"/a": {"pid": "x"}}}'])
def test_nor_does_it_hold_up_what_changes_data(pipeline, content):
    (pipeline.data / "b").write_text("b")
    (pipeline.root / ".dvc" / "tmp" / "rwlock").write_text(content)
    with changing_data(pipeline):
        assert pin(pipeline)
    (pipeline.root / ".dvc" / "tmp" / "rwlock").write_text(content)
    assert not pin(pipeline)


def test_a_dvc_repro_that_was_killed_is_followed_by_the_next_one(pipeline, by_hand):
    os.killpg(by_hand.pid, signal.SIGKILL)
    by_hand.wait()
    (pipeline.root / "go").touch()
    assert reproduce(pipeline, "read", print, patience_seconds=0)
    assert (pipeline.root / "b").read_text() == "a"


def test_make_down_ends_no_process_that_has_the_number_of_one_in_another_container(pipeline):
    """A `.state` may be shared; process ids are not."""
    with subprocess.Popen(["sleep", "600"]) as innocent, hold(pipeline.state / "services.lock", print) as lock:
        lock.write({"run": "make up", "process": str(innocent.pid), "place": "of another container"})
        with pytest.raises(ServiceError, match="end them there"):
            down(pipeline)
        assert innocent.poll() is None
        innocent.kill()


def test_make_down_ends_what_is_just_starting_and_not_what_has_its_number_of_last_time(project, new_port):
    """It takes a second to import what the services need."""
    ports = {"PREFECT_API_URL": f"http://127.0.0.1:{new_port()}/api", "FASHION_MLFLOW_PORT": str(new_port())}
    with subprocess.Popen(["sleep", "600"]) as innocent:
        with hold(project.state / "services.lock", print) as lock:
            lock.write({"run": "make up", "process": str(innocent.pid), "place": place()})
        command = [sys.executable, "-m", "flows.services", "up"]
        with start(project, *command, variables=ports) as starting:
            try:
                wait_until(lambda: has_open(starting, "services.lock"), starting)
                down(project)
                starting.wait(timeout=PATIENCE_SECONDS)
                assert innocent.poll() is None
            finally:
                starting.terminate()
                innocent.kill()


@pytest.mark.parametrize("lines", [0, 5000], ids=["silent", "talkative"])
def test_make_down_ends_the_services_of_a_killed_supervisor_and_no_other_that_has_a_number_of_theirs(
    tmp_path, lines, monkeypatch
):
    """What a service has written, its copy of the supervisor passes on, and does not end before somebody reads it."""
    monkeypatch.setattr("flows.services.supervisor.STARTING_SECONDS", 0.5)
    project = Project(tmp_path)
    program = f"from flows.services import supervisor\n{SUPERVISED_WITH_LOCK}"
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as innocent:
        words = [sys.executable, "-c", program, str(tmp_path), str(lines)]
        supervisor = subprocess.Popen(words, start_new_session=True)
        pid_file = project.state / "prefect.pid"
        try:
            wait_until(lambda: pid_file.exists() and pid_file.read_text(), supervisor)
            supervisor.kill()
            supervisor.wait()
            (tmp_path / "go").touch()
            wait_until((tmp_path / "written").exists, innocent)
            (project.state / "worker.pid").write_text(str(innocent.pid))
            down(project)
            assert innocent.poll() is None
            assert not psutil.pid_exists(int(pid_file.read_text()))
        finally:
            innocent.kill()
            with suppress(ProcessLookupError):
                os.killpg(int(pid_file.read_text()), signal.SIGKILL)


def has_open(process, name):
    return any(file.path.endswith(name) for file in psutil.Process(process.pid).open_files())


SUPERVISED_WITH_LOCK = """
import os, sys
from pathlib import Path
from fashion.leftovers import place
from fashion.locks import hold
folder = Path(sys.argv[1]) / ".state"
with hold(folder / "services.lock", print) as lock:
    lock.write({"process": str(os.getpid()), "place": place()})
    found = supervisor.Supervisor(supervisor.Log(folder / "logs"))
    talk = f"until [ -e go ]; do sleep 0.1; done; seq -f 'line %050g' {sys.argv[2]}; touch written; exec sleep 600"
    found.add_process("prefect", f"echo $$ > '{folder}/prefect.pid'; {talk}", cwd=sys.argv[1])
    found.loop()
"""
SUPERVISED = """
import sys
from pathlib import Path
from flows.services.supervisor import Log, Supervisor
folder = Path(sys.argv[1])
supervisor = Supervisor(Log(folder / "logs"))
for name in ("prefect", "mlflow", "worker"):
    before, after = sys.argv[2:] if name == "worker" else ("", "exec sleep 600")
    supervisor.add_process(name, f"{before} echo $$ > '{folder}/{name}.pid'; {after}")
supervisor.loop()
"""


AT_REST, MAKING_DEPLOYMENTS = ("", "exec sleep 600"), ("sleep 600 &", "wait")


@pytest.mark.parametrize("work", [AT_REST, MAKING_DEPLOYMENTS], ids=["at rest", "making its deployments"])
def test_services_end_whatever_the_worker_does_and_though_nobody_reads_any_more_what_they_say(tmp_path, work):
    """The terminal was closed, or of `make up | tee log` the second was ended first."""
    reading, writing = os.pipe()
    command = [sys.executable, "-c", SUPERVISED, str(tmp_path), *work]
    with subprocess.Popen(command, cwd=SOURCE, stdout=writing, start_new_session=True) as process:
        os.close(writing)
        files = [tmp_path / f"{name}.pid" for name in ("prefect", "mlflow", "worker")]
        try:
            wait_until(lambda: all(file.exists() and file.read_text() for file in files), process)
            os.close(reading)
            process.terminate()
            process.wait(PATIENCE_SECONDS)
            assert not [file.stem for file in files if psutil.pid_exists(int(file.read_text()))]
        finally:
            process.kill()
            for file in filter(Path.exists, files):
                with suppress(ProcessLookupError):
                    os.killpg(int(file.read_text()), signal.SIGKILL)


def test_make_down_says_so_when_it_is_not_known_yet_who_starts(pipeline, monkeypatch):
    monkeypatch.setattr("flows.services.supervisor.STARTING_SECONDS", 0.3)
    with hold(pipeline.state / "services.lock", print), pytest.raises(ServiceError, match="just starting"):
        down(pipeline)
