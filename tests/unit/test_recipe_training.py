"""What each key of a recipe does to a training; a few steps on tiny drawn images."""

import json

import keras
import numpy as np
import pytest
from keras import layers

from fashion.arrays import LabelledImages
from fashion.images.synthetic import draw
from fashion.model.losses import balance, make_loss
from fashion.model.networks import answer, computing_in, rebuild
from fashion.model.optimizers import make_optimizer, make_schedule
from fashion.model.training import Plan, Watch, train
from fashion.params import Recipe, recipe_with
from tests.networks import untrained

SHAPE = (12, 12, 1)
CLASSES = 3
PLAIN = Recipe(network="baseline", epochs=1, batch_size=16, optimizer="adam", learning_rate=0.002)
LABELS = np.array([0, 1, 2, 2])
LOGITS = np.array([[2, 0, 1], [1, 3, 0], [0, 1, 1], [4, 0, 0]], np.float32)


@pytest.fixture(scope="module")
def examples():
    images, labels = draw(64, CLASSES, SHAPE[:2], 0)
    unequal = np.argsort(labels, kind="stable")[:40]  # Few images of the last class.
    return LabelledImages(images[unequal], labels[unequal]), LabelledImages(images[40:], labels[40:])


def plan_of(examples, recipe=PLAIN, **changes):
    return Plan(recipe_with(recipe, changes), *examples, classes=CLASSES, seed=1)


def trained(plan, on_epoch=lambda state: None):
    return train(plan, Watch(on_epoch, lambda done, total: None))


@pytest.fixture(scope="module")
def plain(examples):
    return trained(plan_of(examples))


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd"},
        {"optimizer": "rmsprop"},
        {"schedule": "cosine"},
        {"activation": "elu"},
        {"l2": 0.01},
        {"weight_decay": 0.1},
        {"class_weights": "balanced"},
        {"class_weights": "logit_adjusted"},
        {"one_hot": True, "label_smoothing": 0.1},
        {"augmentation.mirror": True},
        {"precision": "bfloat16"},
        # What each does to images, test_augmentation.py shows.
        {"augmentation.crop": 0.3, "augmentation.brightness": 0.3, "augmentation.contrast": 0.3},
    ],
    ids=lambda changes: list(changes)[-1],
)
def test_a_changed_key_changes_the_weights(examples, plain, changes):
    assert not same(trained(plan_of(examples, **changes)).model.get_weights(), plain.model.get_weights())


def same(one, two):
    return all(np.array_equal(*pair) for pair in zip(one, two, strict=True))


def original_compact(pixels):
    """`compact` as release 0.3 built it, line by line."""

    def convolution(features, channels):
        return layers.Conv2D(channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(features)

    def normalised(features):
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(features))

    features = layers.Conv2D(16, 3, padding="same", activation="relu", kernel_initializer="he_normal")(pixels)
    features = layers.MaxPooling2D(2)(features)
    features = normalised(layers.MaxPooling2D(2)(convolution(features, 32)))
    features = normalised(layers.MaxPooling2D(2)(convolution(features, 80)))
    features = normalised(convolution(features, 128))
    return normalised(layers.Dense(128, use_bias=False, kernel_initializer="he_normal")(layers.Flatten()(features)))


def original_dropout(pixels):
    """`dropout` as release 0.3 built it, line by line; its rates are looked at, too."""
    features = layers.MaxPooling2D(2)(layers.Conv2D(32, 3, activation="relu")(pixels))
    features = layers.Dropout(0.25)(features)
    features = layers.MaxPooling2D(2)(layers.Conv2D(64, 3, activation="relu")(features))
    features = layers.Flatten()(layers.Dropout(0.25)(features))
    features = layers.Dense(64, activation="relu")(features)
    return layers.Dropout(0.5)(features)


@pytest.mark.parametrize(("name", "original"), [("compact", original_compact), ("dropout", original_dropout)])
def test_a_network_without_changes_is_bit_for_bit_that_of_earlier_releases(name, original):
    shape, images = (28, 28, 1), draw(6, CLASSES, (28, 28), 0)[0]
    keras.utils.set_random_seed(5)
    ours = untrained(name, shape, CLASSES)
    keras.utils.set_random_seed(5)
    pixels = keras.Input(shape)
    embedding = original(pixels)
    inner = keras.Model(pixels, [embedding, layers.Dense(CLASSES)(embedding)], name="network")
    theirs = keras.Model(pixels, inner(pixels))
    assert same(ours.get_weights(), theirs.get_weights())
    rates = [[layer.rate for layer in kinds(model, layers.Dropout)] for model in (ours, theirs)]
    assert rates[0] == rates[1]
    expected = theirs.predict(images / 255, verbose=0)[0]
    assert np.allclose(ours.predict(images, verbose=0)["embedding"], expected, atol=1e-5)


def test_a_recipe_that_changes_images_in_no_new_way_draws_no_more_random_numbers(examples, plain):
    states = []
    plan = plan_of(examples, **{"augmentation.shift": 1})
    assert not same(trained(plan, states.append).model.get_weights(), plain.model.get_weights())
    expected = np.random.default_rng(plan.seed)
    expected.permutation(len(plan.training.labels))
    for _ in range(plan.steps):
        expected.integers(-1, 2, (2, 16))
    assert states[0].generator == expected.bit_generator.state


def network(model):
    return model.get_layer("network")


def kinds(model, kind):
    return [layer for layer in network(model).layers if isinstance(layer, kind)]


def test_width_multiplies_filters_and_hidden_units_and_leaves_the_logits():
    model = untrained("compact", SHAPE, CLASSES, width=0.5)
    assert [layer.filters for layer in kinds(model, layers.Conv2D)] == [8, 16, 40, 64]
    assert [layer.units for layer in kinds(model, layers.Dense)] == [64, CLASSES]


def test_depth_is_the_number_of_convolutions_in_each_block():
    model = untrained("compact", (28, 28, 1), CLASSES, depth=3)
    assert [layer.filters for layer in kinds(model, layers.Conv2D)] == [16, *[32] * 3, *[80] * 3, *[128] * 3]
    assert len(kinds(model, layers.MaxPooling2D)) == 3


def test_average_pooling_gives_the_hidden_layer_one_value_of_each_feature():
    every, mean = (untrained("compact", (64, 64, 3), CLASSES, pooling=one) for one in ("none", "average"))
    assert [len(kinds(model, layers.Flatten)) for model in (every, mean)] == [1, 0]
    assert [len(kinds(model, layers.GlobalAveragePooling2D)) for model in (every, mean)] == [0, 1]
    hidden = [kinds(model, layers.Dense)[0].kernel.shape for model in (every, mean)]
    assert hidden == [(16 * 128, 128), (128, 128)]


@pytest.mark.parametrize("name", ["baseline", "dropout", "compact"])
def test_the_activation_stands_in_the_configuration_that_is_saved(name):
    usual, other = (
        json.dumps(rebuild(untrained(name, SHAPE, CLASSES, activation=one), 1.0).get_config(), default=str)
        for one in ("relu", "silu")
    )
    assert "silu" not in usual
    assert "relu" not in other
    assert other.count("silu") == usual.count('"relu"') > 0


def test_dropout_is_the_share_that_training_leaves_out_and_answers_use_all():
    model = untrained("compact", SHAPE, CLASSES, dropout=0.3)
    (layer,) = kinds(model, layers.Dropout)
    assert (layer.name, layer.rate) == ("embedding", 0.3)
    assert not kinds(untrained("compact", SHAPE, CLASSES), layers.Dropout)
    ones = np.ones((1000, 10), np.float32)
    assert np.mean(np.asarray(layer(ones, training=True)) == 0) == pytest.approx(0.3, abs=0.03)
    assert np.array_equal(layer(ones, training=False), ones)
    rates = [one.rate for one in kinds(untrained("dropout", SHAPE, CLASSES, dropout=0.2), layers.Dropout)]
    assert rates == [0.1, 0.1, 0.2]


def test_another_form_survives_the_rebuilding_that_calibrates(examples):
    shaped = plan_of(examples, network="compact", width=0.25, depth=2, activation="elu", dropout=0.2, average_shifts=1)
    model = trained(shaped).model
    assert [layer.filters for layer in kinds(model, layers.Conv2D)] == [4, 8, 8, 20, 20, 32, 32]
    assert kinds(model, layers.Dropout)[0].rate == 0.2
    assert model.name == "compact"


def optimizer(**changes):
    return configuration(make_optimizer(recipe_with(PLAIN, changes), 100))


def configuration(made):
    """Without the name, which Keras numbers."""
    return {key: value for key, value in made.get_config().items() if key != "name"} | {"kind": type(made).__name__}


def test_bfloat16_is_for_training_alone_and_the_model_answers_in_float32(examples, plain):
    model = trained(plan_of(examples, precision="bfloat16")).model
    assert keras.config.dtype_policy().name == "float32"
    assert {layer.compute_dtype for layer in [*model.layers, *network(model).layers]} == {"float32"}
    assert {weight.dtype for weight in model.weights} == {"float32"}
    # It learned what the same recipe learns in float32, up to the rounding of eight bits.
    for one, other in zip(model.get_weights(), plain.model.get_weights(), strict=True):
        assert np.allclose(one, other, atol=0.02)


def test_layers_built_for_bfloat16_compute_in_it_but_for_the_logits():
    with computing_in("bfloat16"):
        model = untrained("compact", SHAPE, CLASSES)
    dtypes = {layer.name: layer.compute_dtype for layer in network(model).layers}
    assert dtypes.pop("logits") == "float32"
    assert set(dtypes.values()) == {"bfloat16"}
    assert {weight.dtype for weight in model.weights} == {"float32"}


def test_each_optimizer_has_what_the_recipe_says():
    assert optimizer() == configuration(keras.optimizers.Adam(0.002))
    assert optimizer(optimizer="sgd") == configuration(keras.optimizers.SGD(0.002))
    sgd = optimizer(optimizer="sgd", momentum=0.9, nesterov=True)
    assert (sgd["kind"], sgd["momentum"], sgd["nesterov"]) == ("SGD", 0.9, True)
    assert optimizer(optimizer="rmsprop")["kind"] == "RMSprop"
    for name in ("adam", "sgd", "rmsprop", "muon"):
        assert optimizer(optimizer=name, weight_decay=0.1)["weight_decay"] == 0.1


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("cosine", [1, 0.8536, 0.5, 0.1464, 0]),
        ("exponential", [1, 10**-0.5, 0.1, 10**-1.5, 0.01]),
        ("step", [1, 1, 1, 0.1, 0.01]),
    ],
)
def test_a_schedule_changes_the_learning_rate_over_all_steps(schedule, expected):
    rate = make_schedule(recipe_with(PLAIN, {"schedule": schedule}), 100)
    found = [float(rate(step)) if callable(rate) else rate for step in (0, 25, 50, 75, 100)]
    if schedule == "step":
        found[3] = float(rate(74))
    assert found == pytest.approx([0.002 * share for share in expected], rel=1e-3, abs=1e-9)


def test_a_schedule_of_a_single_step_has_a_rate_above_zero():
    for schedule in ("one_cycle", "cosine", "exponential", "step"):
        assert float(make_schedule(recipe_with(PLAIN, {"schedule": schedule}), 1)(0)) > 0


def test_l2_adds_the_squares_of_all_kernels_to_the_loss_of_training_alone(examples):
    found = trained(plan_of(examples, l2=0.01, learning_rate=1e-12, batch_size=40))  # The weights stay where they are.
    kernels = [weights for weights in found.model.get_weights() if weights.ndim > 1]
    squares = sum(float((kernel.astype(np.float64) ** 2).sum()) for kernel in kernels)
    entropies = [each_loss(one.labels, answer(found.model, one.images).logits).mean() for one in examples]
    assert len(kernels) == 4
    assert squares > 10
    assert found.history[0].loss == pytest.approx(entropies[0] + 0.01 * squares, rel=1e-4)
    assert found.history[0].validation_loss == pytest.approx(entropies[1], rel=1e-4)


def test_balanced_weights_are_inverse_to_the_frequency_and_one_in_the_mean():
    labels = np.repeat([0, 1, 3], [60, 30, 10]).astype(np.uint8)
    weights = balance(np.bincount(labels, minlength=4))
    assert weights[[0, 1, 3]] == pytest.approx([100 / 180, 100 / 90, 100 / 30])
    assert weights[labels].mean() == pytest.approx(1)


def each_loss(labels=LABELS, logits=LOGITS):
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]


@pytest.mark.parametrize("one_hot", [False, True])
def test_the_loss_for_an_image_is_weighted_by_its_class(one_hot):
    counts, weights = np.array([20, 10, 40]), np.array([70 / 60, 70 / 30, 70 / 120])
    recipe = recipe_with(PLAIN, {"one_hot": one_hot, "class_weights": "balanced"})
    for labels in (LABELS, LABELS[:, None].astype(np.uint8)):
        plain, weighted = (float(make_loss(recipe, CLASSES, one)(labels, LOGITS)) for one in (None, counts))
        assert plain == pytest.approx(each_loss().mean())
        assert weighted == pytest.approx((each_loss() * weights[LABELS]).mean())


@pytest.mark.parametrize("one_hot", [False, True])
def test_adjusted_logits_are_raised_by_the_logarithm_of_their_classes_share(one_hot):
    recipe = recipe_with(PLAIN, {"one_hot": one_hot, "class_weights": "logit_adjusted"})
    raised = LOGITS + np.log(np.array([20, 10, 40]) / 70)
    for labels in (LABELS, LABELS[:, None].astype(np.uint8)):
        adjusted = float(make_loss(recipe, CLASSES, np.array([20, 10, 40]))(labels, LOGITS))
        assert adjusted == pytest.approx(each_loss(logits=raised).mean(), rel=1e-6)


def test_with_adjusted_logits_who_knows_nothing_loses_least_by_equal_logits():
    counts = np.array([160, 60, 20])
    labels = np.repeat(range(CLASSES), counts)
    loss = make_loss(recipe_with(PLAIN, {"class_weights": "logit_adjusted"}), CLASSES, counts)
    always = [np.tile(one, (len(labels), 1)) for one in (*np.eye(3), *-np.eye(3))]
    equal, *leaning = (float(loss(labels, logits.astype(np.float32))) for logits in (np.zeros((240, 3)), *always))
    assert equal < min(leaning)


def test_label_smoothing_divides_its_share_among_all_classes():
    smoothed = float(make_loss(recipe_with(PLAIN, {"one_hot": True, "label_smoothing": 0.3}), CLASSES)(LABELS, LOGITS))
    targets = np.eye(CLASSES)[LABELS] * 0.7 + 0.1
    likelihoods = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    assert smoothed == pytest.approx(-(targets * likelihoods).sum(axis=1).mean())


def test_early_stopping_keeps_the_weights_of_the_best_epoch(examples):
    states = []
    # Nothing is learned at this rate, so that the first epoch stays the best.
    found = trained(plan_of(examples, epochs=9, patience=2, learning_rate=1e-9), states.append)
    assert len(found.history) == 3
    assert same(found.model.get_weights(), states[0].best_weights)
    assert not same(states[-1].variables, states[0].variables)
