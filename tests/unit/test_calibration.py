import numpy as np
import pytest
from scipy.special import softmax

from fashion.evaluation.calibration import LARGEST, fit_temperature, negative_log_likelihood


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


@pytest.mark.parametrize("count", [20, 180, 5000])
def test_where_all_images_are_right_the_confidence_is_that_of_as_many_successes_in_a_row(count):
    random = np.random.default_rng(3)
    labels = random.integers(10, size=count)
    logits = random.normal(size=(count, 10)) + 12 * np.eye(10)[labels]
    assert (logits.argmax(axis=1) == labels).all()

    confidence = softmax(logits / fit_temperature(logits, labels), axis=1).max(axis=1)

    assert confidence.mean() == pytest.approx((count + 1) / (count + 2), abs=1e-6)


def test_where_all_images_are_right_and_the_logits_hardly_differ_the_temperature_stays_within_its_bounds():
    logits = 1e-3 * np.eye(10)
    assert fit_temperature(logits, np.arange(10)) == 1 / LARGEST


def test_where_all_images_are_right_and_the_logits_are_huge_the_temperature_stays_within_its_bounds():
    logits = 1e6 * np.eye(10)
    assert fit_temperature(logits, np.arange(10)) == LARGEST
