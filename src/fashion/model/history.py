"""The epochs of a training, and all that it needs to go on after the last of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion.model.head import Head
from fashion.params import Recipe


@dataclass(frozen=True)
class Epoch:
    """The figures of one epoch; losses are mean cross-entropies in nats.

    That of training includes what the recipe adds, weights of classes and the penalty on kernels; that of validation
    does not.
    """

    epoch: int
    epochs: int
    seconds: float
    learning_rate: float
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float


@dataclass(frozen=True)
class State:
    """The full state of a training after an epoch: resuming from it ends with the same weights as without a stop."""

    history: tuple[Epoch, ...]
    variables: tuple[NDArray[Any], ...]
    """Those of the network and its optimizer: weights, dropout seeds, steps done, momenta."""
    best_weights: tuple[NDArray[np.float32], ...]
    """Those of the epoch with the best validation accuracy."""
    generator: Mapping[str, Any]
    """The state of the random generator that orders and augments images, as NumPy's PCG64 returns it."""
    head: Head | None = None
    """How the head was trained before the first epoch; None: it was not."""


def is_over(history: Sequence[Epoch], recipe: Recipe) -> bool:
    """Return whether no epoch follows: all were run, or patience has run out."""
    if not history or len(history) == recipe.epochs:
        return bool(history)
    return recipe.patience is not None and len(history) - best_epoch(history).epoch >= recipe.patience


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    """Return the first epoch with the best validation accuracy."""
    return max(history, key=lambda epoch: epoch.validation_accuracy)
