"""The optimizer and the learning-rate schedule that Keras does not have."""

import math
from typing import Any

import keras
from keras import ops


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


class OneCycle(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
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
