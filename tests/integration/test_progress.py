"""What a run shows while it works, by log lines as Prefect gives them."""

import io
import logging
import os
import pty
import subprocess
import sys

import pytest
from rich.console import Console

from fashion.defaults import read_defaults
from fashion.errors import StageError
from fashion.params import load_params
from flows.pipeline import PIPELINE
from flows.progress import RunLine, forecast, read_measured, shown
from tests.projects import edit_params

EXPECTED = {"start": 10.0, "validate": 20.0, "train": 60.0, "register": 10.0}


def record(message, step=None, level=logging.INFO, **extra):
    logger = logging.getLogger("prefect.task_runs" if step else "prefect.flow_runs")
    names = {"task_run_name": step, "flow_run_name": "a run"} if step else {"flow_run_name": "a run"}
    return logger.makeRecord(logger.name, level, __file__, 1, message, (), None, extra=names | extra)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def text(line):
    console = Console(file=io.StringIO(), width=120)
    console.print(line.render())
    return [" ".join(part for part in row.split() if "━" not in part) for row in console.file.getvalue().splitlines()]


def test_the_time_left_follows_the_pace_of_the_steps_and_in_a_training_that_of_its_epochs(clock):
    line = RunLine(EXPECTED, clock)
    assert line.seconds_left() == 100
    clock.now = 20.0  # Twice as slow as expected.
    line.take(record("Running stage 'validate':", "validate"))
    assert line.seconds_left() == 180
    line.take(record("Finished in state UpToDate('Nothing has changed')", "validate"))
    assert line.seconds_left() == 140
    line.take(record("Running stage 'train':", "train"))
    assert line.seconds_left() == 140
    clock.now = 70.0
    line.take(record("epoch 1 of 4: loss 1.0, accuracy 0.5, 40.0 s", "train"))
    assert line.seconds_left() == 3 * 40 + 20
    clock.now = 80.0
    assert line.seconds_left() == 3 * 40 - 10 + 20


def test_a_step_that_is_overdue_moves_the_end_of_the_run(clock):
    line = RunLine(EXPECTED, clock)
    clock.now = 30.0  # Of 10 expected.
    assert line.seconds_left() == 3 * 90
    line.take(record("epoch 1 of 2: loss 1.0, accuracy 0.5, 500.0 s", "train"))
    clock.now = 530.0  # A long recipe says nothing about the steps after it.
    line.take(record("epoch 2 of 2: loss 1.0, accuracy 0.5, 500.0 s", "train"))
    assert line.seconds_left() == 3 * 10


def test_one_line_shows_the_step_and_the_time_left_and_under_it_are_the_epochs(clock):
    line = RunLine(EXPECTED, clock)
    assert text(line) == ["start 1:40 left"]
    line.take(record("Running stage 'train':", "train"))
    first, second = (f"epoch {number} of 4: loss 1.0, 25.0 s" for number in (1, 2))
    assert not any(line.take(record(epoch, "train")) for epoch in (first, second))
    assert text(line) == ["train, epoch 3 of 4 1:00 left", "Running stage 'train':", first, second]
    line.take(record("version 1 is champion", "register"))
    assert text(line) == ["register 0:10 left", "version 1 is champion"]


def test_a_warning_is_printed_and_stays(clock):
    assert RunLine(EXPECTED, clock).take(record("MLflow went away", "train", logging.WARNING))


def say(console):
    """What Prefect logs of a step that says one thing, warns, and fails."""
    error = StageError("the images are unfit\nSee artifacts/validation")
    with shown(console):
        for line in (
            record("epoch 1 of 2: loss 1.0, 3.0 s", "train"),
            record("the disk is nearly full", "train", logging.WARNING),
            record(str(error), "train", logging.ERROR, explained=error),
            record(f"Finished in state Failed('StageError: {error}')", "train", logging.ERROR),
            record(f"training failed: {error}", level=logging.WARNING),
        ):
            logging.getLogger(line.name).handle(line)


def test_on_a_terminal_warnings_stand_above_the_line_and_the_error_is_left_to_the_end():
    console = Console(file=io.StringIO(), force_terminal=True, width=120, soft_wrap=True)
    say(console)
    shown_text = console.file.getvalue()
    assert "train, epoch 2 of 2" in shown_text
    assert shown_text.count("the disk is nearly full") == 1
    assert "unfit" not in shown_text


def test_in_a_pipe_there_are_plain_lines_and_no_line_that_moves():
    console = Console(file=io.StringIO(), width=120, soft_wrap=True)
    say(console)
    lines = console.file.getvalue().splitlines()
    assert [line.partition(" - ")[2] for line in lines] == ["epoch 1 of 2: loss 1.0, 3.0 s", "the disk is nearly full"]
    assert "\x1b" not in console.file.getvalue()


def test_the_forecast_is_within_a_quarter_of_what_was_measured_and_is_told_before_the_first_model(project):
    measured = read_measured()["run"]
    assert list(measured["seconds"]) == ["start", "fetch", *PIPELINE, "register"]
    words = forecast(project, load_params(project.params)).split()
    minutes, download, disk = (float(words[words.index(unit) - 1]) for unit in ("minutes", "MB", "GB"))
    assert minutes * 60 == pytest.approx(sum(measured["seconds"].values()), rel=0.25)
    assert download * 1e6 == pytest.approx(measured["download_bytes"], rel=0.25)
    assert disk * 1e9 == pytest.approx(measured["disk_bytes"], rel=0.25)
    edit_params(project, {"train": {"recipe": "baseline"}})
    unknown = forecast(project, load_params(project.params))
    assert "with these data and this recipe is not known" in unknown
    assert "downloads" not in unknown
    project.model.mkdir(parents=True)
    project.model_file.touch()
    assert forecast(project, load_params(project.params)) is None


def test_prefect_reports_nothing_from_a_terminal_on_which_nothing_was_activated(project):
    """It reports its first import, and says so, unless the environment forbids it by then."""
    environment = {name: value for name, value in os.environ.items() if name not in read_defaults(project.root)}
    terminal, end = pty.openpty()
    command = [sys.executable, "-c", "import flows.training, sys; print('imported', file=sys.stderr)"]
    try:
        subprocess.run(command, cwd=project.root, env=environment, stdin=end, stdout=end, stderr=end, check=True)
        said = os.read(terminal, 10_000)
    finally:
        os.close(terminal)
        os.close(end)
    assert b"imported" in said
    assert b"anonymous usage data" not in said
    assert not list(project.root.rglob("notice_shown"))
