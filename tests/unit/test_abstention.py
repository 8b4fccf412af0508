from dataclasses import replace

import numpy as np
import pytest

from fashion.evaluation.abstention import CLUTTERED, UNLIKE, UNSURE, fit_abstention, reasons
from fashion.evaluation.answer import Answer
from fashion.evaluation.outputs import Outputs
from fashion.images.nonsense import draw_nonsense
from fashion.images.photos import Form
from fashion.images.synthetic import draw
from fashion.params import PicturesParams

RANDOM = np.random.default_rng(0)
GARMENTS, _ = draw(4000, 10, (28, 28), seed=0)
OTHERS, _ = draw(2000, 10, (28, 28), seed=1)


def cone(count, axis, d=16):
    """Embeddings (count, d) around one axis, of all lengths."""
    directions = np.eye(d)[axis] + 0.1 * RANDOM.normal(size=(count, d))
    return (directions * RANDOM.uniform(0.1, 10, (count, 1))).astype(np.float32)


def sure(count):
    return np.tile(np.array([0.9, 0.1], np.float32), (count, 1))


def said(probabilities, embedding):
    return Outputs(np.empty((len(probabilities), 0), np.float32), probabilities, embedding)


def fit(count, quantile=0.99, confidence=0.5):
    return fit_abstention(GARMENTS[:count], cone(count, 0), quantile, confidence)


def test_about_as_many_known_images_are_called_foreign_as_the_quantile_says():
    found = reasons(fit(4000, quantile=0.95), OTHERS, said(sure(2000), cone(2000, 0)))
    assert found.count(UNLIKE) / 2000 == pytest.approx(0.05, abs=0.02)


def test_an_image_far_from_all_known_ones_is_foreign_however_sure_the_model_is():
    assert reasons(fit(200), OTHERS[:50], said(sure(50), cone(50, 1))) == [UNLIKE] * 50


def test_noise_is_foreign_however_sure_the_model_is_and_whatever_it_makes_of_it():
    noise = RANDOM.integers(0, 256, (50, 28, 28, 1), np.uint8)
    assert reasons(fit(2000), noise, said(sure(50), cone(50, 0))) == [UNLIKE] * 50
    assert reasons(fit(2000), OTHERS[:50], said(sure(50), cone(50, 0))).count(None) > 45


@pytest.mark.parametrize(("inverted", "answered"), [(1000, 0.9), (100, 0.75)])
def test_what_lies_between_two_kinds_of_known_images_is_foreign_wherever_they_stand(inverted, answered):
    """Collected images come last; if they are a twentieth, a hundredth of all is up to a fifth of them."""
    known = np.concatenate([GARMENTS[inverted:2000], 255 - GARMENTS[:inverted]])
    rule = fit_abstention(known, cone(2000, 0), 0.99, 0.5)
    clouds, _ = draw_nonsense(50, Form((28, 28), PicturesParams(channels=1, isolate=True)), seed=0)["clouds, images"]
    assert reasons(rule, clouds, said(sure(50), cone(50, 0))) == [UNLIKE] * 50
    for later in (OTHERS[:400], 255 - OTHERS[:400]):
        assert reasons(rule, later, said(sure(400), cone(400, 0))).count(None) > answered * 400


def test_a_version_without_descriptors_goes_by_its_embedding_alone_and_one_without_a_rule_never_abstains():
    noise = RANDOM.integers(0, 256, (50, 28, 28, 1), np.uint8)
    earlier = replace(fit(2000), appearance=None)
    assert reasons(earlier, noise, said(sure(50), cone(50, 0))).count(None) > 45
    assert reasons(earlier, noise, said(sure(50), cone(50, 1))) == [UNLIKE] * 50
    assert reasons(None, noise, said(np.full((50, 2), 0.5, np.float32), cone(50, 1))) == [None] * 50


def test_the_length_of_an_embedding_does_not_matter():
    rule, one = fit(200), cone(20, 0)
    assert reasons(rule, OTHERS[:20], said(sure(20), one)) == reasons(rule, OTHERS[:20], said(sure(20), 1000 * one))


def test_an_embedding_of_zeros_is_foreign():
    assert reasons(fit(200), OTHERS[:1], said(sure(1), np.zeros((1, 16), np.float32))) == [UNLIKE]


def test_cluttered_comes_before_unsure_and_unsure_before_unlike_and_the_limit_itself_is_sure():
    rule = fit(200)
    probabilities = np.array([[0.4, 0.35, 0.25], [0.5, 0.3, 0.2], [0.4, 0.35, 0.25]], np.float32)
    embeddings = np.concatenate([cone(1, 0), rule.neighbours[:1], cone(1, 1)])
    assert reasons(rule, GARMENTS[:3], said(probabilities, embeddings)) == [UNSURE, None, UNSURE]
    cluttered = [True, False, True]
    assert reasons(rule, GARMENTS[:3], said(probabilities, embeddings), cluttered) == [CLUTTERED, None, CLUTTERED]
    assert reasons(None, GARMENTS[:3], said(probabilities, embeddings), cluttered) == [CLUTTERED, None, CLUTTERED]


@pytest.mark.parametrize("images", [GARMENTS[:2], np.zeros((2, 28, 28, 1), np.uint8)])
def test_two_images_are_enough_for_a_rule_even_if_they_are_the_same(images):
    rule = fit_abstention(images, np.ones((2, 16), np.float32), 0.5, 0.5)
    found = reasons(rule, OTHERS[:3], said(sure(3), cone(3, 0)))
    assert len(found) == 3
    assert np.isfinite([rule.distance_limit, rule.appearance.limit]).all()


def test_an_answer_ranks_its_classes_and_says_why_it_should_not_be_relied_on():
    answer = Answer({"a": 0.2, "b": 0.7, "c": 0.1}, UNLIKE)
    assert [name for name, _ in answer.ranking] == ["b", "a", "c"]
    assert answer.to_dict() == {
        "predicted": "b",
        "confidence": 0.7,
        "probabilities": {"a": 0.2, "b": 0.7, "c": 0.1},
        "abstain": True,
        "reason": "unlike",
        "explanation": "the image is unlike any that the model knows",
    }
    assert Answer({"a": 0.5, "b": 0.5}, None).to_dict()["explanation"] is None
