import numpy as np
import pytest

from fashion.images.synthetic import draw


def test_the_same_seed_draws_the_same_images():
    for first, second in zip(draw(50, 10, (28, 28), 3), draw(50, 10, (28, 28), 3), strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(draw(50, 10, (28, 28), 3)[0], draw(50, 10, (28, 28), 4)[0])


@pytest.mark.parametrize(("classes", "size"), [(2, (8, 8)), (7, (20, 33)), (23, (40, 24))])
def test_any_number_of_classes_and_any_size_can_be_drawn(classes, size):
    images, labels = draw(5 * classes + 1, classes, size, 0)
    assert images.shape == (5 * classes + 1, *size, 1)
    assert images.dtype == labels.dtype == np.uint8
    assert set(labels.tolist()) == set(range(classes))


def test_in_colour_each_object_has_a_tint_of_its_own_whatever_its_class():
    images, labels = draw(300, 3, (24, 40), 0, channels=3)
    grey, same_labels = draw(300, 3, (24, 40), 0)
    assert images.shape == (300, 24, 40, 3)
    assert draw(0, 3, (24, 40), 0, channels=3)[0].shape == (0, 24, 40, 3)
    np.testing.assert_array_equal(labels, same_labels)
    np.testing.assert_array_equal(images.max(axis=3), grey[..., 0])  # One channel is as bright as in grey.
    tints = images.sum(axis=(1, 2)) / images.sum(axis=(1, 2)).max(axis=1, keepdims=True)
    assert len(np.unique(tints.round(3), axis=0)) > 290
    means = [tints[labels == label].mean(axis=0) for label in range(3)]
    assert np.ptp(means, axis=0).max() < 0.1


def test_classes_are_equally_frequent_and_in_random_order():
    _, labels = draw(1000, 10, (8, 8), 0)
    assert np.bincount(labels).tolist() == [100] * 10
    assert len(set(labels[:100].tolist())) > 5


@pytest.mark.parametrize("size", [(8, 8), (28, 28)])
def test_objects_are_bright_on_a_black_background(size):
    images, _ = draw(2000, 30, size, 0)
    assert images.min(axis=(1, 2)).max() == 0
    assert images.max(axis=(1, 2)).min() >= 200
    assert images.std(axis=(1, 2)).min() > 10


def test_no_image_is_drawn_twice():
    images, _ = draw(20_000, 10, (28, 28), 0)
    assert len({image.tobytes() for image in images}) == len(images)


def test_classes_can_be_told_apart_but_not_by_a_glance():
    """The nearest mean image of a class is right far more often than chance, and wrong often enough."""
    images, labels = draw(2000, 10, (28, 28), 0)
    means = np.stack([images[labels == label].mean(axis=0).ravel() for label in range(10)])
    test_images, test_labels = draw(500, 10, (28, 28), 1)
    distances = np.linalg.norm(test_images.reshape(500, 1, -1) - means, axis=2)
    right = (distances.argmin(axis=1) == test_labels).mean()
    assert 0.4 < right < 0.9


def test_a_class_looks_the_same_whatever_the_number_of_classes():
    few_images, few_labels = draw(1500, 3, (28, 28), 0)
    many_images, many_labels = draw(6000, 12, (28, 28), 1)
    for label in range(3):
        few, many = few_images[few_labels == label].mean(axis=0), many_images[many_labels == label].mean(axis=0)
        assert np.corrcoef(few.ravel(), many.ravel())[0, 1] > 0.99
