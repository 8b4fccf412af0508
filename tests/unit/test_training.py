"""Small networks on a few images; seconds, not minutes."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from fashion.arrays import LabelledImages
from fashion.errors import TrainingError
from fashion.images.augmentation import move
from fashion.images.synthetic import draw
from fashion.model.architectures import NETWORKS
from fashion.model.history import Epoch, is_over
from fashion.model.networks import answer, logits_model, predict_logits, rebuild, temperature_of
from fashion.model.optimizers import ConvolutionalMuon, OneCycle
from fashion.model.training import Plan, Watch, train
from fashion.params import Recipe
from tests.networks import untrained

SILENT = Watch(on_epoch=lambda state: None, on_step=lambda done, total: None)
SIZE = (28, 28)


@pytest.fixture(scope="module")
def examples():
    images, labels = draw(400, 3, SIZE, 0)
    return LabelledImages(images[:300], labels[:300]), LabelledImages(images[300:], labels[300:])


def recipe(**changes):
    usual = {"network": "compact", "epochs": 2, "batch_size": 64, "optimizer": "adam", "learning_rate": 0.002}
    return Recipe(**(usual | changes))


def trained(examples, network="compact", seed=1, watch=SILENT, **changes):
    return train(Plan(recipe(network=network, **changes), *examples, classes=3, seed=seed), watch)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"pretrained"}))  # Which test_pretrained.py tries.
def test_every_network_takes_raw_images_of_any_size_and_number_of_classes(name, channels):
    model = untrained(name, (32, 24, channels), classes=7)
    answer = model.predict(np.zeros((2, 32, 24, channels), np.uint8), verbose=0)
    assert answer["probabilities"].shape == (2, 7)
    assert answer["probabilities"].sum(axis=1) == pytest.approx([1, 1])
    assert answer["embedding"].shape[0] == 2


def test_the_baseline_is_the_original_one():
    # conv 32: 320, conv 64: 18,496, dense 64 on 5 x 5 x 64: 102,464, dense 10: 650.
    assert untrained("baseline", (*SIZE, 1), 10).count_params() == 320 + 18_496 + 102_464 + 650
    assert untrained("dropout", (*SIZE, 1), 10).count_params() == untrained("baseline", (*SIZE, 1), 10).count_params()


def test_the_temperature_softens_probabilities_and_leaves_logits_alone():
    model = untrained("baseline", (*SIZE, 1), 3)
    images = draw(5, 3, SIZE, 0)[0]
    softer = rebuild(model, 4.0)
    hard, soft = answer(model, images), answer(softer, images)
    assert temperature_of(softer) == pytest.approx(4.0)
    assert np.array_equal(hard.logits, soft.logits)
    assert (soft.probabilities.max(axis=1) < hard.probabilities.max(axis=1)).all()


def test_averaged_shifts_are_the_mean_of_the_answers_for_the_moved_images():
    model = untrained("compact", (*SIZE, 1), 3)
    images = draw(5, 3, SIZE, 0)[0]
    moves = [(0, 0), (2, 0), (-2, 0), (0, 2), (0, -2)]
    moved = [move(images, np.full(5, down), np.full(5, right)) for down, right in moves]
    answers = [answer(model, one) for one in moved]
    averaging = rebuild(model, 1.0, average_shifts=2)
    averaged = answer(averaging, images)
    assert averaged.logits == pytest.approx(np.mean([one.logits for one in answers], axis=0), abs=1e-5)
    assert averaged.embedding == pytest.approx(np.mean([one.embedding for one in answers], axis=0), abs=1e-5)
    assert averaging.count_params() == model.count_params()


def test_an_answer_is_that_of_the_weights_which_the_model_has_now():
    model, images = untrained("compact", (*SIZE, 1), 3), draw(5, 3, SIZE, 0)[0]
    before = answer(model, images)
    model.set_weights([weights * 0.5 for weights in model.get_weights()])
    after = answer(model, images)
    assert not np.allclose(before.logits, after.logits)
    assert after.probabilities == pytest.approx(model.predict(images, verbose=0)["probabilities"])


def test_tensorflow_traces_a_model_once_for_all_numbers_of_images():
    """It warns in the log of whatever traces often."""
    model, images = logits_model(untrained("baseline", (*SIZE, 1), 3)), draw(8, 3, SIZE, 0)[0]
    answers = [predict_logits(model, images[:count]) for count in range(1, 9)]
    assert model.predict_function.experimental_get_tracing_count() == 1
    assert [len(one) for one in answers] == list(range(1, 9))
    assert all(np.array_equal(one, answers[-1][: len(one)]) for one in answers)


OURS = {"optimizer": "muon", "schedule": "one_cycle", "augmentation": {"shift": 1}, "average_shifts": 1}
SMOOTHED = {"one_hot": True, "label_smoothing": 0.1}


@pytest.mark.parametrize(
    ("name", "changes"),
    [("baseline", {}), ("compact", OURS), ("dropout", SMOOTHED)],
    ids=["plain", "ours", "smoothed"],
)
def test_the_same_seed_gives_the_same_weights_interrupted_or_not(examples, name, changes):
    kept = []

    def interrupt(done, total):
        if done == total - 1:
            raise KeyboardInterrupt

    undisturbed = trained(examples, name, **changes)
    with pytest.raises(KeyboardInterrupt):
        trained(examples, name, watch=Watch(kept.append, interrupt), **changes)
    assert [len(state.history) for state in kept] == [1]
    resumed = trained(examples, name, watch=replace(SILENT, start=kept[0]), **changes)
    assert same_weights(resumed, undisturbed)
    assert without_seconds(resumed.history) == without_seconds(undisturbed.history)
    assert not same_weights(trained(examples, name, seed=2, **changes), undisturbed)


def without_seconds(history):
    return [replace(epoch, seconds=0) for epoch in history]


def test_a_training_that_stopped_after_its_last_epoch_runs_none_again(examples):
    kept = []
    undisturbed = trained(examples, "baseline", watch=Watch(kept.append, lambda *_: None))
    again = Watch(lambda state: pytest.fail("another epoch"), lambda *_: pytest.fail("another step"), kept[-1])
    resumed = trained(examples, "baseline", watch=again)
    assert resumed.history == undisturbed.history
    assert same_weights(resumed, undisturbed)


def same_weights(one, two):
    pairs = zip(one.model.get_weights(), two.model.get_weights(), strict=True)
    return all(np.array_equal(*pair) for pair in pairs)


@pytest.mark.parametrize(
    ("accuracies", "patience", "over"),
    [
        ([], 1, False),
        ([0.5], 1, False),
        ([0.5, 0.5], 1, True),
        ([0.5, 0.4, 0.6, 0.6], 2, False),
        ([0.5, 0.4, 0.6, 0.6, 0.5], 2, True),
        ([0.5] * 5, None, False),
        ([0.5] * 6, None, True),
    ],
)
def test_a_training_is_over_after_its_last_epoch_or_when_its_patience_has_ended(accuracies, patience, over):
    history = [
        Epoch(number, 6, *[0.0] * 5, accuracy)  # The rest is looked at by nobody.
        for number, accuracy in enumerate(accuracies, start=1)
    ]
    assert is_over(history, recipe(epochs=6, patience=patience)) == over


def test_training_learns_and_tells_the_watch_about_it(examples):
    epochs, steps = [], []
    watch = Watch(lambda state: epochs.append(state.history[-1]), lambda done, total: steps.append((done, total)))
    result = trained(examples, watch=watch, epochs=4)
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4]
    assert epochs == list(result.history)
    assert epochs[-1].loss < epochs[0].loss
    assert result.validation_accuracy > 0.8
    assert steps[-1] == (16, 16)


def test_the_training_accuracy_of_an_epoch_is_that_of_all_its_images(examples):
    result = trained(examples, network="baseline", epochs=1, batch_size=100, learning_rate=1e-12)
    training, _ = examples
    expected = np.mean(answer(result.model, training.images).probabilities.argmax(axis=1) == training.labels)
    assert result.history[0].accuracy == pytest.approx(expected)


def test_a_loss_that_is_not_finite_stops_training_and_names_the_epoch(examples):
    too_fast = recipe().model_copy(update={"learning_rate": 3e38})  # params.yaml may not ask for it.
    with pytest.raises(TrainingError, match="not finite in epoch 1"):
        train(Plan(too_fast, *examples, classes=3, seed=1), SILENT)


def test_weights_that_the_last_step_ruins_stop_training_too(examples):
    changes = {"learning_rate": 3e38, "epochs": 1, "batch_size": len(examples[0].labels)}
    with pytest.raises(TrainingError, match="not finite after epoch 1"):
        train(Plan(recipe().model_copy(update=changes), *examples, classes=3, seed=1), SILENT)


def test_early_stopping_ends_before_the_last_epoch(examples):
    result = trained(examples, epochs=40, patience=1, learning_rate=1e-9)
    assert len(result.history) < 40


def test_the_weights_of_the_best_epoch_are_kept(examples):
    # A rate this high makes accuracy jump up and down between epochs.
    result = trained(examples, network="baseline", epochs=6, learning_rate=0.03)
    assert result.validation_accuracy == max(epoch.validation_accuracy for epoch in result.history)


def test_the_one_cycle_rises_to_its_peak_and_falls_to_almost_nothing():
    rates = [float(OneCycle(0.01, 100, 0.2)(step)) for step in range(101)]
    assert max(rates) == rates[20] == pytest.approx(0.01)
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[100] == pytest.approx(1e-5)


def test_muon_moves_convolution_kernels_and_leaves_the_stem_and_the_logits_to_adamw():
    model = untrained("compact", (*SIZE, 1), 3)
    optimizer = ConvolutionalMuon(0.01)
    optimizer.build(model.trainable_variables)
    by_muon = {
        variable.path
        for variable, velocity in zip(model.trainable_variables, optimizer.adam_velocities, strict=True)
        if velocity is None
    }
    shapes = [tuple(variable.shape) for variable in model.trainable_variables if variable.path in by_muon]
    assert shapes == [(3, 3, 16, 32), (3, 3, 32, 80), (3, 3, 80, 128), (1152, 128)]


def test_a_muon_step_changes_all_directions_of_a_kernel_alike():
    """What Muon is for: the update of a kernel, as a matrix, has singular values close to each other."""
    kernel = keras.Variable(np.zeros((3, 3, 4, 8), np.float32))
    gradient = np.random.default_rng(0).normal(size=(3, 3, 4, 8)).astype(np.float32)
    optimizer = ConvolutionalMuon(0.1, weight_decay=0.0)
    optimizer.apply([keras.ops.convert_to_tensor(gradient)], [kernel])
    values = np.linalg.svd(keras.ops.convert_to_numpy(kernel).reshape(36, 8), compute_uv=False)
    assert values.max() / values.min() < 2
    assert np.linalg.cond(gradient.reshape(36, 8)) > 2
