import numpy as np
import pytest

from fashion.evaluation.calibration import fit_temperature, negative_log_likelihood


def drawn(temperature, count=20_000):
    """Logits, and labels drawn from the probabilities these logits give at the temperature."""
    random = np.random.default_rng(7)
    logits = random.normal(scale=3, size=(count, 10))
    gumbel = random.gumbel(size=logits.shape)
    return logits, (logits / temperature + gumbel).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_fitted_temperature_is_the_one_the_labels_were_drawn_with(temperature):
    logits, labels = drawn(temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.03)


def test_the_fit_never_makes_the_likelihood_worse():
    logits, labels = drawn(1.7, count=500)
    fitted = fit_temperature(logits, labels)
    assert negative_log_likelihood(logits / fitted, labels) <= negative_log_likelihood(logits, labels)


def test_labels_that_are_always_right_keep_the_temperature_finite():
    logits = np.eye(10) * 5
    assert 0 < fit_temperature(logits, np.arange(10)) < 1
