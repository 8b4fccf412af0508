"""What a training minimises: cross-entropy, for classes of equal or unequal size, and a penalty on large kernels."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from fashion.arrays import Labels
from fashion.params import Recipe

Loss = Callable[[Any, Any], Any]


def make_loss(recipe: Recipe, classes: int, counts: Labels | None = None) -> Loss:
    """Return the mean cross-entropy of labels (n,) and logits (n, classes).

    Args:
        counts: (classes,): training images of each class, for recipes that make up for unequal ones. None: nothing is
            made up for.
    """
    if counts is not None and recipe.class_weights == "balanced":
        return _weighted(recipe, classes, balance(counts))
    if counts is not None and recipe.class_weights == "logit_adjusted":
        return _adjusted(make_loss(recipe, classes), counts)
    if not recipe.one_hot:
        sparse_loss: Loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        return sparse_loss
    one_hot_loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)

    def loss(labels: Any, logits: Any) -> Any:
        return one_hot_loss(ops.one_hot(ops.reshape(labels, (-1,)), classes), logits)

    return loss


def balance(counts: Labels) -> NDArray[np.float32]:
    """Return weights (classes,), inverse to the number of images of each class, whose mean over all images is 1."""
    weights: NDArray[np.float64] = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return weights.astype(np.float32)


def penalise_kernels(model: keras.Model, l2: float) -> None:
    """Have `l2` times the sum of the squares of all kernels added to the model's loss; biases and scales are free."""
    for variable in model.trainable_variables:
        if l2 and variable.name == "kernel":
            variable.regularizer = keras.regularizers.L2(l2)


def _weighted(recipe: Recipe, classes: int, weights: NDArray[np.float32]) -> Loss:
    def loss(labels: Any, logits: Any) -> Any:
        numbers = ops.cast(ops.reshape(labels, (-1,)), "int32")
        wanted = ops.one_hot(numbers, classes)
        each = keras.losses.categorical_crossentropy(
            wanted, logits, from_logits=True, label_smoothing=recipe.label_smoothing
        )
        return ops.mean(each * ops.take(ops.convert_to_tensor(weights), numbers))

    return loss


def _adjusted(loss: Loss, counts: Labels) -> Loss:
    """Return the loss for logits that are raised by the logarithm of each class's share of the images.

    Source: A. K. Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, equation 10 with tau = 1.
    """
    shares = np.maximum(counts, 1) / counts.sum()
    raised = np.log(shares).astype(np.float32)
    return lambda labels, logits: loss(labels, logits + ops.convert_to_tensor(raised))
