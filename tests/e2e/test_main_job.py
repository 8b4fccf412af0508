"""The whole main job, as commands in a project of their own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient

from fashion.adapters.tracking.address import EXPERIMENT, registry_of
from fashion.cli import main
from fashion.errors import DataError
from fashion.params import load_params
from fashion.paths import Project
from fashion.stages.fetch import fetch
from tests.advice import follow
from tests.conftest import copy_prefect
from tests.projects import SOURCE, commit, copy_cache, edit_params, git, make_quick
from tests.servers import PATIENCE_SECONDS


def run(project, *command):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True, check=False)


def read(path):
    return json.loads(path.read_text())


def test_one_command_goes_from_raw_data_to_a_champion(trained_project):
    output = (trained_project.state / "output.txt").read_text()
    assert "95 % interval" in output
    assert "fashion-classifier version 1 is champion" in output
    metrics = read(trained_project.evaluation / "metrics.json")
    named = {"accuracy", "accuracy_low", "accuracy_high", "macro_precision", "macro_recall", "macro_f1"}
    error = "expected_calibration_error"
    corrected = {f"corrected_calibration_error{end}" for end in ("", "_low", "_high")}
    assert named | corrected | {error, f"{error}_bias", "per_class"} <= set(metrics)
    gate = read(trained_project.evaluation / "gate.json")
    assert gate["verdict"] == "passed"
    assert all({"name", "value", "low", "high", "limit", "verdict"} <= set(check) for check in gate["checks"])
    report = read(trained_project.validation / "report.json")
    assert (report["success"], report["images"], report["quarantined"]) == (True, 800, 0)
    assert len(pd.read_parquet(trained_project.evaluation / "predictions.parquet")) == 200
    for name in ("saved_model/1/saved_model.pb", "model.tflite", "model_int8.tflite"):
        assert (trained_project.export / name).is_file()
    assert (trained_project.model / "history.csv").is_file()


@pytest.mark.advice("make run DATA=synthetic", "stages/sources.py")
def test_without_data_and_network_there_is_a_run_on_drawn_images_apart(
    small_project, trained_template, prefect_template, monkeypatch
):
    """The images are few, and drawn before: how many to draw, `make run` does not ask.

    What the stages make of them, DVC takes from its cache: they ran for the template, of the same data and parameters.
    """
    make_quick(small_project)
    apart = Project(small_project.state / "synthetic")
    shutil.copytree(small_project.data, apart.data)
    shutil.copy(small_project.root / "data.dvc", apart.root)
    copy_cache(trained_template, apart)
    copy_prefect(prefect_template, apart)
    shutil.rmtree(small_project.data)
    shutil.copy(SOURCE / "Makefile", small_project.root)
    commit(small_project.root, "A Makefile")
    monkeypatch.setenv("FASHION_DATA_SOURCES", "/nowhere")
    with pytest.raises(DataError) as told:
        fetch(small_project, load_params(small_project.params))
    output = follow(small_project, told.value, "make run DATA=synthetic", "--old-file=setup")
    assert "fashion-classifier version 1 is champion" in output
    assert apart.model_file.exists()
    assert not small_project.model_file.exists()
    assert not (small_project.state / "mlflow.db").exists()


def test_dvc_repro_needs_no_activation(small_project):
    commands = small_project.root / ".venv" / "bin"
    commands.mkdir(parents=True)
    (commands / "fashion").symlink_to(Path(sys.executable).parent / "fashion")
    environment = {"PATH": os.defpath, "HOME": os.environ["HOME"]}
    command = [sys.executable, "-m", "dvc", "repro", "validate"]
    result = subprocess.run(
        command, cwd=small_project.root, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert (small_project.validation / "report.json").exists()


def test_dvc_repro_after_it_runs_nothing(trained_project):
    for _ in range(2):
        again = run(trained_project, "dvc", "repro")
        assert again.returncode == 0, again.stdout + again.stderr
        assert "Running stage" not in again.stdout
        assert "Data and pipelines are up to date." in again.stdout
    assert git(trained_project.root, "status", "--porcelain") == ""


def test_only_what_depends_on_a_change_runs_again_and_nothing_is_written_into_the_users_home(trained_project, own_home):
    content = yaml.safe_load(trained_project.params.read_text())
    content["evaluate"]["gates"]["accuracy_at_least"] = 0.4
    trained_project.params.write_text(yaml.safe_dump(content))
    again = run(trained_project, "dvc", "repro")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Running stage 'evaluate'" in again.stdout
    assert "Running stage 'train'" not in again.stdout
    assert read(trained_project.evaluation / "gate.json")["checks"][0]["limit"] == 0.4
    assert sorted(path.name for path in own_home.iterdir()) == []


def test_dvc_shows_metrics_their_changes_and_plots(trained_project):
    shown = run(trained_project, "dvc", "metrics", "show")
    assert shown.returncode == 0, shown.stderr
    assert "expected_calibration_error" in shown.stdout
    metrics = trained_project.evaluation / "metrics.json"
    changed = read(metrics)
    changed["accuracy"] += 0.001
    metrics.chmod(0o644)
    metrics.write_text(json.dumps(changed))
    difference = run(trained_project, "dvc", "metrics", "diff")
    assert difference.returncode == 0, difference.stderr
    assert "0.001" in difference.stdout
    plots = run(trained_project, "dvc", "plots", "show", "--out", "plots")
    assert plots.returncode == 0, plots.stderr
    page = (trained_project.root / "plots" / "index.html").read_text()
    assert "validation_accuracy" in page
    assert "confusion_matrix.png" in page


def test_a_training_that_is_asked_to_end_leaves_no_half_model_and_says_so_in_mlflow(trained_project):
    shutil.rmtree(trained_project.model)
    params = edit_params(trained_project, {"train": {"recipes": {"baseline": {"epochs": 10_000}}}})
    training = subprocess.Popen(
        [Path(sys.executable).parent / "fashion", "train"], cwd=trained_project.root, stderr=subprocess.PIPE, text=True
    )
    try:
        assert any("epoch 1 of 10000" in line for line in training.stderr)
        training.terminate()
        assert training.wait(timeout=PATIENCE_SECONDS) == 128 + signal.SIGTERM
    finally:
        training.kill()
        training.communicate()
    assert not trained_project.model.exists()
    assert not list(trained_project.model.parent.glob(".model*"))
    client = MlflowClient(registry_of(trained_project, params).uri)
    newest, before = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    assert (newest.info.status, before.info.status) == ("KILLED", "FINISHED")


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda project: project.params.write_text("data: ["), "params.yaml is not usable YAML"),
        (lambda project: (project.expectations / "images.json").write_text("{"), "images.json"),
        (lambda project: (project.data / "train-labels-idx1-ubyte.gz").write_bytes(b""), "train-labels-idx1-ubyte.gz"),
    ],
    ids=["params", "suite", "data"],
)
def test_bad_input_ends_a_command_with_one_message_and_no_traceback(
    small_project, monkeypatch, capsys, damage, complaint
):
    damage(small_project)
    monkeypatch.chdir(small_project.root)
    monkeypatch.setattr(sys, "argv", ["fashion", "validate"])
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 1
    output, errors = capsys.readouterr()
    assert errors.startswith("error: ")
    assert complaint in errors
    assert "Traceback" not in errors + output
