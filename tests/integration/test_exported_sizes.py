"""`compact` for images that are larger, smaller or in colour is exported as it was built, in every format."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from fashion.adapters import exports, litert, onnx
from fashion.images.synthetic import draw
from fashion.model.networks import answer, rebuild
from tests.networks import untrained

SHAPES = [(64, 64, 3), (8, 8, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_export_of_an_image_size_answers_as_keras_does(shape, tmp_path):
    keras.utils.set_random_seed(1)
    model = rebuild(untrained("compact", shape, 3), temperature=1.2)
    images = np.repeat(draw(20, 3, shape[:2], 0)[0], shape[2], axis=3)
    exports.export_saved_model(model, tmp_path / "1")
    exports.export_litert(model, tmp_path / "model.tflite")
    exports.export_litert_int8(model, tmp_path / "model_int8.tflite", images)
    onnx.export_onnx(model, tmp_path / "model.onnx")
    expected = answer(model, images)
    assert exports.run_saved_model(tmp_path / "1", images) == pytest.approx(expected.probabilities, abs=1e-5)
    assert onnx.predict(tmp_path / "model.onnx", images) == pytest.approx(expected.probabilities, abs=1e-5)
    assert litert.predict(tmp_path / "model.tflite", images).embedding == pytest.approx(expected.embedding, abs=1e-4)
    int8 = litert.predict(tmp_path / "model_int8.tflite", images).embedding
    assert np.abs(int8 - expected.embedding).mean() < 0.1 * expected.embedding.std()


def test_the_int8_export_takes_raw_pixels_though_no_training_image_is_bright(tmp_path):
    model = rebuild(untrained("compact", (8, 8, 1), 3), temperature=1.0)
    images = draw(20, 3, (8, 8), 0)[0] // 2 + 10
    exports.export_litert_int8(model, tmp_path / "model_int8.tflite", images)
    (taken,) = Interpreter(str(tmp_path / "model_int8.tflite")).get_input_details()
    assert taken["quantization"] == (1.0, 0)
