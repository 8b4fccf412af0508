import numpy as np
import pytest

from fashion.images.nonsense import KINDS, draw_nonsense
from fashion.images.photos import Form
from fashion.params import PicturesParams

GREY = PicturesParams()
COLOUR = PicturesParams(channels=3, isolate=False, fit="crop", ground=255)


@pytest.mark.parametrize("form", [Form((28, 28), GREY), Form((32, 20), GREY), Form((24, 40), COLOUR)])
def test_every_kind_is_drawn_as_images_and_as_pictures_and_the_same_seed_draws_the_same(form):
    drawn, again = draw_nonsense(5, form, seed=3), draw_nonsense(5, form, seed=3)
    assert set(drawn) == {f"{kind}, {way}" for kind in KINDS for way in ("images", "pictures")}
    for name, (images, cluttered) in drawn.items():
        assert (images.dtype, images.shape[1:]) == (np.uint8, form.shape)
        assert len(images) == len(cluttered) <= 5
        np.testing.assert_array_equal(images, again[name][0])
        assert not cluttered.any() or name.endswith("pictures")
    assert not np.array_equal(drawn["noise, images"][0], draw_nonsense(5, form, seed=4)["noise, images"][0])


def test_nearly_all_pictures_of_nonsense_are_cluttered():
    for name, (_, cluttered) in draw_nonsense(40, Form((28, 28), GREY), seed=0).items():
        if name.endswith("pictures"):
            assert cluttered.mean() > 0.9, name
