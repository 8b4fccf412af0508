"""Untrained classifiers for tests, by what a recipe says about their layers."""

from typing import Any

import keras

from fashion.arrays import Shape
from fashion.model.networks import classifier
from fashion.params import Backbone, Recipe
from tests.backbones import SMALL


def untrained(network: str, shape: Shape, classes: int, **form: Any) -> keras.Model:
    """Build a classifier of a network, with the keys of a recipe that change its layers."""
    content = {"network": network, "epochs": 1, "batch_size": 32, "optimizer": "adam", "learning_rate": 0.001} | form
    if network == "pretrained":
        content = {"backbone": Backbone(**SMALL)} | content
    return classifier(Recipe.model_validate(content), shape, classes)
