"""LiteRT models whose answers are known: class k for an image that is bright in its k-th band."""

import contextlib
import io
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


def band_images(count: int, size: tuple[int, int], classes: int) -> NDArray[np.uint8]:
    """`count` grey images (n, height, width, 1); image i is bright in band i modulo the classes."""
    images = np.zeros((count, *size, 1), np.uint8)
    edges = np.linspace(0, size[0], classes + 1).astype(int)
    for number, image in enumerate(images):
        band = number % classes
        image[edges[band] : edges[band + 1]] = 200 + number % 50
    return images


def write_band_model(
    path: Path, size: tuple[int, int], classes: int, embedding: bool = True, sees_from: float = 0.0
) -> Path:
    """A float model from uint8 `image` to `probabilities` and, if wanted, a 4-dimensional `embedding`.

    Args:
        sees_from: what is darker, as a share of white, is black to it.
    """
    network = _network(size, classes, "uint8", embedding, sees_from)
    path.write_bytes(_convert(tf.lite.TFLiteConverter.from_keras_model(network)))
    return path


def write_int8_band_model(path: Path, size: tuple[int, int], classes: int, kind: tf.DType) -> Path:
    """The same in 8 bits throughout, with input and outputs of `kind` (tf.uint8 or tf.int8)."""
    converter = tf.lite.TFLiteConverter.from_keras_model(_network(size, classes, "float32", embedding=True))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    examples = band_images(50, size, classes).astype(np.float32)
    converter.representative_dataset = lambda: ([example[np.newaxis]] for example in examples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = kind
    path.write_bytes(_convert(converter))
    return path


def _network(size: tuple[int, int], classes: int, dtype: str, embedding: bool, sees_from: float = 0.0) -> keras.Model:
    image = keras.Input((*size, 1), dtype=dtype, name="image")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    flat = keras.layers.ReLU(threshold=sees_from)(flat) if sees_from else flat
    bands = band_images(classes, size, classes).reshape(classes, -1) > 0
    kernel = (10 * bands / bands.sum(axis=1, keepdims=True)).T.astype(np.float32)
    scores = keras.layers.Dense(classes, activation="softmax", kernel_initializer=keras.initializers.Constant(kernel))
    outputs = {"probabilities": scores(flat)}
    if embedding:
        outputs["embedding"] = keras.layers.Dense(4, kernel_initializer="ones")(flat)
    return keras.Model(image, outputs)


def _convert(converter: tf.lite.TFLiteConverter) -> bytes:
    with contextlib.redirect_stdout(io.StringIO()):
        return converter.convert()
