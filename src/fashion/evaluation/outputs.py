"""A model's outputs for images, whatever format it runs in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

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
        return np.asarray(softmax(self.logits, axis=1).max(axis=1))

    def correct(self, labels: Labels) -> Booleans:
        """Return for each image whether the most probable class is the true one."""
        return np.asarray(self.predicted == labels)
