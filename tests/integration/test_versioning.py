"""DVC as the flows and the stages use them, on a pipeline of shell commands."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from fashion.adapters.versioning import data_version, read_lock, reproduce
from fashion.errors import DataError, ServiceError, StageError
from tests.projects import copy_pipeline
from tests.servers import PATIENCE_SECONDS, wait_until

SAY_AND_FAIL = 'sh -c \'echo 3 of 7; echo "error: x.gz is truncated" >&2; echo "fetch it again" >&2; exit 1\''
STAGES = {
    "copy": {"cmd": "cp data/a b && echo copied", "deps": ["data"], "outs": ["b"]},
    "fail": {"cmd": SAY_AND_FAIL, "deps": ["b"], "outs": ["c"]},
    "grumble": {"cmd": "echo error: nearly && touch g", "deps": ["b"], "outs": ["g"]},
    "break": {"cmd": "sh -c 'echo Traceback; exit 3'", "deps": ["b"], "outs": ["d"]},
    "chat": {"cmd": "seq 20000 && touch h", "deps": ["b"], "outs": ["h"]},
    "slow": {"cmd": "sh -c 'echo $$ > pid; sleep 60; touch e'", "deps": ["b"], "outs": ["e"]},
    "hold": {
        "cmd": "sh -c 'touch held; while [ ! -e go ]; do sleep 0.05; done; touch f'",
        "deps": ["b"],
        "outs": ["f"],
    },
}


@pytest.fixture
def pipeline(pipeline_template, tmp_path):
    """A repository with data/ pinned and the stages above."""
    return copy_pipeline(pipeline_template, tmp_path / "pipeline", STAGES)


def ignore(line):
    """Nobody reads it."""


def is_alive(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_stage_runs_once_and_its_lines_are_seen(pipeline):
    lines = []
    assert reproduce(pipeline, "copy", lines.append) is True
    assert (pipeline.root / "b").read_text() == "a"
    assert "copied" in lines
    assert reproduce(pipeline, "copy", lines.append) is False
    assert lines.count("copied") == 1


def test_many_lines_of_a_stage_take_no_time_with_the_square_of_their_number(pipeline):
    reproduce(pipeline, "copy", ignore)
    lines, start = [], time.process_time()
    reproduce(pipeline, "chat", lines.append)
    assert time.process_time() - start < 3
    assert {"1", "20000"} < set(lines)


def test_a_stage_that_fails_speaks_in_its_own_words(pipeline):
    reproduce(pipeline, "copy", ignore)
    lines = []
    with pytest.raises(StageError) as caught:
        reproduce(pipeline, "fail", lines.append)
    assert str(caught.value) == "x.gz is truncated\nfetch it again"
    assert lines[-1] == "3 of 7"  # What is raised has not been said before.


def test_a_word_of_an_error_that_was_none_is_shown_after_all(pipeline):
    reproduce(pipeline, "copy", ignore)
    lines = []
    reproduce(pipeline, "grumble", lines.append)
    assert "error: nearly" in lines


def test_a_stage_that_breaks_shows_the_end_of_its_output(pipeline):
    reproduce(pipeline, "copy", ignore)
    with pytest.raises(StageError, match=r"Stage break failed(.|\n)*Traceback"):
        reproduce(pipeline, "break", ignore)


def test_what_dvc_itself_complains_about_is_passed_on(pipeline):
    with pytest.raises(StageError, match="nothing"):
        reproduce(pipeline, "nothing", ignore)


def test_an_interrupted_call_leaves_no_process_behind_and_the_next_one_works(pipeline):
    reproduce(pipeline, "copy", ignore)
    pid_file = pipeline.root / "pid"

    def interrupt(line):
        wait_until(lambda: pid_file.exists() and pid_file.read_text().strip())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(pipeline, "slow", interrupt)
    wait_until(lambda: not is_alive(int(pid_file.read_text())))
    assert reproduce(pipeline, "copy", ignore) is False


def start_holding(project):
    """Another process that runs stage `hold`."""
    holder = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "--single-item", "hold"],
        cwd=project.root,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until((project.root / "held").exists)
    return holder


def test_a_stage_held_by_another_process_is_waited_for_and_its_holder_named(pipeline):
    reproduce(pipeline, "copy", ignore)
    holder = start_holding(pipeline)
    lines = []

    def hear(line):
        lines.append(line)
        (pipeline.root / "go").touch()

    try:
        assert reproduce(pipeline, "hold", hear) is False
        assert holder.wait(timeout=PATIENCE_SECONDS) == 0
    finally:
        if holder.poll() is None:
            os.killpg(holder.pid, signal.SIGKILL)
            holder.wait()
    assert lines[0].startswith(f"Waiting for DVC: the files of stage hold are in use by process {holder.pid} (")
    assert lines[0].endswith("repro --single-item hold)")
    assert (pipeline.root / "f").exists()


def test_patience_with_another_process_ends(pipeline):
    reproduce(pipeline, "copy", ignore)
    holder = start_holding(pipeline)
    try:
        with pytest.raises(ServiceError, match=f"process {holder.pid}"):
            reproduce(pipeline, "hold", ignore, patience_seconds=0)
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()


def test_the_data_version_is_what_data_dvc_pins(pipeline):
    pinned = yaml.safe_load((pipeline.root / "data.dvc").read_text())["outs"][0]["md5"]
    assert data_version(pipeline) == pinned


@pytest.mark.parametrize("content", [None, "outs: []\n", "{"], ids=["missing", "empty", "not YAML"])
def test_a_data_dvc_that_pins_nothing_is_an_error_that_says_how_to_restore_it(pipeline, content):
    path = pipeline.root / "data.dvc"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=r"git checkout -- data\.dvc"):
        data_version(pipeline)


def test_what_dvc_has_locked_is_read_as_dvc_wrote_it(pipeline_template, tmp_path):
    """DVC writes such texts without quotes, for it reads YAML 1.2; in YAML 1.1 they are a truth value and a number."""
    classes = ["on", "1:30", "010"]
    stage = {"cmd": "echo made > made", "outs": ["made"], "params": ["classes"]}
    pipeline = copy_pipeline(pipeline_template, tmp_path / "pipeline", {"make": stage})
    pipeline.params.write_text(f"classes: {json.dumps(classes)}\n")
    reproduce(pipeline, "make", lambda _: None)
    assert read_lock(pipeline.root / "dvc.lock")["make"].parameters == {"classes": classes}
