"""Labels that are not those of similar images are seen."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from fashion.images.labels import label_support
from fashion.images.parts import shrink
from fashion.images.synthetic import draw


@pytest.fixture(scope="module")
def known():
    return draw(3000, 10, (28, 28), seed=1)


@pytest.fixture(scope="module")
def new():
    return draw(200, 10, (28, 28), seed=2)


def test_right_labels_are_those_of_similar_images(new, known):
    support = label_support(*new, *known)
    assert support["label_support"].mean() > 0.6
    assert support["class_label_support"].min() > 0.3


def test_right_labels_of_images_that_all_changed_alike_support_each_other(new, known):
    images, labels = new
    support = label_support(255 - images, labels, *known)
    assert support["label_support"].mean() > 0.4


def test_shuffled_labels_are_no_better_than_chance(new, known):
    images, labels = new
    support = label_support(images, np.random.default_rng(0).permutation(labels), *known)
    assert support["label_support"].mean() < 0.2


def test_two_classes_under_each_others_names_have_next_to_no_support(new, known):
    images, labels = new
    swapped = np.where(labels == 5, 8, np.where(labels == 8, 5, labels)).astype(np.uint8)
    support = label_support(images, swapped, *known)
    assert support["class_label_support"][np.isin(labels, (5, 8))].max() < 0.12
    assert support["class_label_support"][~np.isin(labels, (5, 8))].min() > 0.3


def test_large_images_are_compared_reduced_in_little_memory():
    images, labels = draw(600, 10, (96, 96), seed=1, channels=3)
    small = shrink(images, 32)
    tracemalloc.start()
    support = label_support(images[:200], labels[:200], images[200:], labels[200:])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pd.testing.assert_frame_equal(support, label_support(small[:200], labels[:200], small[200:], labels[200:]))
    assert peak < 64 << 20, "as floats the images themselves take 133 MB"


def test_an_image_does_not_support_itself():
    images = np.zeros((2, 8, 8), np.uint8)
    support = label_support(images[:1], np.array([3], np.uint8), images[1:], np.array([4], np.uint8))
    assert support["label_support"].tolist() == [0.0]


def test_copies_of_an_image_support_each_other():
    images, labels = np.zeros((30, 8, 8), np.uint8), np.full(30, 3, np.uint8)
    support = label_support(images, labels, np.full((5, 8, 8), 255, np.uint8), np.full(5, 1, np.uint8))
    assert support["label_support"].min() >= 0.9
