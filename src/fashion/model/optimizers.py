"""The optimizer of a recipe and its learning-rate schedule: those of Keras, and two that it does not have."""

import math
from typing import Any

import keras
from keras import ops
from keras.optimizers import schedules

from fashion.params import Recipe

WARM_UP = 0.15
"""Share of the steps in which a one-cycle schedule rises to its peak."""
ADAM_SHARE = 0.5
"""Learning rate of the parameters that Muon leaves to AdamW, as a share of Muon's."""
LEFT = 0.01
"""Share of the learning rate that is left after the last step of an exponential or a step schedule."""


class ConvolutionalMuon(keras.optimizers.Muon):  # type: ignore[misc]
    """Muon for convolution kernels, too: a kernel (height, width, inputs, outputs) is treated as a matrix.

    Keras's Muon leaves everything but matrices to AdamW. Here AdamW keeps biases, normalisation, the one-channel stem
    and the logits, as the method's author advises for first and last layers. Source: K. Jordan et al., "Muon: an
    optimizer for hidden layers in neural networks", 2024; the rate is adjusted as in J. Liu et al., "Muon is scalable
    for LLM training", arXiv 2502.16982.
    """

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) < 2 or variable.shape[-2] == 1 or "logits" in variable.path

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        return ops.reshape(super().zeropower_via_newtonschulz5(matrix, steps), x.shape)

    def lr_adjust(self, x: Any) -> Any:
        return x * (self.rms_rate * math.sqrt(max(math.prod(x.shape[:-1]), x.shape[-1])))


class OneCycle(schedules.LearningRateSchedule):  # type: ignore[misc]
    """Linear up to `peak` over the first share `warm_up` of the steps, linear down to a thousandth of it over the rest.

    Source: L. N. Smith, N. Topin, "Super-convergence", arXiv 1708.07120.
    """

    def __init__(self, peak: float, steps: int, warm_up: float) -> None:
        super().__init__()
        self.peak, self.steps, self.warm_up = peak, steps, warm_up

    def __call__(self, step: Any) -> Any:
        done = ops.cast(step, "float32") / self.steps
        share = ops.minimum(done / self.warm_up, (1 - done) / (1 - self.warm_up))
        return self.peak * ops.clip(share, 1e-3, 1.0)

    def get_config(self) -> dict[str, float]:
        return {"peak": self.peak, "steps": self.steps, "warm_up": self.warm_up}


def make_optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    """Return the optimizer of a recipe for a training of that many steps."""
    rate, decay = make_schedule(recipe, steps), recipe.weight_decay
    if recipe.optimizer == "muon":
        return ConvolutionalMuon(rate, weight_decay=decay, adam_weight_decay=decay, adam_lr_ratio=ADAM_SHARE)
    if recipe.optimizer == "sgd":
        return keras.optimizers.SGD(rate, recipe.momentum, recipe.nesterov, weight_decay=decay or None)
    kind = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[recipe.optimizer]
    return kind(rate, weight_decay=decay or None)


def make_schedule(recipe: Recipe, steps: int) -> Any:
    """Return the learning rate of a recipe: a number, or a schedule over that many steps."""
    rate = recipe.learning_rate
    match recipe.schedule:
        case "constant":
            return rate
        case "one_cycle":
            return OneCycle(rate, steps, WARM_UP)
        case "cosine":
            return schedules.CosineDecay(rate, steps)
        case "exponential":
            return schedules.ExponentialDecay(rate, steps, LEFT)
        case "step":
            return schedules.PiecewiseConstantDecay([steps // 2, steps * 3 // 4], [rate, rate * LEFT**0.5, rate * LEFT])
