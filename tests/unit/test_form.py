"""The form of the images follows from the pictures."""

import numpy as np
import pytest

from fashion.intake.form import choose_form, sample_picture


def sampled(height, width, longest=None, channels=3, level=200):
    return sample_picture(np.full((height, width, channels), level, np.uint8), longest or max(height, width))


@pytest.mark.parametrize(
    ("sizes", "size"),
    [
        ([(64, 64)], (64, 64)),
        ([(8, 8)], (8, 8)),
        ([(5, 4)], (8, 8)),
        ([(400, 400)], (64, 64)),
        ([(300, 400)] * 4, (48, 64)),
        ([(400, 300)] * 4, (64, 48)),
        ([(300, 400), (400, 300), (300, 300)], (64, 64)),
        ([(20, 20), (30, 30), (1000, 1000)], (30, 30)),
    ],
)
def test_the_size_is_that_of_the_middle_picture_and_keeps_an_aspect_that_most_have(sizes, size):
    assert choose_form([sampled(*one) for one in sizes], None).size == size


def test_a_size_that_was_asked_for_is_taken():
    assert choose_form([sampled(64, 64)], (20, 30)).size == (20, 30)


@pytest.mark.parametrize(("level", "ground"), [(250, 255), (3, 0)])
def test_the_ground_is_like_the_edges_of_the_pictures(level, ground):
    assert choose_form([sampled(10, 10, level=level)], None).pictures.ground == ground


def test_what_is_transparent_shows_white():
    pixels = np.zeros((9, 9, 4), np.uint8)
    assert choose_form([sample_picture(pixels, 9)], None).pictures.ground == 255
    pixels[..., 3] = 255
    assert choose_form([sample_picture(pixels, 9)], None).pictures.ground == 0
