"""Training a network on arrays, with any Keras backend."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Bytes, LabelledImages, Labels
from fashion.errors import TrainingError
from fashion.evaluation.calibration import fit_temperature
from fashion.images.augmentation import augment
from fashion.model.backbones import take_backbone
from fashion.model.head import Head, Lesson, count_head_steps, learn_head
from fashion.model.history import Epoch, State, best_epoch, is_over
from fashion.model.losses import Loss, make_loss, penalise_kernels
from fashion.model.networks import classifier, computing_in, logits_model, predict_logits, rebuild
from fashion.model.optimizers import make_optimizer
from fashion.model.transfer import Fit, take_weights
from fashion.params import Recipe

WHAT_TO_DO = "Lower the recipe's learning_rate in params.yaml, or look for damaged images."
"""Where a loss is not finite."""


@dataclass(frozen=True)
class Watch:
    """Callbacks for a running training, and where it begins."""

    on_epoch: Callable[[State], None]
    """Called after every epoch; its figures are the last of the history."""
    on_step: Callable[[int, int], None]
    """Called with the number of steps done and the total; those for the head count, too."""
    start: State | None = None
    """Where a training with the same arguments stopped; None: start from the beginning."""
    on_head: Callable[[Head], None] = lambda _: None
    """Called when the head has been trained alone, if it was."""


@dataclass(frozen=True)
class Plan:
    """The recipe and the data of a training: the same plan gives the same weights on the same machine."""

    recipe: Recipe
    training: LabelledImages
    validation: LabelledImages
    classes: int
    seed: int
    start: keras.Model | None = None
    """A classifier whose weights the layers start with, where they fit; None: all start at random."""
    backbone: keras.Model | None = None
    """The backbone that the recipe names, with its weights."""

    def __post_init__(self) -> None:
        if (self.recipe.backbone is None) != (self.backbone is None):
            raise ValueError("a plan needs the backbone that its recipe names, and no other")

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return max(1, len(self.training.labels) // self.recipe.batch_size)

    @property
    def head_steps(self) -> int:
        """Steps before the first epoch."""
        return count_head_steps(self.recipe, self.training, self.validation)

    @property
    def all_steps(self) -> int:
        return self.head_steps + self.recipe.epochs * self.steps


@dataclass(frozen=True)
class Trained:
    """A calibrated model and how it was trained."""

    model: keras.Model
    history: tuple[Epoch, ...]
    temperature: float
    validation_accuracy: float
    fit: Fit | None = None
    """What was taken from the model that it started from."""
    head: Head | None = None
    """How the head was trained before everything was."""


def train(plan: Plan, watch: Watch) -> Trained:
    """Train the network with its recipe and calibrate it on the validation images; on a backbone, the head first.

    The weights of the epoch with the best validation accuracy are kept.

    Raises:
        TrainingError: the loss was not finite, and the message names the epoch; or nothing of the model to start from
            fits.
    """
    recipe, validation = plan.recipe, plan.validation
    keras.utils.set_random_seed(plan.seed)
    with computing_in(recipe.precision):
        model = _untrained(plan)
    fit = take_weights(model, plan.start) if plan.start else None
    trainee = logits_model(model)
    penalise_kernels(trainee, recipe.l2)
    loss = make_loss(recipe, plan.classes, np.bincount(plan.training.labels, minlength=plan.classes))
    head = watch.start.head if watch.start else _learn_head(model, plan, loss, watch)
    optimizer = make_optimizer(recipe, recipe.epochs * plan.steps)
    trainee.compile(optimizer, loss, metrics=["accuracy"])
    state = _run_epochs(trainee, plan, watch, head)
    trainee.set_weights(state.best_weights)
    uncalibrated = rebuild(model, temperature=1.0, average_shifts=recipe.average_shifts)
    logits = predict_logits(logits_model(uncalibrated), validation.images)
    temperature = fit_temperature(logits, validation.labels)
    return Trained(
        model=rebuild(uncalibrated, temperature, recipe.average_shifts),
        history=state.history,
        temperature=temperature,
        validation_accuracy=_accuracy(logits, validation.labels),
        fit=fit,
        head=state.head,
    )


def _untrained(plan: Plan) -> keras.Model:
    model = classifier(plan.recipe, plan.training.images.shape[1:], plan.classes)
    if plan.backbone:
        take_backbone(model, plan.backbone)
    return model


def _learn_head(model: keras.Model, plan: Plan, loss: Loss, watch: Watch) -> Head | None:
    if plan.recipe.backbone is None:
        return None
    lesson = Lesson(plan.recipe, plan.training, plan.validation, loss, plan.seed)
    head = learn_head(model, lesson, lambda done: watch.on_step(done, plan.all_steps))
    watch.on_head(head)
    return head


def _run_epochs(trainee: keras.Model, plan: Plan, watch: Watch, head: Head | None) -> State:
    """Run the remaining epochs and return the training after its last one.

    The loop is our own because `fit` sometimes stalls for a second or more between epochs.
    """
    random = np.random.default_rng(plan.seed)
    trainee.optimizer.build(trainee.trainable_variables)
    state = watch.start or State((), (), (), {}, head)
    if watch.start:
        _restore(trainee, random, watch.start)
    while not is_over(state.history, plan.recipe):
        number, start = len(state.history) + 1, time.perf_counter()
        figures = _run_steps(trainee, plan, random, number, watch)
        epoch = _close_epoch(trainee, plan, number, figures, time.perf_counter() - start)
        state = _advance(state, epoch, trainee, random)
        watch.on_epoch(state)
    return state


def _advance(state: State, epoch: Epoch, trainee: keras.Model, random: np.random.Generator) -> State:
    history = (*state.history, epoch)
    return State(
        history=history,
        variables=tuple(keras.ops.convert_to_numpy(variable) for variable in _variables(trainee)),
        best_weights=tuple(trainee.get_weights()) if best_epoch(history) is epoch else state.best_weights,
        generator=random.bit_generator.state,
        head=state.head,
    )


def _restore(trainee: keras.Model, random: np.random.Generator, state: State) -> None:
    for variable, value in zip(_variables(trainee), state.variables, strict=True):
        variable.assign(value)
    random.bit_generator.state = state.generator


def _variables(trainee: keras.Model) -> list[keras.Variable]:
    """Return everything that a step changes except the metrics, which each step resets."""
    return [*trainee.variables, *trainee.optimizer.variables]


def _run_steps(
    trainee: keras.Model, plan: Plan, random: np.random.Generator, epoch: int, watch: Watch
) -> dict[str, float]:
    """Run the steps of one epoch and return their mean loss and accuracy."""
    losses, accuracies = [], []
    for step, (images, labels) in enumerate(_batches(plan, random), start=1):
        figures = trainee.train_on_batch(images, labels, return_dict=True)
        if not math.isfinite(figures["loss"]):
            raise TrainingError(f"The loss is not finite in epoch {epoch}, step {step}. {WHAT_TO_DO}")
        losses.append(figures["loss"])
        accuracies.append(figures["accuracy"])
        watch.on_step(plan.head_steps + (epoch - 1) * plan.steps + step, plan.all_steps)
    return {"loss": float(np.mean(losses)), "accuracy": float(np.mean(accuracies))}


def _batches(plan: Plan, random: np.random.Generator) -> Iterator[tuple[Bytes, Labels]]:
    """Yield all images in a new order, except the few that do not fill a batch: different ones each time."""
    training, size = plan.training, plan.recipe.batch_size
    order = random.permutation(len(training.labels))
    for step in range(plan.steps):
        chosen = order[step * size : (step + 1) * size]
        yield augment(training.images[chosen], plan.recipe.augmentation, random), training.labels[chosen]


def _close_epoch(trainee: keras.Model, plan: Plan, epoch: int, figures: dict[str, float], seconds: float) -> Epoch:
    recipe, validation = plan.recipe, plan.validation
    logits = predict_logits(trainee, validation.images)
    loss = float(keras.ops.mean(make_loss(recipe, logits.shape[1])(validation.labels, logits)))
    if not math.isfinite(loss):  # The loss of a step is that before its update, so the last one shows only here.
        raise TrainingError(f"The validation loss is not finite after epoch {epoch}. {WHAT_TO_DO}")
    return Epoch(
        epoch=epoch,
        epochs=recipe.epochs,
        seconds=seconds,
        learning_rate=float(keras.ops.convert_to_numpy(trainee.optimizer.learning_rate)),
        loss=figures["loss"],
        accuracy=figures["accuracy"],
        validation_loss=loss,
        validation_accuracy=_accuracy(logits, validation.labels),
    )


def _accuracy(logits: NDArray[np.float32], labels: Labels) -> float:
    return float(np.mean(logits.argmax(axis=1) == labels))
