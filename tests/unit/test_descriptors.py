import numpy as np
import pytest

from fashion.arrays import LabelledImages
from fashion.images import descriptors
from fashion.images.descriptors import WATCHED, WATCHED_IN_COLOUR, describe, describe_dataset, watched

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (7, 4, 6, 1), np.uint8)


def test_descriptors_are_what_numpy_says_of_the_pixels():
    table = describe(IMAGES)
    pixels = IMAGES.reshape(7, -1).astype(float)
    np.testing.assert_allclose(table["mean"], pixels.mean(axis=1))
    np.testing.assert_allclose(table["standard_deviation"], pixels.std(axis=1))
    np.testing.assert_array_equal(table["minimum"], pixels.min(axis=1))
    np.testing.assert_array_equal(table["maximum"], pixels.max(axis=1))
    np.testing.assert_allclose(table["ink_fraction"], (pixels > 25).mean(axis=1))
    assert table["height"].unique().tolist() == [4]
    assert table["width"].unique().tolist() == [6]


def test_colours_are_described_by_channel_by_saturation_and_by_sharpness():
    colours = RANDOM.integers(0, 256, (5, 6, 8, 3), np.uint8)
    table = describe(colours)
    assert watched(table) == [*WATCHED, *WATCHED_IN_COLOUR]
    assert watched(describe(IMAGES)) == list(WATCHED)
    for number, colour in enumerate(("red", "green", "blue")):
        channel = colours[..., number].reshape(5, -1)
        np.testing.assert_allclose(table[f"{colour}_mean"], channel.mean(axis=1))
        np.testing.assert_allclose(table[f"{colour}_standard_deviation"], channel.std(axis=1))
    grey = np.repeat(colours[..., :1], 3, axis=3)
    assert (describe(grey)["saturation"] == 0).all()
    pure = np.zeros_like(colours)
    pure[..., 2] = 90
    assert (describe(pure)[["saturation", "sharpness"]] == [1, 0]).all(axis=None)
    dot = np.zeros((1, 5, 5, 3), np.uint8)
    dot[0, 2, 2] = 200
    # Of nine pixels inside, one differs from those around it by 200, four by 50.
    assert describe(dot)["sharpness"].item() == pytest.approx((200 + 4 * 50) / 9)


def test_the_brightness_of_colours_is_described_as_that_of_grey():
    table, grey = describe(np.repeat(IMAGES, 3, axis=3)), describe(IMAGES)
    assert table[list(WATCHED)].equals(grey[list(WATCHED)])


def test_images_described_in_parts_are_described_the_same(monkeypatch):
    whole = describe(IMAGES)
    monkeypatch.setattr(descriptors, "PIXELS_AT_ONCE", 50)
    assert describe(IMAGES).equals(whole)


def test_no_image_is_described_by_no_row():
    assert describe(IMAGES[:0]).dtypes.equals(describe(IMAGES).dtypes)
    assert not len(describe(IMAGES[:0]))


def test_one_pixel_makes_another_content_hash():
    images = np.stack([IMAGES[0], IMAGES[0], IMAGES[0]])
    images[2, 3, 5, 0] ^= 1
    hashes = describe(images)["content_hash"]
    assert hashes[0] == hashes[1] != hashes[2]


def test_copies_are_counted_from_the_second_one_on_and_across_the_splits():
    train = np.stack([IMAGES[0], IMAGES[1], IMAGES[0], IMAGES[0], IMAGES[2]])
    test = np.stack([IMAGES[2], IMAGES[3], IMAGES[2]])
    table = describe_dataset(
        {
            "train": LabelledImages(train, np.arange(5, dtype=np.uint8)),
            "test": LabelledImages(test, np.arange(3, dtype=np.uint8)),
        }
    )
    assert table["split"].tolist() == ["train"] * 5 + ["test"] * 3
    assert table["index"].tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    assert table["label"].tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    assert table["earlier_copies"].tolist() == [0, 0, 1, 2, 0, 0, 0, 1]
    assert table["copies_in_test"].tolist() == [0, 0, 0, 0, 2, 0, 0, 0]
    assert table.index.tolist() == list(range(8))


@pytest.mark.parametrize(
    "column", ["label", "index", "minimum", "maximum", "height", "width", "earlier_copies", "copies_in_test"]
)
def test_whole_numbers_are_stored_as_such(column):
    split = LabelledImages(IMAGES, np.zeros(7, np.uint8))
    assert describe_dataset({"train": split, "test": split})[column].dtype == np.int64
