"""What is kept of a training, without one: made-up states."""

import logging
import re

import numpy as np
import pytest

from fashion.model.history import Epoch, State
from fashion.params import load_params
from fashion.stages.checkpoint import Checkpoint, Checkpoints
from tests.projects import edit_params

ARRAYS = (np.float32([[0.1, -0.0], [np.pi, 1e-40]]), np.int64(7), np.uint32([1, 2]))


def checkpoint(epoch=1, run_id="abc"):
    history = tuple(Epoch(number, 12, 9.7, 0.008, 0.1 + 0.2, 0.9, 0.3, 0.91) for number in range(1, epoch + 1))
    return Checkpoint(State(history, ARRAYS, ARRAYS[:1], np.random.default_rng(3).bit_generator.state), run_id)


def checkpoints(project, **changes):
    """Of a training with these parameters."""
    params = edit_params(project, {"train": changes}) if changes else load_params(project.params)
    return Checkpoints(project, params)


def files(project):
    return list(project.training.iterdir())


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, logger="fashion")
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_checkpoint_comes_back_bit_by_bit_and_the_last_one_is_kept(project, said):
    kept = checkpoints(project)
    for epoch in (1, 2):
        kept.save(checkpoint(epoch))
    found, expected = checkpoints(project).load(), checkpoint(2)
    assert (found.run_id, found.state.history) == ("abc", expected.state.history)
    assert found.state.generator == expected.state.generator
    for one, two in zip(found.state.variables, expected.state.variables, strict=True):
        assert (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())
    assert [array.tobytes() for array in found.state.best_weights] == [ARRAYS[0].tobytes()]
    kept.remove()
    assert checkpoints(project).load() is None
    assert (files(project), said()) == ([], [])


def test_more_arrays_than_ten_keep_their_order(project):
    state = State((), tuple(np.arange(12)), (), {})
    checkpoints(project).save(Checkpoint(state, "abc"))
    assert [int(number) for number in checkpoints(project).load().state.variables] == list(range(12))


def change_the_data(project):
    project.dataset.mkdir(parents=True, exist_ok=True)
    (project.dataset / "train_images.npy").write_bytes(b"other")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda project: edit_params(project, {"train": {"seed": 2}}), "parameters"),
        (change_the_data, "data"),
        (
            lambda project: (change_the_data(project), edit_params(project, {"train": {"seed": 2}})),
            "data, parameters",
        ),
    ],
    ids=["parameters", "data", "both"],
)
def test_another_training_starts_from_the_first_epoch_and_says_what_has_changed(project, said, change, what):
    checkpoints(project).save(checkpoint(4))
    change(project)
    assert checkpoints(project).load() is None
    because = "because these have changed since a training stopped after epoch 4 of 12"
    assert said() == [f"Starting from epoch 1, {because}: {what}"]


def test_another_machine_or_library_is_another_training(project, said, monkeypatch):
    checkpoints(project).save(checkpoint(4))
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert checkpoints(project).load() is None
    assert said()[0].endswith("of 12: machine or libraries")


def test_of_other_trainings_the_newest_is_kept_for_whoever_changes_a_parameter_back(project):
    for seed in (1, 2, 3):
        checkpoints(project, seed=seed).save(checkpoint(seed))
    assert len(files(project)) == 2
    assert checkpoints(project, seed=2).load().state.history[-1].epoch == 2
    assert checkpoints(project, seed=1).load() is None


def flip_a_bit(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [flip_a_bit, lambda content: content[:-100], lambda content: b"", lambda content: b"no archive" * 100],
    ids=["one bit", "cut short", "empty", "something else"],
)
def test_a_damaged_checkpoint_is_named_and_not_gone_on_from(project, said, damage):
    checkpoints(project).save(checkpoint(4))
    (path,) = files(project)
    path.write_bytes(damage(path.read_bytes()))
    assert checkpoints(project).load() is None
    assert re.match(rf"Starting from epoch 1: the checkpoint {path} is damaged \(.", said()[0])
    checkpoints(project).save(checkpoint(1))
    assert checkpoints(project).load().state.history[-1].epoch == 1
