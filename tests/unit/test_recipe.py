"""The keys of a recipe: what is refused, with what to write instead, and how a search changes them."""

from typing import get_args

import pytest

from fashion.errors import ParamsError
from fashion.model.architectures import NETWORKS
from fashion.params import TAKES, Recipe, recipe_with
from fashion.params.recipe import SHAPING

PLAIN = Recipe(network="compact", epochs=2, batch_size=64, optimizer="adam", learning_rate=0.002)
BACKBONE = {"name": "MobileNetV2", "path": "data/backbones/a.h5", "sha256": "0" * 64, "head_epochs": None}
VALUES = {"width": 2.0, "depth": 2, "pooling": "average", "activation": "elu", "dropout": 0.3}


def test_the_table_of_what_a_network_takes_names_every_network_and_no_other_key():
    assert set(TAKES) == set(NETWORKS) == set(get_args(Recipe.model_fields["network"].annotation))
    assert set(SHAPING) == set(VALUES) == {key for keys in TAKES.values() for key in keys}


@pytest.mark.parametrize("network", TAKES)
@pytest.mark.parametrize("key", VALUES)
def test_a_key_that_a_network_does_not_take_is_refused_with_the_networks_that_do(network, key):
    recipe = recipe_with(PLAIN, {"network": network} | ({"backbone": BACKBONE} if network == "pretrained" else {}))
    if key in TAKES[network]:
        assert getattr(recipe_with(recipe, {key: VALUES[key]}), key) == VALUES[key]
        return
    with pytest.raises(ParamsError) as error:
        recipe_with(recipe, {key: VALUES[key]})
    assert f"{key}: the network {network} does not take it; remove {key}, or write network: " in str(error.value)
    assert "network: compact" in str(error.value)


@pytest.mark.parametrize("key", ["width", "depth", "pooling", "activation", "dropout"])
def test_a_key_that_says_what_is_so_anyway_is_no_error(key):
    assert recipe_with(PLAIN, {"network": "baseline", key: Recipe.model_fields[key].default}).network == "baseline"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"momentum": 0.9}, "momentum: adam does not take it; remove momentum, or write optimizer: sgd"),
        ({"optimizer": "muon", "nesterov": True}, "nesterov: muon does not take it"),
        ({"optimizer": "rmsprop", "momentum": 0.9}, "momentum: rmsprop does not take it"),
        ({"optimizer": "sgd", "nesterov": True}, "remove nesterov, or write momentum: 0.9"),
        ({"label_smoothing": 0.1}, "label_smoothing needs one_hot: true"),
        ({"schedule": "one_cycle", "patience": 2}, "remove patience, or set schedule: constant"),
        ({"schedule": "cosine", "patience": 2}, "patience: a cosine schedule"),
        ({"network": "pretrained"}, "needs one; to have it written, type: fashion backbone"),
        ({"backbone": BACKBONE}, "the network compact does not take it; remove backbone, or write network: pretrained"),
        ({"network": "pretrained", "backbone": BACKBONE | {"path": "../a.h5"}}, "backbone.path: String should match"),
        ({"network": "pretrained", "backbone": BACKBONE | {"name": "VGG16"}}, "backbone.name: Input should be 'Mob"),
        ({"backbone.head_epochs": 3}, "a recipe has no section backbone, only augmentation"),
        ({"optimizer": "adamw"}, "optimizer: Input should be 'adam', 'sgd', 'rmsprop' or 'muon' (found 'adamw')"),
        ({"activation": "relu6"}, "activation: Input should be"),
        ({"width": 0.0}, "width: Input should be greater than or equal to 0.1"),
        ({"dropout": 1.0}, "dropout: Input should be less than 1"),
        ({"depth": 1.5}, "depth: Input should be a valid integer"),
        ({"class_weights": True}, "class_weights: Input should be 'none', 'balanced' or 'logit_adjusted'"),
        ({"augmentation.crop": 1.0}, "augmentation.crop: Input should be less than 1"),
        ({"augmentation.mirror": 1}, "augmentation.mirror: Input should be a valid boolean"),
        ({"augmentation.shfit": 1}, "augmentation.shfit: unknown key; did you mean shift?"),
        ({"augmentations.shift": 1}, "a recipe has no section augmentations, only augmentation"),
        ({"learning_rate.start": 1}, "a recipe has no section learning_rate, only augmentation"),
    ],
)
def test_what_is_impossible_is_refused_with_what_to_write(changes, complaint):
    with pytest.raises(ParamsError) as error:
        recipe_with(PLAIN, changes)
    assert complaint in str(error.value)


def test_all_contradictions_are_named_at_once():
    with pytest.raises(ParamsError) as error:
        recipe_with(PLAIN, {"network": "baseline", "width": 2, "momentum": 0.9, "label_smoothing": 0.1})
    assert all(f"{key}" in str(error.value) for key in ("width: ", "momentum: ", "label_smoothing needs"))


def test_a_dotted_name_changes_one_key_of_a_section_and_leaves_the_recipe_alone():
    shifted = recipe_with(PLAIN, {"augmentation.shift": 2})
    both = recipe_with(shifted, {"augmentation.mirror": True, "learning_rate": 0.01})
    assert (both.augmentation.shift, both.augmentation.mirror, both.learning_rate) == (2, True, 0.01)
    assert (shifted.augmentation.mirror, shifted.learning_rate) == (False, 0.002)
    assert PLAIN.augmentation.shift == 0
