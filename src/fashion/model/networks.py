"""The networks. Each takes raw uint8 images and returns calibrated probabilities and an embedding."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TypeAlias

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from fashion.arrays import Bytes, Shape
from fashion.evaluation.outputs import Outputs

Tensor: TypeAlias = keras.KerasTensor
Network = Callable[[Tensor], Tensor]
BATCH = 500
"""Images scored at a time."""


def baseline(pixels: Tensor) -> Tensor:
    """Build the original baseline: pixels (n, height, width, channels) in [0, 1] to its last hidden layer, (n, 64)."""
    features = layers.Conv2D(32, 3, activation="relu")(pixels)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Conv2D(64, 3, activation="relu")(features)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Flatten()(features)
    return layers.Dense(64, activation="relu", name="embedding")(features)


def dropout(pixels: Tensor) -> Tensor:
    """Build the same network with dropout after each pooling and after the hidden layer."""
    features = layers.Conv2D(32, 3, activation="relu")(pixels)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Dropout(0.25)(features)
    features = layers.Conv2D(64, 3, activation="relu")(features)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Dropout(0.25)(features)
    features = layers.Flatten()(features)
    features = layers.Dense(64, activation="relu")(features)
    return layers.Dropout(0.5, name="embedding")(features)


def compact(pixels: Tensor) -> Tensor:
    """Build four small convolutions: pixels (n, height, width, channels) in [0, 1] to (n, 128).

    Few channels at the full resolution, where a CPU spends its time on memory traffic, and normalisation after the
    pooling, where it costs a quarter.
    """
    features = layers.Conv2D(16, 3, padding="same", activation="relu", kernel_initializer="he_normal")(pixels)
    features = layers.MaxPooling2D(2)(features)
    features = _normalised(layers.MaxPooling2D(2)(_convolution(features, 32)))
    features = _normalised(layers.MaxPooling2D(2)(_convolution(features, 80)))
    features = _normalised(_convolution(features, 128))
    features = layers.Flatten()(features)
    features = layers.Dense(128, use_bias=False, kernel_initializer="he_normal")(features)
    return _normalised(features, name="embedding")


def _convolution(features: Tensor, channels: int) -> Tensor:
    return layers.Conv2D(channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(features)


def _normalised(features: Tensor, name: str | None = None) -> Tensor:
    # Keras's default momentum of 0.99 would take more steps to settle than a training of five epochs has.
    return layers.ReLU(name=name)(layers.BatchNormalization(momentum=0.9)(features))


NETWORKS: dict[str, Network] = {"baseline": baseline, "dropout": dropout, "compact": compact}


def classifier(name: str, shape: Shape, classes: int, temperature: float = 1.0, average_shifts: int = 0) -> keras.Model:
    """Build an untrained model with input `image` (n, height, width, channels) uint8.

    Its outputs are `probabilities` (n, classes), the softmax of the logits divided by `temperature`, and `embedding`
    (n, d), both float32. With `average_shifts`, logits and embedding are averaged over the image and its copies shifted
    by that many pixels up, down, left and right: strides and pooling make a network answer each differently.
    """
    image = keras.Input(shape, dtype="uint8", name="image")
    pixels = layers.Rescaling(1 / 255)(image)
    network = _network(name, shape, classes)
    views = [pixels, *_moved(pixels, average_shifts)]
    embeddings, logits = zip(*map(network, views), strict=True)
    embedding, mean_logits = _mean(embeddings, "embedding"), _mean(logits, "logits")
    scaled = layers.Rescaling(1 / temperature, name="temperature")(mean_logits)
    probabilities = layers.Softmax(name="probabilities")(scaled)
    return keras.Model(image, {"probabilities": probabilities, "embedding": embedding}, name=name)


def _network(name: str, shape: Shape, classes: int) -> keras.Model:
    """Build the network from pixels (n, height, width, channels) in [0, 1] to embedding and logits."""
    pixels = keras.Input(shape, name="pixels")
    embedding = NETWORKS[name](pixels)
    return keras.Model(pixels, [embedding, layers.Dense(classes, name="logits")(embedding)], name="network")


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


def rebuild(model: keras.Model, temperature: float, average_shifts: int = 0) -> keras.Model:
    """Rebuild the same network with the same weights but other outputs: see `classifier`."""
    _, *shape = model.input_shape
    classes = model.get_layer("logits").output.shape[-1]
    rebuilt = classifier(model.name, tuple(shape), classes, temperature, average_shifts)
    rebuilt.set_weights(model.get_weights())
    return rebuilt


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
