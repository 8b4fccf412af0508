"""A training that is stopped, and goes on: the model, the log, and MLflow's run."""

import json
import logging

import keras
import pandas as pd
from mlflow import MlflowClient

from fashion.adapters.tracking.address import EXPERIMENT, registry_of
from fashion.adapters.weights import read_weights
from fashion.evaluation.reproduction import compare_weights
from fashion.params import load_params
from fashion.stages.train import train

EPOCHS = 6
"""Of the recipe that `make_quick` gives."""


def run_training(project, caplog, on_step=lambda done, total: None):
    """What was logged."""
    caplog.set_level(logging.INFO, logger="fashion")
    caplog.clear()
    keras.utils.clear_session()  # Layers are numbered within a session, and their names are saved.
    try:
        train(project, load_params(project.params), on_step)
    except KeyboardInterrupt:
        assert on_step is stop_in_epoch_4
    return [record.getMessage() for record in caplog.records]


def stop_in_epoch_4(done, total):
    if done == 3 * total // EPOCHS + 2:
        raise KeyboardInterrupt


def runs(project):
    """The newest first."""
    client = MlflowClient(registry_of(project, load_params(project.params)).uri)
    return client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])


def steps(project, run):
    client = MlflowClient(registry_of(project, load_params(project.params)).uri)
    return [point.step for point in client.get_metric_history(run.info.run_id, "epochs/validation_loss")]


def result(project):
    """What is the same in every undisturbed training."""
    return read_weights(project.model_file), pd.read_csv(project.model / "history.csv").drop(columns="seconds")


def test_a_stopped_training_goes_on_in_its_run_and_makes_the_same_model(trained_project, caplog):
    weights, history = result(trained_project)
    said = run_training(trained_project, caplog, stop_in_epoch_4)
    assert said[-1] == "Stopped. Run the same command again to resume after the last complete epoch."
    stopped, before = runs(trained_project)
    assert (stopped.info.status, before.info.status) == ("KILLED", "FINISHED")
    assert steps(trained_project, stopped) == [1, 2, 3]
    assert len(list(trained_project.training.iterdir())) == 1
    said = run_training(trained_project, caplog)
    assert said[0] == "An earlier run was stopped: resuming from epoch 4 of 6"
    assert next(line for line in said if line.startswith("epoch ")).startswith("epoch 4 of 6: loss ")
    assert_the_steps_are_said_before_the_first_and_kept(trained_project, said)
    resumed, _ = runs(trained_project)
    assert (resumed.info.run_id, resumed.info.status) == (stopped.info.run_id, "FINISHED")
    assert steps(trained_project, resumed) == [1, 2, 3, 4, 5, 6]
    again, history_again = result(trained_project)
    assert compare_weights(again, weights).identical
    assert history_again.equals(history)
    assert list(trained_project.training.iterdir()) == []


def assert_the_steps_are_said_before_the_first_and_kept(project, said):
    kept = json.loads((project.model / "training.json").read_text())
    assert f"{EPOCHS} epochs of {kept['steps'] // EPOCHS} steps, {kept['steps']} in all" in said[1]
    assert said[2] == kept["doubt"]
    assert kept["doubt"].startswith(f"{kept['steps']} steps are probably too few")
    assert said[3].startswith("epoch 4 of 6")
