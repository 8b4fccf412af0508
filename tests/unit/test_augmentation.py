import numpy as np

from fashion.images.augmentation import augment, mirror, move


def images(count=6):
    return np.random.default_rng(0).integers(1, 256, (count, 5, 7), dtype=np.uint8)


def test_only_the_chosen_images_are_mirrored():
    original = images(2)
    mirrored = mirror(original, np.array([True, False]))
    assert np.array_equal(mirrored[0], original[0, :, ::-1])
    assert np.array_equal(mirrored[1], original[1])


def test_a_moved_image_leaves_black_behind():
    original = images(2)
    moved = move(original, down=np.array([1, 0]), right=np.array([-2, 0]))
    assert np.array_equal(moved[0, 1:, :-2], original[0, :-1, 2:])
    assert not moved[0, 0].any()
    assert not moved[0, :, -2:].any()
    assert np.array_equal(moved[1], original[1])


def test_augmentation_leaves_its_argument_alone_and_keeps_type_and_shape():
    original = images()
    kept = original.copy()
    changed = augment(original, flip=True, shift=1, random=np.random.default_rng(1))
    assert np.array_equal(original, kept)
    assert (changed.shape, changed.dtype) == (original.shape, np.uint8)
    assert not np.array_equal(changed, original)


def test_the_same_seed_gives_the_same_images():
    first, second = (augment(images(), True, 2, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)


def test_about_half_of_many_images_are_mirrored():
    many = np.zeros((2000, 1, 2), np.uint8)
    many[:, 0, 0] = 1
    mirrored = augment(many, flip=True, shift=0, random=np.random.default_rng(5))[:, 0, 1].mean()
    assert 0.45 < mirrored < 0.55
