"""kill -9 while something runs; then the same command again."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd
import yaml

from fashion.adapters import tracking
from fashion.adapters.tracking.address import registry_of
from fashion.leftovers import NAME
from fashion.locks import read_holder
from fashion.params import load_params
from fashion.paths import Project
from tests.conftest import copy_prefect
from tests.faults.commands import must, run, start
from tests.projects import copy_cache, make_quick
from tests.servers import wait_until

FOLDERS = ("validation", "dataset", "model", "evaluation", "export")
"""What the stages make, in their order."""
DRAW = ("fashion", "fetch", "--synthetic", "--images", "600", "--test-images", "200")
FLOW = (sys.executable, "-m", "flows.training", "--synthetic", "--reason", "test")


def half_written(folder):
    """The folders and files that killed processes left under temporary names."""
    return [name for name in os.listdir(folder) if NAME.match(name)]


def kill_while_it_writes(project, command, folder, name=".*", beside="."):
    """Kill whichever process of the command writes `name` in `folder`, once there is something called `beside` there.

    The kernel kills it at a certain point of its own work, so it does not matter how fast it is.
    """
    moment = {
        "PYTHONPATH": str(Path(__file__).parent / "power_cut"),
        "KILLED_IN": f"{re.escape(str(folder))}/",
        "KILLED_WRITING": f"{NAME.pattern}{name}(/|$)",
        "KILLED_BESIDE": beside,
    }
    status, output = run(project, *command, variables=moment)
    assert status != 0, output
    assert half_written(folder), output


def outputs(project):
    """What is the same in every undisturbed run: digests where there are no times in the files, else the figures."""
    lock = yaml.safe_load((project.root / "dvc.lock").read_text())["stages"]
    metrics = json.loads((project.evaluation / "metrics.json").read_text())
    history = pd.read_csv(project.model / "history.csv").drop(columns="seconds")
    return {
        "data": (project.root / "data.dvc").read_text(),
        "dataset": lock["prepare"]["outs"][0]["md5"],
        "history": history.to_dict(),
        "metrics": {name: value for name, value in metrics.items() if name != "latency_milliseconds"},
        "export": (project.export / "model.tflite").read_bytes(),
        "report": json.loads((project.validation / "report.json").read_text()),
    }


def versions(project):
    """Every version, with aliases, after a look whether what has an alias can be loaded."""
    registry = registry_of(project, load_params(project.params))
    found = [tracking.get_version(registry, one.number) for one in tracking.list_versions(registry)]
    for version in found:
        if version.aliases:
            tracking.keep_version(registry, version, project.state / "fetched")
    return {version.number: version.aliases for version in found}


def test_every_stage_that_is_killed_makes_the_same_when_it_is_started_again(small_project, trained_template):
    make_quick(small_project)
    artifacts = small_project.root / "artifacts"
    kill_while_it_writes(small_project, DRAW, small_project.data)
    must(small_project, *DRAW)
    for folder in FOLDERS:  # It makes what was killed the time before, and dies in the next stage.
        if folder == "model":  # And before that between two epochs.
            kill_while_it_writes(small_project, ("dvc", "repro"), small_project.training, beside="[^.]")
        kill_while_it_writes(small_project, ("dvc", "repro"), artifacts, folder)
    must(small_project, "dvc", "repro")
    assert half_written(artifacts) == []
    assert outputs(small_project) == outputs(Project(trained_template))


def trains(project):
    """Its process is there, but has written nothing yet."""
    return "process" in read_holder(project.state / "train.lock")


def registers(project):
    """The version's words are in MLflow; the version is not there, or has no alias."""
    return next(project.state.glob("mlflow/*/artifacts/origin"), None)


def kill_when(far_enough, project):
    """Start the flow, and kill it alone when it is far enough: DVC and the stage know nothing of it."""
    flow = start(project, *FLOW, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: far_enough(project), flow)
    finally:
        flow.kill()
        flow.wait()


def run_states(project):
    """Of all runs of flows, in the order of their start."""
    with closing(sqlite3.connect(project.state / "prefect" / "prefect.db")) as database:
        return [state for (state,) in database.execute("SELECT state_name FROM flow_run ORDER BY start_time")]


def test_a_flow_that_is_killed_again_and_again_makes_the_same_in_the_end(
    small_project, trained_template, prefect_template
):
    make_quick(small_project)
    copy_cache(trained_template, small_project, "validate", "prepare")
    copy_prefect(prefect_template, small_project)
    for far_enough in (trains, registers):
        kill_when(far_enough, small_project)
        assert all("champion" not in aliases for aliases in versions(small_project).values())
    must(small_project, *FLOW)
    assert half_written(small_project.root / "artifacts") == []
    assert outputs(small_project) == outputs(Project(trained_template))
    assert versions(small_project) == {"1": ("champion",)}
    assert run_states(small_project) == ["Crashed", "Crashed", "Completed"]


def test_answers_that_are_killed_go_on_with_the_same_command(trained_project, tmp_path):
    (source,) = trained_project.data.glob("t10k-images*")
    output = tmp_path / "answers"
    command = ("fashion", "predict", str(source), "--shard-size", "1", "--output", str(output))
    process = start(trained_project, *command)
    wait_until(lambda: len(shards_in(output)) >= 20, process)
    process.kill()
    process.communicate()
    known = shards_in(output)
    assert len(known) < 200
    said = re.search(r"(\d+) of 200 shards were there already", must(trained_project, *command))
    assert int(said[1]) >= len(known)
    assert not half_written(output)
    assert known.items() <= shards_in(output).items()
    evaluated = pd.read_parquet(trained_project.evaluation / "predictions.parquet")
    names = load_params(trained_project.params).data.classes
    assert list(pd.read_parquet(output)["class"]) == [names[number] for number in evaluated["prediction"]]


def shards_in(folder):
    return {path.name: path.read_bytes() for path in folder.glob("answers-*.parquet")}
