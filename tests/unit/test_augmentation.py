import numpy as np

from fashion.images.augmentation import move, shift_randomly


def images(count=6, channels=3):
    return np.random.default_rng(0).integers(1, 256, (count, 5, 7, channels), dtype=np.uint8)


def test_a_moved_image_leaves_black_behind():
    original = images(2)
    moved = move(original, down=np.array([1, 0]), right=np.array([-2, 0]))
    assert np.array_equal(moved[0, 1:, :-2], original[0, :-1, 2:])
    assert not moved[0, 0].any()
    assert not moved[0, :, -2:].any()
    assert np.array_equal(moved[1], original[1])


def test_shifting_leaves_its_argument_alone_and_keeps_type_and_shape():
    original = images()
    kept = original.copy()
    changed = shift_randomly(original, 1, np.random.default_rng(1))
    assert np.array_equal(original, kept)
    assert (changed.shape, changed.dtype) == (original.shape, np.uint8)
    assert not np.array_equal(changed, original)


def test_a_reach_of_nothing_changes_nothing():
    assert np.array_equal(shift_randomly(images(), 0, np.random.default_rng(1)), images())


def test_the_same_seed_gives_the_same_images():
    first, second = (shift_randomly(images(), 2, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)


def test_every_shift_within_reach_is_about_equally_likely():
    dots = np.zeros((9000, 5, 5, 1), np.uint8)
    dots[:, 2, 2] = 255
    places = shift_randomly(dots, 1, np.random.default_rng(5)).sum(axis=(0, 3), dtype=np.int64) / 255
    assert places[1:4, 1:4].min() > 850
    assert places.sum() == 9000
