"""TensorFlow's export formats of a Keras model: SavedModel for TF Serving, LiteRT float and full int8."""

import contextlib
import io
import math
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from fashion.arrays import Bytes
from fashion.model.networks import MOST_PIXELS
from fashion.quiet import quiet_standard_error
from fashion.storage import atomic_file

BATCH, TIMED_CALLS = 1000, 200
"""Images answered at a time, of large ones fewer, as `MOST_PIXELS` says; and calls of which the median is taken."""


def export_saved_model(model: keras.Model, folder: Path) -> None:
    """Write a SavedModel with named input and outputs into `folder`, a version folder of TF Serving."""
    with _silent():
        model.export(str(folder), format="tf_saved_model", verbose=False)


def run_saved_model(folder: Path, images: Bytes) -> NDArray[np.float32]:
    """Return probabilities (n, classes) from the signature that TF Serving calls."""
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    size = max(1, min(BATCH, MOST_PIXELS // math.prod(images.shape[1:3])))
    batches = [
        serve(image=tf.constant(images[start : start + size]))["probabilities"].numpy()
        for start in range(0, len(images), size)
    ]
    return np.concatenate(batches)


def saved_model_latency(folder: Path, image: Bytes) -> float:
    """Return the median milliseconds for one image (1, height, width, channels) through the serving signature."""
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    tensor = tf.constant(image)
    times = []
    for _ in range(TIMED_CALLS + 1):
        start = time.perf_counter()
        serve(image=tensor)
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]) * 1000)


def export_litert(model: keras.Model, path: Path) -> None:
    """Write a float32 LiteRT model that takes the same uint8 images."""
    with _silent():
        converted = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    _write(path, converted)


def export_litert_int8(model: keras.Model, path: Path, representative: Bytes) -> None:
    """Write a LiteRT model whose weights and activations are all 8 bit; inputs and outputs are uint8, too.

    Args:
        representative: training images, from which the ranges of the activations are measured.
    """
    # The quantiser cannot calibrate a cast from uint8, so it gets the same network with a float input; with scale 1
    # and zero point 0 the quantised input is the raw pixels again. The scale is 1/255 of the brightest pixel.
    representative = representative.copy()
    representative.flat[representative.argmax()] = 255
    image = keras.Input(model.input_shape[1:], dtype="float32", name="image")
    floating = keras.models.clone_model(model, input_tensors=image)
    floating.set_weights(model.get_weights())
    converter = tf.lite.TFLiteConverter.from_keras_model(floating)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[np.newaxis].astype(np.float32)] for image in representative)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    with _silent():
        converted = converter.convert()
    _write(path, converted)


def _write(path: Path, content: bytes) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Silence the converters, which print a dozen lines per call and warn of the float ranges that they find."""
    with contextlib.redirect_stdout(io.StringIO()), quiet_standard_error(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Statistics for quantized inputs")
        yield
