"""A model's outputs for images, whatever format it runs in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Booleans, Floats, Labels


@dataclass(frozen=True)
class Outputs:
    """One row per image; an array has no columns if the model has no such output."""

    logits: Floats
    """(n, classes), before the temperature; exported models have none."""
    probabilities: Floats
    """(n, classes), calibrated."""
    embedding: Floats
    """(n, d), the model's internal representation of an image; models from elsewhere may have none."""

    @property
    def predicted(self) -> NDArray[np.intp]:
        """The most probable class of each image."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def confidences(self) -> Floats:
        """Its probability."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def uncalibrated_confidences(self) -> Floats:
        """The same before temperature scaling, which does not change the most probable class."""
        # Of the softmax, the largest share: that of the largest logit, whose exponential is 1 when it is subtracted.
        return np.asarray(1 / np.exp(self.logits - self.logits.max(axis=1, keepdims=True)).sum(axis=1))

    def correct(self, labels: Labels) -> Booleans:
        """Return for each image whether the most probable class is the true one."""
        return np.asarray(self.predicted == labels)
