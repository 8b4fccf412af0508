"""Temperature scaling: C. Guo et al., "On calibration of modern neural networks", ICML 2017."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from fashion.arrays import Floats, Labels

LARGEST = 20.0
"""Temperatures are searched between 1/20 and 20; sensible ones lie between 0.5 and 5."""


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """Find the temperature by which to divide logits (n, classes) to minimise the mean negative log-likelihood."""

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(logits / np.exp(log_temperature), labels)

    bound = np.log(LARGEST)
    return float(np.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))


def negative_log_likelihood(logits: Floats, labels: Labels) -> float:
    """Return the mean over the images of minus the log probability of the true class."""
    return float(-np.mean(log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels]))
