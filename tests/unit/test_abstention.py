import numpy as np
import pytest

from fashion.evaluation.abstention import UNLIKE, UNSURE, fit_abstention, reasons

RANDOM = np.random.default_rng(0)


def cone(count, axis, d=16):
    """Embeddings (count, d) around one axis, of all lengths."""
    directions = np.eye(d)[axis] + 0.1 * RANDOM.normal(size=(count, d))
    return (directions * RANDOM.uniform(0.1, 10, (count, 1))).astype(np.float32)


def sure(count):
    return np.tile(np.array([0.9, 0.1], np.float32), (count, 1))


def test_about_as_many_known_images_are_called_foreign_as_the_quantile_says():
    rule = fit_abstention(cone(4000, 0), distance_quantile=0.95, confidence_limit=0.5)
    found = reasons(rule, sure(2000), cone(2000, 0))
    assert found.count(UNLIKE) / 2000 == pytest.approx(0.05, abs=0.02)


def test_an_image_far_from_all_known_ones_is_foreign_however_sure_the_model_is():
    rule = fit_abstention(cone(200, 0), 0.99, 0.5)
    assert reasons(rule, sure(50), cone(50, 1)) == [UNLIKE] * 50


def test_the_length_of_an_embedding_does_not_matter():
    rule = fit_abstention(cone(200, 0), 0.99, 0.5)
    one = cone(20, 0)
    assert reasons(rule, sure(20), one) == reasons(rule, sure(20), 1000 * one)


def test_an_embedding_of_zeros_is_foreign():
    rule = fit_abstention(cone(200, 0), 0.99, 0.5)
    assert reasons(rule, sure(1), np.zeros((1, 16), np.float32)) == [UNLIKE]


def test_unsure_comes_before_unlike_and_the_limit_itself_is_sure():
    rule = fit_abstention(cone(200, 0), 0.99, confidence_limit=0.5)
    probabilities = np.array([[0.4, 0.35, 0.25], [0.5, 0.3, 0.2], [0.4, 0.35, 0.25]], np.float32)
    embeddings = np.concatenate([cone(1, 0), rule.neighbours[:1], cone(1, 1)])
    assert reasons(rule, probabilities, embeddings) == [UNSURE, None, UNSURE]


def test_two_images_are_enough_for_a_rule():
    rule = fit_abstention(cone(2, 0), 0.5, 0.5)
    assert len(reasons(rule, sure(3), cone(3, 0))) == 3
