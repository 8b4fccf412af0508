"""Temperature scaling: C. Guo et al., "On calibration of modern neural networks", ICML 2017."""

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_softmax, softmax

from fashion.arrays import Floats, Labels

LARGEST = 20.0
"""Temperatures are searched between 1/20 and 20; sensible ones lie between 0.5 and 5."""


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """Find the temperature by which to divide logits (n, classes) to minimise the mean negative log-likelihood.

    Where all images are right, the likelihood grows as long as the temperature falls, until every answer is certain.
    What is known then is that n of n are right: the mean confidence becomes (n + 1) / (n + 2), Laplace's rule of
    succession.
    """

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(logits / np.exp(log_temperature), labels)

    bound = np.log(LARGEST)
    if (logits.argmax(axis=1) == labels).all():
        return _match_confidence(logits, (len(labels) + 1) / (len(labels) + 2))
    return float(np.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))


def _match_confidence(logits: Floats, wanted: float) -> float:
    """Return the temperature at which the mean confidence is `wanted`, or the nearest bound."""

    def excess(log_temperature: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_temperature)
        return float(softmax(scaled, axis=1).max(axis=1).mean()) - wanted

    bound = np.log(LARGEST)
    if excess(-bound) <= 0:
        return 1 / LARGEST
    return LARGEST if excess(bound) >= 0 else float(np.exp(brentq(excess, -bound, bound)))


def negative_log_likelihood(logits: Floats, labels: Labels) -> float:
    """Return the mean over the images of minus the log probability of the true class."""
    return float(-np.mean(log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels]))
