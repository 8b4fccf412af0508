"""Every activation that a recipe may name is exported as it was trained: SavedModel, LiteRT, and LiteRT of 8 bits."""

from typing import get_args

import keras
import numpy as np
import pytest
from keras import layers

from fashion.adapters import exports, litert
from fashion.images.synthetic import draw
from fashion.params import Recipe
from tests.networks import untrained

ACTIVATIONS = get_args(Recipe.model_fields["activation"].annotation)
SHAPE = (12, 12, 1)


def all_in_one():
    """A network of each activation side by side, since each export takes seconds. The embedding shows them apart."""
    keras.utils.set_random_seed(1)
    image = keras.Input(SHAPE, dtype="uint8", name="image")
    configurations = {one: untrained("baseline", SHAPE, 3, activation=one).get_config() for one in ACTIVATIONS}
    answers = [keras.Model.from_config(one | {"name": name})(image) for name, one in configurations.items()]
    probabilities = layers.Average(name="probabilities")([one["probabilities"] for one in answers])
    embedding = layers.Concatenate(name="embedding")([one["embedding"] for one in answers])
    return keras.Model(image, {"probabilities": probabilities, "embedding": embedding})


def test_every_export_computes_every_activation_as_keras_does(tmp_path):
    model, images = all_in_one(), draw(40, 3, SHAPE[:2], 0)[0]
    expected = model.predict_on_batch(images)
    exports.export_saved_model(model, tmp_path / "1")
    exports.export_litert(model, tmp_path / "model.tflite")
    exports.export_litert_int8(model, tmp_path / "model_int8.tflite", images)
    assert exports.run_saved_model(tmp_path / "1", images) == pytest.approx(expected["probabilities"], abs=1e-5)
    names = ("model.tflite", "model_int8.tflite")
    floating, int8 = (litert.predict(tmp_path / name, images).embedding for name in names)
    assert floating == pytest.approx(expected["embedding"], abs=1e-5)
    for activation, found, wanted in zip(
        ACTIVATIONS, *(np.split(one, len(ACTIVATIONS), axis=1) for one in (int8, expected["embedding"])), strict=True
    ):
        assert np.abs(found - wanted).mean() < 0.1 * wanted.std(), activation
