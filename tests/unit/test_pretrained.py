"""The network `pretrained`: what its backbones see, and the order in which it is trained."""

from dataclasses import replace
from typing import get_args

import keras
import numpy as np
import pytest
from keras import applications, layers

from fashion.arrays import LabelledImages
from fashion.images.synthetic import draw
from fashion.model import head
from fashion.model.backbones import BACKBONES, _resized, build_backbone, take_backbone
from fashion.model.networks import answer, classifier, computing_in, rebuild
from fashion.model.steps import count_steps
from fashion.model.training import Plan, Watch, train
from fashion.params import Backbone, Recipe
from tests.backbones import FEATURES, NAME, SMALL, SMALL_BACKBONE, settle
from tests.networks import untrained

PREPROCESSING = {
    "MobileNetV3Small": applications.mobilenet_v3,
    "MobileNetV3Large": applications.mobilenet_v3,
    "MobileNetV2": applications.mobilenet_v2,
    "EfficientNetV2B0": applications.efficientnet_v2,
}
SILENT = Watch(on_epoch=lambda state: None, on_step=lambda done, total: None)


def test_a_recipe_may_name_every_backbone_and_no_other():
    assert set(get_args(Backbone.model_fields["name"].annotation)) == set(BACKBONES) == set(PREPROCESSING)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_sees_what_keras_prepares_for_it_and_its_file_is_where_keras_looks(name, monkeypatch):
    keras.utils.set_random_seed(3)
    published = settle(build_backbone(name))
    model = untrained("pretrained", (96, 96, 3), 4, backbone=Backbone(**SMALL | {"name": name}))
    take_backbone(model, published)
    patches = np.random.default_rng(0).integers(0, 256, (1, 6, 6, 3), dtype=np.uint8)
    image = patches.repeat(16, axis=1).repeat(16, axis=2)
    expected = published(PREPROCESSING[name].preprocess_input(image.astype(np.float32)), training=False)
    pooled = keras.ops.convert_to_numpy(expected).mean(axis=(1, 2))
    assert 0.01 < pooled.std() < 10  # Something comes out, or all would be alike.
    assert keras.ops.convert_to_numpy(model(image)["embedding"]) == pytest.approx(pooled, rel=1e-3, abs=1e-3)
    asked = []

    def get_file(file, address, **_):
        asked.append((file, address))
        raise FileNotFoundError

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", get_file)
    with pytest.raises(FileNotFoundError):
        BACKBONES[name].build(include_top=False, weights="imagenet")
    assert asked == [(BACKBONES[name].file, BACKBONES[name].address)]


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ((28, 28), (96, 96)),
        ((96, 224), (96, 224)),
        ((8, 1024), (96, 224)),
        ((300, 447), (224, 224)),
        ((500, 90), (224, 96)),
    ],
    ids=str,
)
def test_a_backbone_sees_at_least_96_and_at_most_224_pixels_a_side(size, seen):
    assert _resized(keras.Input((*size, 3))).shape[1:3] == seen


def test_a_large_image_is_averaged_and_no_pixel_is_missed():
    stripes = np.zeros((1, 896, 224, 3), np.float32)
    stripes[:, ::4] = 1
    pixels = keras.Input(stripes.shape[1:])
    assert np.unique(keras.Model(pixels, _resized(pixels))(stripes)) == pytest.approx([0.25])


# From here on with a backbone of four layers: whatever it is built on, the network is trained in this order.


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr("fashion.model.backbones.BACKBONES", {NAME: SMALL_BACKBONE})
    keras.utils.set_random_seed(7)
    return build_backbone(NAME)


@pytest.fixture(scope="module")
def examples():
    images, labels = draw(170, 3, (28, 28), 0)
    return LabelledImages(images[:120], labels[:120]), LabelledImages(images[120:], labels[120:])


def recipe(**changes):
    usual = {"network": "pretrained", "epochs": 2, "batch_size": 32, "optimizer": "adam", "learning_rate": 0.01}
    return Recipe(**({"backbone": Backbone(**SMALL)} | usual | changes))


def trained(examples, backbone, watch=SILENT, seed=1, **changes):
    return train(Plan(recipe(**changes), *examples, classes=3, seed=seed, backbone=backbone), watch)


def inner(model):
    return model.get_layer("network")


def weights_of(model, name):
    return inner(model).get_layer(name).get_weights()


BODY = ("stem", "stem_bn", "last")


def same(one, two):
    return all(np.array_equal(*pair) for pair in zip(one, two, strict=True))


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 40, 3)], ids=str)
def test_it_takes_raw_images_and_computes_in_float32_after_training_in_bfloat16(small, shape):
    with computing_in("bfloat16"):
        model = untrained("pretrained", shape, 3, dropout=0.5)
    assert inner(model).get_layer("last").compute_dtype == "bfloat16"
    again = rebuild(model, 1.0)
    assert {layer.compute_dtype for layer in inner(again).layers} == {"float32"}
    outputs = answer(again, np.full((2, *shape), 200, np.uint8))
    assert (outputs.embedding.shape, outputs.probabilities.shape) == ((2, FEATURES), (2, 3))
    assert outputs.embedding.dtype == np.float32
    assert isinstance(inner(model).layers[-2], layers.Dropout)


def test_the_head_learns_first_and_the_backbone_stays_as_it_is(small, examples):
    keras.utils.set_random_seed(1)
    lasting = recipe(backbone=Backbone(**SMALL | {"head_epochs": None}))
    model = classifier(lasting, (28, 28, 1), 3)
    take_backbone(model, small)
    images, labels = examples[0].images, examples[0].labels
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    before, steps = float(loss(labels, answer(model, images).logits)), []
    found = head.learn_head(model, head.Lesson(lasting, *examples, loss, 1), steps.append)
    assert float(loss(labels, answer(model, images).logits)) < before - 0.03
    assert all(same(weights_of(model, name), small.get_layer(name).get_weights()) for name in BODY)
    validation = examples[1]
    right = answer(model, validation.images).logits.argmax(axis=1) == validation.labels
    assert found.validation_accuracy == pytest.approx(right.mean())
    assert (found.images, found.epochs) == (120, 334)  # Of three steps each, a thousand in all.
    assert steps == list(range(1, head.count_head_steps(lasting, *examples) + 1))


def test_of_more_images_than_features_may_be_kept_of_some_are_drawn(small, examples, monkeypatch):
    monkeypatch.setattr(head, "MOST_FEATURES", 50 * FEATURES)
    assert trained(examples, small, epochs=1).head.images == 50


def test_everything_but_the_batch_normalisation_is_fine_tuned(small, examples):
    result = trained(examples, small)
    assert same(weights_of(result.model, "stem_bn"), small.get_layer("stem_bn").get_weights())
    for name in ("stem", "last"):
        assert not same(weights_of(result.model, name), small.get_layer(name).get_weights())
    assert (result.head.images, result.head.epochs) == (120, 20)


@pytest.mark.parametrize("changes", [{}, {"dropout": 0.3, "optimizer": "muon", "class_weights": "balanced"}], ids=str)
def test_the_same_seed_gives_the_same_weights_interrupted_or_not(small, examples, changes):
    kept, heads, steps = [], [], []

    def interrupt(done, total):
        steps.append((done, total))
        if done == total - 1:
            raise KeyboardInterrupt

    undisturbed = trained(examples, small, **changes)
    with pytest.raises(KeyboardInterrupt):
        trained(examples, small, Watch(kept.append, interrupt, on_head=heads.append), **changes)
    assert len(kept) == len(heads) == 1
    assert steps == [(done, 23 + 6) for done in range(1, 23 + 6)]  # 2 + 1 batches, 20 epochs of the head; 2 of 3 steps
    untold = Watch(lambda state: None, lambda done, total: None, kept[0], lambda _: pytest.fail("the head again"))
    resumed = trained(examples, small, untold, **changes)
    assert same(resumed.model.get_weights(), undisturbed.model.get_weights())
    assert resumed.head == heads[0]
    if not changes:
        assert not same(trained(examples, small, seed=2).model.get_weights(), undisturbed.model.get_weights())


def test_what_the_head_costs_changes_no_network_that_has_none(examples):
    compact = recipe(network="compact", backbone=None)
    assert head.count_head_steps(compact, *examples) == 0
    assert (count_steps(recipe(), 120, 3).doubt, count_steps(compact, 120, 3).doubt is None) == (None, False)


def test_a_plan_without_the_backbone_of_its_recipe_is_refused(small, examples):
    with pytest.raises(ValueError, match="needs the backbone that its recipe names"):
        trained(examples, None)
    plan = Plan(recipe(), *examples, 3, 1, backbone=small)
    with pytest.raises(ValueError, match="and no other"):
        replace(plan, recipe=recipe(network="compact", backbone=None))
