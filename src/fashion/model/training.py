"""Training a network on arrays, with any Keras backend."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from fashion.errors import TrainingError
from fashion.evaluation.calibration import fit_temperature
from fashion.images.augmentation import augment
from fashion.model.networks import BATCH, classifier, logits_model, with_temperature
from fashion.params import Recipe

WARM_UP = 0.2
"""Share of the steps in which a one-cycle schedule rises to its peak."""


@dataclass(frozen=True)
class Epoch:
    """The figures of one epoch; losses are mean cross-entropies in nats."""

    epoch: int
    epochs: int
    seconds: float
    learning_rate: float
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float


@dataclass(frozen=True)
class Watch:
    """What is told about a training while it runs."""

    on_epoch: Callable[[Epoch], None]
    on_step: Callable[[int, int], None]
    """Called with the steps done and the steps there are in all."""


@dataclass(frozen=True)
class Examples:
    """Images (n, height, width) uint8 and labels (n,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.integer]


@dataclass(frozen=True)
class Trained:
    """A calibrated model and how it came about."""

    model: keras.Model
    history: tuple[Epoch, ...]
    temperature: float
    validation_accuracy: float


def train(
    name: str, recipe: Recipe, training: Examples, validation: Examples, classes: int, seed: int, watch: Watch
) -> Trained:
    """Train the network `name` by its recipe and calibrate it on the validation examples.

    The same arguments give the same weights on the same machine.

    Raises:
        TrainingError: the loss was not finite; the message names the epoch.
    """
    keras.utils.set_random_seed(seed)
    _, height, width = training.images.shape
    model = classifier(name, (height, width), classes)
    trainee = logits_model(model)
    steps = recipe.epochs * math.ceil(len(training.labels) / recipe.batch_size)
    trainee.compile(_optimizer(recipe, steps), _loss(recipe), metrics=["accuracy"])
    reporter = _Reporter(recipe.epochs, steps, watch)
    _fit(trainee, recipe, training, validation, classes, seed, [*_stoppers(recipe), reporter])
    logits = trainee.predict(validation.images, batch_size=BATCH, verbose=0)
    temperature = fit_temperature(logits, validation.labels)
    accuracy = float(np.mean(logits.argmax(axis=1) == validation.labels))
    return Trained(with_temperature(model, temperature), tuple(reporter.history), temperature, accuracy)


def _fit(
    trainee: keras.Model,
    recipe: Recipe,
    training: Examples,
    validation: Examples,
    classes: int,
    seed: int,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    def targets(labels: NDArray[np.integer]) -> NDArray[np.floating] | NDArray[np.integer]:
        return keras.utils.to_categorical(labels, classes) if recipe.one_hot else labels

    options = {
        "validation_data": (validation.images, targets(validation.labels)),
        "validation_batch_size": BATCH,
        "epochs": recipe.epochs,
        "callbacks": callbacks,
        "verbose": 0,
    }
    if recipe.flip or recipe.shift:
        trainee.fit(_Augmented(training.images, targets(training.labels), recipe, seed), **options)
    else:
        trainee.fit(training.images, targets(training.labels), batch_size=recipe.batch_size, **options)


class _Augmented(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of freshly shuffled and augmented images; the same for the same seed."""

    def __init__(self, images: NDArray[np.uint8], targets: NDArray[np.generic], recipe: Recipe, seed: int) -> None:
        super().__init__()
        self._images, self._targets, self._recipe = images, targets, recipe
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(len(images))

    def __len__(self) -> int:
        return math.ceil(len(self._images) / self._recipe.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.generic]]:
        start = index * self._recipe.batch_size
        chosen = self._order[start : start + self._recipe.batch_size]
        images = augment(self._images[chosen], self._recipe.flip, self._recipe.shift, self._random)
        return images, self._targets[chosen]

    def on_epoch_end(self) -> None:
        self._order = self._random.permutation(len(self._images))


class _Reporter(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells the watch what happens, keeps the history, and stops at a loss that is not finite."""

    def __init__(self, epochs: int, steps: int, watch: Watch) -> None:
        super().__init__()
        self.history: list[Epoch] = []
        self._epochs, self._steps, self._watch = epochs, steps, watch
        self._done = 0
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._done += 1
        self._watch.on_step(self._done, self._steps)
        if not math.isfinite((logs or {})["loss"]):
            raise TrainingError(
                f"The loss is not finite in epoch {len(self.history) + 1}, step {batch + 1}. Lower the recipe's "
                "learning_rate in params.yaml, or look for damaged images."
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        figures = logs or {}
        result = Epoch(
            epoch=epoch + 1,
            epochs=self._epochs,
            seconds=time.perf_counter() - self._started,
            learning_rate=float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            loss=figures["loss"],
            accuracy=figures["accuracy"],
            validation_loss=figures["val_loss"],
            validation_accuracy=figures["val_accuracy"],
        )
        self.history.append(result)
        self._watch.on_epoch(result)


def _optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    rate: float | keras.optimizers.schedules.LearningRateSchedule = recipe.learning_rate
    if recipe.schedule == "one_cycle":
        warm_up = max(1, round(WARM_UP * steps))
        rate = keras.optimizers.schedules.CosineDecay(0.0, steps - warm_up, 0.0, None, recipe.learning_rate, warm_up)
    averaging = {"use_ema": True, "ema_momentum": recipe.average_decay} if recipe.average_decay else {}
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(rate, **averaging)
    return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, **averaging)


def _loss(recipe: Recipe) -> keras.losses.Loss:
    if recipe.one_hot:
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _stoppers(recipe: Recipe) -> list[keras.callbacks.Callback]:
    """Callbacks in the order they must run: averaged weights are swapped in before they are judged."""
    callbacks: list[keras.callbacks.Callback] = []
    if recipe.average_decay:
        callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    if recipe.patience:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                "val_accuracy", patience=recipe.patience, mode="max", restore_best_weights=True
            )
        )
    return callbacks
