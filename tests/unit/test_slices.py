"""Slices of a test set are what the training images say, and what their form can show."""

import numpy as np
import pytest

from fashion.arrays import LabelledImages
from fashion.evaluation.judgement import JudgementParams
from fashion.images.descriptors import describe_colours, measure_sharpness
from fashion.images.photos import Form
from fashion.images.slices import WORDS, belong, define_slices, describe_for_slices
from fashion.params import PicturesParams

ISOLATED = PicturesParams()
GREY = PicturesParams(isolate=False, fit="pad", ground=0)
COLOUR = PicturesParams(channels=3, isolate=False, fit="pad", ground=255)
CLASSES = ("Shirt", "<b>Coat</b>", "Bag")


def make_images(count, channels=1, seed=0):
    """Each image has a brightness and a contrast of its own."""
    random = np.random.default_rng(seed)
    levels = random.uniform(40, 200, (count, 1, 1, 1))
    noise = random.uniform(-1, 1, (count, 12, 10, channels)) * random.uniform(5, 40, (count, 1, 1, 1))
    return LabelledImages(np.clip(levels + noise, 0, 255).astype(np.uint8), np.arange(count) % 3)


def named(slices):
    return {one.name: one for one in slices}


@pytest.mark.parametrize(
    ("pictures", "names"),
    [
        (ISOLATED, {"dark", "low_contrast", "blurred", "small", "rare_class"}),
        (GREY, {"dark", "low_contrast", "blurred", "rare_class"}),
        (COLOUR, {"dark", "low_contrast", "blurred", "pale", "rare_class"}),
    ],
    ids=["an object on black", "grey", "colour"],
)
def test_the_form_of_the_images_decides_which_slices_there_are(pictures, names):
    train = make_images(60, pictures.channels)
    slices = define_slices(train, Form((12, 10), pictures), CLASSES)
    assert {one.name for one in slices} == names
    assert names <= set(WORDS)


def test_every_slice_has_words_and_may_be_declared():
    assert set(JudgementParams.model_fields["slices"].default) == set(WORDS)


def test_a_slice_is_the_lowest_tenth_of_the_training_images_and_no_share_of_the_test_images():
    train, form = make_images(1_000), Form((12, 10), GREY)
    slices = named(define_slices(train, form, CLASSES))
    table = describe_for_slices(train.images)
    assert belong(slices["dark"], table, train.labels).mean() == pytest.approx(0.1)
    darker = LabelledImages((train.images * 0.2).astype(np.uint8), train.labels)
    assert belong(slices["dark"], describe_for_slices(darker.images), darker.labels).all()
    brighter = describe_for_slices(np.maximum(train.images, 150))
    assert not belong(slices["dark"], brighter, train.labels).any()
    assert f"below {slices['dark'].below:.4g}" in slices["dark"].definition


def test_images_that_are_all_alike_are_on_no_slice():
    alike = LabelledImages(np.full((50, 12, 10, 1), 7, np.uint8), np.zeros(50, np.int64))
    slices = define_slices(alike, Form((12, 10), ISOLATED), CLASSES[:1])
    table = describe_for_slices(alike.images)
    assert not any(belong(one, table, alike.labels).any() for one in slices)


@pytest.mark.parametrize("paler", [0, 3])
def test_images_that_share_the_lowest_value_are_on_the_slice_though_they_are_more_than_a_tenth(paler):
    train = make_images(300, channels=3)
    grey = np.arange(300) < 90
    train.images[grey] = np.uint8([121, 120, 120]) if paler else 120
    train.images[:paler] = 120
    pale = named(define_slices(train, Form((12, 10), COLOUR), CLASSES))["pale"]
    assert belong(pale, describe_for_slices(train.images), train.labels).tolist() == grey.tolist()
    assert pale.definition.endswith("as in the lowest 30% of the training images")


def test_a_class_is_rare_below_half_of_the_average_class():
    labels = np.repeat([0, 1, 2], [300, 30, 30])
    train = LabelledImages(np.zeros((360, 8, 8, 1), np.uint8), labels)
    rare = named(define_slices(train, Form((8, 8), GREY), CLASSES))["rare_class"]
    assert rare.labels == (1, 2)
    assert rare.definition.endswith("half of the average class: <b>Coat</b> (30), Bag (30)")
    table = describe_for_slices(train.images[:4])
    assert belong(rare, table, np.array([0, 1, 2, 0])).tolist() == [False, True, True, False]


def test_of_many_classes_those_without_a_training_image_are_rare():
    labels = np.arange(512) % 255
    train = LabelledImages(np.zeros((512, 8, 8, 1), np.uint8), labels)
    classes = tuple(f"class {number}" for number in range(256))
    rare = named(define_slices(train, Form((8, 8), GREY), classes))["rare_class"]
    assert rare.labels == (255,)


@pytest.mark.parametrize("channels", [1, 3])
def test_sharpness_falls_when_images_are_blurred_whether_grey_or_in_colour(channels):
    images = make_images(20, channels).images
    flat = np.repeat(np.repeat(images[:, ::4, ::4], 4, axis=1), 4, axis=2)[:, :12, :10]
    assert (measure_sharpness(flat) < measure_sharpness(images)).all()
    if channels == 3:
        np.testing.assert_array_equal(measure_sharpness(images), describe_colours(images)["sharpness"])
