"""The head of a network on a backbone, trained first: on features that are computed once, with the backbone as it is.

A head that starts at random would send large gradients through the backbone and spoil what it has learned.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from fashion.arrays import Bytes, LabelledImages, Labels
from fashion.model.losses import Loss
from fashion.model.steps import ENOUGH_STEPS
from fashion.params import Recipe

BATCH = 100
"""Images whose features are computed at a time."""
MOST_FEATURES = 1 << 27
"""Numbers kept at once, 0.5 GB: the features of 100,000 images or more. Of more images, so many are drawn."""
LEARNING_RATE = 0.001
"""Of Adam, its usual one: the head is a single layer."""


@dataclass(frozen=True)
class Head:
    """A head that was trained on a backbone as it was published, and how good that is without fine-tuning."""

    images: int
    """From which it learned."""
    epochs: int
    seconds: float
    """Including those for the features."""
    validation_accuracy: float


@dataclass(frozen=True)
class Lesson:
    """What a head learns from."""

    recipe: Recipe
    training: LabelledImages
    validation: LabelledImages
    loss: Loss
    seed: int


def count_head_steps(recipe: Recipe, training: LabelledImages, validation: LabelledImages) -> int:
    """Return how often progress is told, at most: after each batch of features, and after each epoch."""
    if recipe.backbone is None:
        return 0
    batches = sum(math.ceil(len(images.labels) / BATCH) for images in (training, validation))
    return batches + _epochs(recipe, len(training.labels))


def _epochs(recipe: Recipe, images: int) -> int:
    if recipe.backbone and recipe.backbone.head_epochs:
        return recipe.backbone.head_epochs
    return math.ceil(ENOUGH_STEPS / max(1, images // recipe.batch_size))


def learn_head(model: keras.Model, lesson: Lesson, on_step: Callable[[int], None]) -> Head:
    """Train the logits of a classifier on the features that its network computes now; nothing else in it changes.

    The same lesson gives the same head. Images are not augmented.

    Args:
        on_step: called with the number of steps done.
    """
    start, done = time.perf_counter(), count(1)
    extract = keras.Model(model.input, model.get_layer("embedding").output)
    logits = model.get_layer("network").get_layer("logits")
    random = np.random.default_rng(lesson.seed)
    chosen = _choose(len(lesson.training.labels), extract.output_shape[-1], random)
    features = np.empty((len(chosen), extract.output_shape[-1]), np.float32)
    for place, part in _features(extract, lesson.training.images, chosen):
        features[place : place + len(part)] = part
        on_step(next(done))
    head = _build_head(logits, lesson)
    epochs = _epochs(lesson.recipe, len(chosen))
    for _ in range(epochs):
        _run_epoch(head, features, lesson.training.labels[chosen], lesson.recipe.batch_size, random)
        on_step(next(done))
    logits.set_weights(head.get_weights())
    accuracy = _accuracy(extract, head, lesson.validation, lambda: on_step(next(done)))
    return Head(len(chosen), epochs, time.perf_counter() - start, accuracy)


def _accuracy(extract: keras.Model, head: keras.Model, images: LabelledImages, on_batch: Callable[[], None]) -> float:
    right = []
    for place, part in _features(extract, images.images, np.arange(len(images.labels))):
        answers = keras.ops.convert_to_numpy(head(part)).argmax(axis=1)
        right.append(answers == images.labels[place : place + len(part)])
        on_batch()
    return float(np.concatenate(right).mean())


def _choose(images: int, width: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return the places of the images to learn from, in ascending order: all, or as many as features may be kept of."""
    most = max(1, MOST_FEATURES // width)
    return np.arange(images) if images <= most else np.sort(random.choice(images, most, replace=False))


def _features(
    extract: keras.Model, images: Bytes, places: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the features of the images at these places, some at a time, with how many came before."""
    for start in range(0, len(places), BATCH):
        batch = images[places[start : start + BATCH]]
        # TensorFlow traces a model for every batch size.
        full = np.pad(batch, ((0, BATCH - len(batch)), (0, 0), (0, 0), (0, 0)))
        yield start, np.asarray(extract.predict_on_batch(full)[: len(batch)], np.float32)


def _build_head(logits: keras.layers.Dense, lesson: Lesson) -> keras.Model:
    """Build the head alone, from features to logits, with the weights that it has in the network."""
    features = keras.Input((logits.kernel.shape[0],))
    kept = layers.Dropout(lesson.recipe.dropout, seed=lesson.seed)(features) if lesson.recipe.dropout else features
    # Zeros, so that nothing is drawn here on which the weights of later layers would depend.
    head = keras.Model(features, layers.Dense(logits.units, kernel_initializer="zeros")(kept))
    head.set_weights(logits.get_weights())
    head.compile(keras.optimizers.Adam(LEARNING_RATE), lesson.loss)
    return head


def _run_epoch(
    head: keras.Model, features: NDArray[np.float32], labels: Labels, size: int, random: np.random.Generator
) -> None:
    """Take every image once, in a new order, but for the few that do not fill a batch."""
    order = random.permutation(len(labels))
    for start in range(0, max(1, len(labels) - size + 1), size):
        batch = order[start : start + size]
        head.train_on_batch(features[batch], labels[batch])
