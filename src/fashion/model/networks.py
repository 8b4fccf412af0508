"""A network as a whole: it takes raw uint8 images and returns calibrated probabilities and an embedding."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from fashion.arrays import Bytes, Shape
from fashion.evaluation.outputs import Outputs
from fashion.model.architectures import NETWORKS, Tensor
from fashion.params import Recipe

BATCH, MOST_PIXELS = 500, 1_000_000
"""Images scored at a time; of large ones fewer, with so many pixels: activations then take at most about 150 MB, and
images of 160 x 160 pixels half of the processor time that they take with ten times as many."""
FEW = 100
"""Images scored at a time where there are no more than twice as many: blank ones to fill a batch cost as much."""


def classifier(recipe: Recipe, shape: Shape, classes: int) -> keras.Model:
    """Build the untrained model of a recipe with input `image` (n, height, width, channels) uint8, at temperature 1.

    Its outputs are `probabilities` (n, classes) and `embedding` (n, d), both float32.
    """
    pixels = keras.Input(shape, name="pixels")
    embedding = NETWORKS[recipe.network](pixels, recipe)
    logits = layers.Dense(classes, name="logits", dtype="float32")(embedding)
    return _surround(keras.Model(pixels, [embedding, logits], name="network"), recipe.network, 1.0, 0)


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Have the layers that are built here compute in `precision`, float32 or bfloat16; weights and logits are float32.

    Source: P. Micikevicius et al., "Mixed precision training", ICLR 2018; bfloat16 has float32's range, so that no loss
    has to be scaled.
    """
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else usual)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(usual)


def rebuild(model: keras.Model, temperature: float, average_shifts: int = 0) -> keras.Model:
    """Build a model of the same network with the same weights, which computes in float32, but with other outputs.

    `probabilities` are the softmax of the logits divided by `temperature`. With `average_shifts`, logits and embedding
    are averaged over the image and its copies shifted by that many pixels up, down, left and right: strides and pooling
    make a network answer each differently.
    """
    network = keras.models.clone_model(model.get_layer("network"), clone_function=_in_float32)
    network.set_weights(model.get_layer("network").get_weights())
    return _surround(network, model.name, temperature, average_shifts)


def _in_float32(layer: keras.Operation) -> keras.Operation:
    """Return such a layer; an operation that is none, such as a sum, computes in what it is given."""
    if not isinstance(layer, layers.Layer):
        return layer.from_config(layer.get_config())
    return layer.from_config(layer.get_config() | {"dtype": "float32"})


def _surround(network: keras.Model, name: str, temperature: float, average_shifts: int) -> keras.Model:
    """Put what all networks have in common around one that goes from pixels in [0, 1] to embedding and logits."""
    _, *shape = network.input_shape
    image = keras.Input(shape, dtype="uint8", name="image")
    pixels = layers.Rescaling(1 / 255)(image)
    views = [pixels, *_moved(pixels, average_shifts)]
    embeddings, logits = zip(*map(network, views), strict=True)
    embedding, mean_logits = _mean(embeddings, "embedding"), _mean(logits, "logits")
    scaled = layers.Rescaling(1 / temperature, name="temperature")(mean_logits)
    probabilities = layers.Softmax(name="probabilities")(scaled)
    return keras.Model(image, {"probabilities": probabilities, "embedding": embedding}, name=name)


def _moved(pixels: Tensor, reach: int) -> list[Tensor]:
    """Move the images by `reach` pixels down, up, right and left; the uncovered edge is black."""
    if not reach:
        return []
    padded = layers.ZeroPadding2D(reach)(pixels)
    ends = ((0, 2 * reach), (2 * reach, 0))
    vertical = [layers.Cropping2D((rows, (reach, reach)))(padded) for rows in ends]
    return [*vertical, *(layers.Cropping2D(((reach, reach), columns))(padded) for columns in ends)]


def _mean(tensors: Sequence[Tensor], name: str) -> Tensor:
    if len(tensors) == 1:
        return layers.Identity(name=name)(tensors[0])
    return layers.Average(name=name)(list(tensors))


def temperature_of(model: keras.Model) -> float:
    return float(1 / model.get_layer("temperature").scale)


def logits_model(model: keras.Model) -> keras.Model:
    """Return the same layers with the logits as their only output, for training."""
    return keras.Model(model.input, model.get_layer("logits").output, name=model.name)


def answer(model: keras.Model, images: Bytes) -> Outputs:
    """Compute all outputs for images (n, height, width, channels) in one pass over them."""
    answering = _answering(model)
    batches = [answering.predict_on_batch(batch) for batch in _batches(images)]
    return Outputs(*(np.concatenate(parts)[: len(images)] for parts in zip(*batches, strict=True)))


@lru_cache(maxsize=1)
def _answering(model: keras.Model) -> keras.Model:
    """Return the same layers with all three outputs, cached: compiling takes longer than a thousand images."""
    return keras.Model(model.input, [model.get_layer(name).output for name in ("logits", "probabilities", "embedding")])


def predict_logits(model: keras.Model, images: Bytes) -> NDArray[np.float32]:
    """Return the logits (n, classes) of a model that has no other output."""
    return np.concatenate([model.predict_on_batch(batch) for batch in _batches(images)])[: len(images)]


def _batches(images: Bytes) -> Iterator[Bytes]:
    """Yield some images at a time, padded with blank ones, since TensorFlow traces a model for every batch size."""
    most = BATCH if len(images) > 2 * FEW else FEW
    size = max(1, min(most, MOST_PIXELS // math.prod(images.shape[1:3])))
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        yield np.pad(batch, ((0, size - len(batch)), (0, 0), (0, 0), (0, 0)))
