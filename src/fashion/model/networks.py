"""The networks. Each takes raw uint8 images and returns calibrated probabilities and an embedding."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from fashion.arrays import Bytes, Shape
from fashion.evaluation.outputs import Outputs

Tensor: TypeAlias = keras.KerasTensor
Pair: TypeAlias = tuple[int, int]
"""A number for the height, and one for the width."""


@dataclass(frozen=True)
class Form:
    """What a recipe changes in the layers of a network. Which network takes what, fashion.params.recipe says."""

    width: float = 1.0
    """Times the filters and hidden units."""
    depth: int = 1
    """Convolutions in each block."""
    activation: str = "relu"
    dropout: float | None = None
    """Share of the last hidden layer's outputs that a step leaves out; None: as the network has it."""


Network = Callable[[Tensor, Form], Tensor]
BATCH = 500
"""Images scored at a time."""
MOST_CELLS = 4
"""A side of what is left for the hidden layer of `compact`; of 28 pixels, 3 are left."""
LARGE = 128
"""Pixels a side from which on the first convolution of `compact` has a stride."""


def baseline(pixels: Tensor, form: Form) -> Tensor:
    """Build the original baseline: pixels (n, height, width, channels) in [0, 1] to its last hidden layer, (n, 64)."""
    features = layers.Conv2D(32, 3, activation=form.activation)(pixels)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Conv2D(64, 3, activation=form.activation)(features)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Flatten()(features)
    return layers.Dense(64, activation=form.activation, name="embedding")(features)


def dropout(pixels: Tensor, form: Form) -> Tensor:
    """Build the same network with dropout after the hidden layer, and of half the rate after each pooling."""
    rate = 0.5 if form.dropout is None else form.dropout
    features = layers.Conv2D(32, 3, activation=form.activation)(pixels)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Dropout(rate / 2)(features)
    features = layers.Conv2D(64, 3, activation=form.activation)(features)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Dropout(rate / 2)(features)
    features = layers.Flatten()(features)
    features = layers.Dense(64, activation=form.activation)(features)
    return layers.Dropout(rate, name="embedding")(features)


def compact(pixels: Tensor, form: Form) -> Tensor:
    """Build four small convolutions or more: pixels (n, height, width, channels) in [0, 1] to (n, 128).

    Few channels at the full resolution, where a CPU spends its time on memory traffic, and normalisation after the
    pooling, where it costs a quarter. Larger images are pooled more often, with a convolution each time, so that the
    hidden layer, which has most of the parameters, does not grow with their area.
    """
    stride, pools = plan_pooling(pixels.shape[1:3])
    between = [64] * (len(pools) - 3)
    stem, *blocks, hidden = (max(1, round(form.width * size)) for size in (16, 32, *between, 80, 128, 128))
    features = _pooled(_stem(pixels, stem, stride, form), pools)
    for number, channels in enumerate(blocks, start=1):
        features = _normalised(_pooled(_convolution(features, channels), pools[number:]), form)
        for _ in range(form.depth - 1):
            features = _normalised(_convolution(features, channels), form)
    features = layers.Flatten()(features)
    features = layers.Dense(hidden, use_bias=False, kernel_initializer="he_normal")(features)
    if not form.dropout:
        return _normalised(features, form, name="embedding")
    return layers.Dropout(form.dropout, name="embedding")(_normalised(features, form))


def plan_pooling(size: Pair) -> tuple[Pair, list[Pair]]:
    """Return the strides of the first convolution of `compact` and its pools, for images of that height and width.

    A side is halved until at most `MOST_CELLS` are left: first by the stride, while it has `LARGE` pixels or more.
    """
    strides, sides = [1, 1], list(size)
    for axis in (0, 1):
        while sides[axis] >= LARGE:
            strides[axis], sides[axis] = 2 * strides[axis], math.ceil(sides[axis] / 2)
    pools = []
    while max(sides) > MOST_CELLS:
        pools.append((_pool(sides[0]), _pool(sides[1])))
        sides = [_left(side, _padding(sides)) for side in sides]
    return (strides[0], strides[1]), pools


def _pool(side: int) -> int:
    return 2 if side > MOST_CELLS else 1


def _left(side: int, padding: str) -> int:
    return math.ceil(side / _pool(side)) if padding == "same" else side // _pool(side)


def _padding(sides: Sequence[int]) -> str:
    """Pool five cells to three: of two, the hidden layer would learn little."""
    return "same" if MOST_CELLS + 1 in sides else "valid"


def _stem(pixels: Tensor, channels: int, strides: Pair, form: Form) -> Tensor:
    """Convolve with a kernel of 3 x 3, or one so much larger as the strides are, so that no pixel is left out."""
    kernel = [3 if stride == 1 else 2 * stride + 1 for stride in strides]
    kind = {"padding": "same", "activation": form.activation, "kernel_initializer": "he_normal"}
    return layers.Conv2D(channels, kernel, strides, **kind)(pixels)


def _pooled(features: Tensor, pools: Sequence[Pair]) -> Tensor:
    """Pool by the first of the pools, if there is one."""
    if not pools:
        return features
    return layers.MaxPooling2D(pools[0], padding=_padding(features.shape[1:3]))(features)


def _convolution(features: Tensor, channels: int) -> Tensor:
    return layers.Conv2D(channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(features)


def _normalised(features: Tensor, form: Form, name: str | None = None) -> Tensor:
    # Keras's default momentum of 0.99 would take more steps to settle than a training of five epochs has.
    return layers.Activation(form.activation, name=name)(layers.BatchNormalization(momentum=0.9)(features))


NETWORKS: dict[str, Network] = {"baseline": baseline, "dropout": dropout, "compact": compact}


def classifier(name: str, shape: Shape, classes: int, form: Form | None = None) -> keras.Model:
    """Build an untrained model with input `image` (n, height, width, channels) uint8, at temperature 1.

    Its outputs are `probabilities` (n, classes) and `embedding` (n, d), both float32.
    """
    pixels = keras.Input(shape, name="pixels")
    embedding = NETWORKS[name](pixels, form or Form())
    network = keras.Model(pixels, [embedding, layers.Dense(classes, name="logits")(embedding)], name="network")
    return _surround(network, name, 1.0, 0)


def rebuild(model: keras.Model, temperature: float, average_shifts: int = 0) -> keras.Model:
    """Build a model of the same network with the same weights but other outputs.

    `probabilities` are the softmax of the logits divided by `temperature`. With `average_shifts`, logits and embedding
    are averaged over the image and its copies shifted by that many pixels up, down, left and right: strides and pooling
    make a network answer each differently.
    """
    network = keras.models.clone_model(model.get_layer("network"))
    network.set_weights(model.get_layer("network").get_weights())
    return _surround(network, model.name, temperature, average_shifts)


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
    layer = layers.Average(name=name) if len(tensors) > 1 else layers.Identity(name=name)
    return layer(list(tensors) if len(tensors) > 1 else tensors[0])


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
    """Yield `BATCH` images at a time, padded with blank ones, since TensorFlow traces a model for every batch size."""
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        yield np.pad(batch, ((0, BATCH - len(batch)), (0, 0), (0, 0), (0, 0)))
