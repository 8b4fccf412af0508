"""A network starts with the weights of another where its layers are the same, and says which are not."""

import keras
import numpy as np
import pytest

from fashion.arrays import LabelledImages
from fashion.errors import TrainingError
from fashion.images.synthetic import draw
from fashion.model.networks import rebuild
from fashion.model.training import Plan, Watch, train
from fashion.model.transfer import find_fit, take_weights
from fashion.params import Recipe
from tests.networks import untrained

SHAPE = (16, 16, 1)


def network(shape=SHAPE, classes=3, seed=1, name="compact", **form):
    keras.utils.set_random_seed(seed)
    return untrained(name, shape, classes, **form)


def kernels(model):
    return {
        layer.kernel.shape: layer.kernel.numpy()
        for layer in model.get_layer("network").layers
        if hasattr(layer, "kernel")
    }


def test_the_same_network_takes_every_weight():
    model, source = network(seed=1), rebuild(network(seed=2), temperature=2.0, average_shifts=1)
    fit = take_weights(model, source)
    assert not fit.new
    pairs = zip(model.get_weights(), source.get_weights(), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


def test_with_another_number_of_classes_the_head_alone_is_new():
    model, source = network(classes=4), network(classes=3, seed=2)
    before = kernels(model)[128, 4]
    fit = take_weights(model, source)
    assert fit.new == ("the head for 4 classes",)
    after = kernels(model)
    assert np.array_equal(after[128, 4], before)
    assert all(np.array_equal(after[shape], kernels(source)[shape]) for shape in after if shape != (128, 4))


def test_images_of_another_size_and_in_colour_take_the_convolutions_that_fit_and_say_what_does_not():
    fit = find_fit(network(shape=(64, 64, 3), classes=9), network(shape=(28, 28, 1), classes=10))
    assert str(fit) == (
        "taken: convolution of 3 x 3 from 16 to 32, convolution of 3 x 3 from 80 to 128; at random: convolution of 3 x "
        "3 from 3 to 16, convolution of 3 x 3 from 32 to 64, convolution of 3 x 3 from 64 to 80, dense layer from 2048 "
        "to 128, the head for 9 classes"
    )


def test_a_layer_is_taken_from_the_same_place_of_a_deeper_network_in_order():
    fit = find_fit(network(depth=2), network(depth=1))
    assert len(fit.taken) == 6
    assert len(fit.new) == 3


@pytest.mark.parametrize("changes", [{"width": 0.5}, {"name": "baseline", "shape": (28, 28, 1)}], ids=str)
def test_a_network_with_no_such_layer_is_refused_in_one_line(changes):
    with pytest.raises(TrainingError, match=r"no layer of this network .* has the size of one") as caught:
        find_fit(network(), network(**changes))
    assert "\n" not in str(caught.value)


def test_a_training_starts_with_the_weights_that_it_is_given():
    images, labels = draw(80, 3, SHAPE[:2], 0)
    recipe = Recipe(network="compact", epochs=1, batch_size=40, optimizer="adam", learning_rate=1e-9)
    examples = LabelledImages(images[:40], labels[:40]), LabelledImages(images[40:], labels[40:])
    source = network(seed=7)
    plan = Plan(recipe, *examples, classes=3, seed=1, start=source)
    trained = train(plan, Watch(lambda state: None, lambda done, total: None))
    assert trained.fit == find_fit(source, source)
    found, wanted = kernels(trained.model), kernels(source)
    assert all(np.allclose(found[shape], wanted[shape], atol=1e-6) for shape in wanted)
