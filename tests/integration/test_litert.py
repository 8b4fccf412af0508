"""The LiteRT adapter against models that TensorFlow's converter made."""

import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from fashion.adapters import litert
from fashion.errors import ArtifactError
from tests.litert_models import band_images, write_band_model, write_int8_band_model

SIZE, CLASSES = (12, 9), 5
IMAGES = band_images(23, SIZE, CLASSES)
CLASS_OF_IMAGES = np.arange(23) % CLASSES


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "float": write_band_model(folder / "float.tflite", SIZE, CLASSES),
        "uint8": write_int8_band_model(folder / "uint8.tflite", SIZE, CLASSES, tf.uint8),
        "int8": write_int8_band_model(folder / "int8.tflite", SIZE, CLASSES, tf.int8),
        "no embedding": write_band_model(folder / "plain.tflite", SIZE, CLASSES, embedding=False),
    }


def test_a_float_model_gives_probabilities_and_embeddings(models):
    outputs = litert.predict(models["float"], IMAGES)
    assert outputs.probabilities.shape == (23, CLASSES)
    assert outputs.probabilities.dtype == outputs.embedding.dtype == np.float32
    np.testing.assert_allclose(outputs.probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(outputs.probabilities.argmax(axis=1), CLASS_OF_IMAGES)
    expected = np.repeat(IMAGES.reshape(23, -1).sum(axis=1, keepdims=True) / 255, 4, axis=1)
    np.testing.assert_allclose(outputs.embedding, expected, rtol=1e-4)


def test_batches_do_not_change_what_is_predicted(models):
    whole, parts = (litert.predict(models["float"], IMAGES, batch_size=size) for size in (100, 10))
    np.testing.assert_allclose(whole.probabilities, parts.probabilities, atol=1e-6)
    np.testing.assert_allclose(whole.embedding, parts.embedding, rtol=1e-5)


@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_the_answers_of_a_quantised_model_are_brought_back_to_probabilities(models, kind):
    exact = litert.predict(models["float"], IMAGES)
    rounded = litert.predict(models[kind], IMAGES)
    assert rounded.probabilities.dtype == np.float32
    np.testing.assert_allclose(rounded.probabilities, exact.probabilities, atol=0.02)
    np.testing.assert_allclose(rounded.embedding, exact.embedding, rtol=0.05)


def test_a_model_without_an_embedding_has_none(models):
    outputs = litert.predict(models["no embedding"], IMAGES)
    assert outputs.embedding.shape == (len(IMAGES), 0)
    np.testing.assert_array_equal(outputs.probabilities.argmax(axis=1), CLASS_OF_IMAGES)


def test_the_latencies_of_models_that_take_turns_have_a_row_a_model(models):
    times = litert.latencies([models["float"], models["float"]], IMAGES[:1], repeats=30)
    assert times.shape == (2, 30)
    assert (times > 0).all()


def test_the_latency_is_that_of_one_call_in_milliseconds(models):
    start = time.perf_counter()
    latency = litert.latency(models["float"], IMAGES[:1], repeats=20)
    elapsed = 1000 * (time.perf_counter() - start)
    # Ten of twenty calls took as long as the median or longer; none takes less than half a microsecond.
    assert 0.0005 < latency < elapsed / 10


def test_images_that_may_not_be_written_to_are_read(models, tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    np.testing.assert_array_equal(litert.predict(models["float"], mapped).probabilities.argmax(axis=1), CLASS_OF_IMAGES)


@pytest.mark.parametrize("kept", [0, 10, 1000])
def test_a_damaged_model_is_named_in_one_line(models, tmp_path, kept):
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(models["float"].read_bytes()[:kept])
    with pytest.raises(ArtifactError, match=r"damaged\.tflite cannot be run") as caught:
        litert.predict(damaged, IMAGES)
    assert "\n" not in str(caught.value)


def test_a_model_is_tried_in_another_process_once_and_again_when_its_content_changes(models, tmp_path, monkeypatch):
    commands, run = [], subprocess.run
    monkeypatch.setattr(
        subprocess, "run", lambda command, **options: commands.append(command) or run(command, **options)
    )
    copy = tmp_path / "copy.tflite"
    for kind in ("float", "float", "no embedding", "float"):
        copy.write_bytes(models[kind].read_bytes() + b"\0\0\0\0")  # No other test has opened these.
        litert.predict(copy, IMAGES)
    assert len(commands) == 2


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"missing\.tflite"):
        litert.predict(tmp_path / "missing.tflite", IMAGES)


def test_images_of_another_size_are_refused_with_both_sizes(models):
    with pytest.raises(ArtifactError, match=r"\(12, 9, 1\).*\(28, 28, 1\)"):
        litert.predict(models["float"], np.zeros((1, 28, 28, 1), np.uint8))


def test_a_model_with_other_names_is_refused_with_the_names_it_has(tmp_path):
    names = tf.keras.Sequential([tf.keras.Input((3,), name="numbers"), tf.keras.layers.Dense(2, name="answers")])
    (tmp_path / "other.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(names).convert())
    with pytest.raises(ArtifactError, match="numbers"):
        litert.predict(tmp_path / "other.tflite", IMAGES)


def test_a_process_that_predicts_prints_nothing_and_does_not_import_tensorflow(models, tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    program = (
        "import sys, numpy, pathlib\nfrom fashion.adapters import litert\n"
        f"images = numpy.load({str(tmp_path / 'images.npy')!r})\n"
        f"litert.predict(pathlib.Path({str(models['float'])!r}), images)\n"
        "assert 'tensorflow' not in sys.modules\n"
        "sys.stderr.write('still heard')\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "still heard")
