import numpy as np
import pytest
from scipy import ndimage

from fashion.errors import DataError
from fashion.images import photos
from fashion.images.isolation import connected_parts, flatten
from fashion.images.photos import Form
from fashion.params import PicturesParams

SIZE = (28, 28)


def garment(height=28, width=14):
    """A grey shirt on black, uint8 (28, 28): height and width as given, shades from 100 to 255."""
    image = np.zeros(SIZE, np.uint8)
    top, left = (28 - height + 1) // 2, (28 - width + 1) // 2
    image[top : top + height, left : left + width] = np.linspace(100, 255, height)[:, None]
    return image


def photograph(background, shade, shape=(300, 400), box=(60, 240, 200, 290)):
    """One shade on another: an object of 180 x 90 pixels."""
    picture = np.full(shape, background, np.float64)
    top, bottom, left, right = box
    picture[top:bottom, left:right] = shade
    return picture


def see(pixels, size=SIZE):
    return photos.see(pixels, Form(size, PicturesParams()))


def object_in(pixels, size=SIZE):
    """The isolated object, (height, width)."""
    image = see(pixels, size).image
    assert image.shape == (*size, 1)
    return image[..., 0]


def noisy(picture, deviation, seed=0):
    noise = np.random.default_rng(seed).normal(0, deviation, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


EXPECTED_BOX = (slice(0, 28), slice(7, 21))
"""Where an object of 180 x 90 pixels stands in the frame: 28 x 14 pixels, centred."""


def assert_is_the_box(image):
    assert image.dtype == np.uint8
    assert image[EXPECTED_BOX].min() > 200
    outside = image.copy()
    outside[EXPECTED_BOX] = 0
    assert not outside.any(), "the background is exactly 0"


def test_an_image_like_the_datasets_comes_through_unchanged():
    np.testing.assert_array_equal(object_in(garment()), garment())


def test_an_object_that_fills_most_of_the_border_is_not_taken_for_background():
    image = np.zeros(SIZE, np.uint8)
    image[:, 3:25] = np.random.default_rng(0).integers(120, 256, (28, 22))
    image[10:20] = np.random.default_rng(1).integers(120, 256, (10, 28))
    np.testing.assert_array_equal(object_in(image), image)


def test_a_small_object_out_of_the_centre_stays_where_it_is_in_an_image_of_the_right_size():
    image = np.zeros(SIZE, np.uint8)
    image[2:9, 3:8] = 180
    np.testing.assert_array_equal(object_in(image), image)


def test_the_negative_of_an_image_is_brought_back_exactly():
    np.testing.assert_array_equal(object_in(255 - garment()), garment())


def test_the_input_is_not_changed():
    picture = np.full((50, 60, 4), 255, np.uint8)
    picture[10:30, 10:30, :3] = 10
    before = picture.copy()
    see(picture)
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize(
    ("background", "shade"), [(255, 20), (235, 60), (235, 200), (128, 20), (128, 240), (0, 255), (20, 90)]
)
def test_an_object_is_bright_on_black_whatever_it_stood_on(background, shade):
    assert_is_the_box(object_in(photograph(background, shade).astype(np.uint8)))


def test_noise_in_a_photograph_becomes_no_part_of_the_object():
    for seed in range(20):
        assert_is_the_box(object_in(noisy(photograph(235, 30), 6, seed)))


@pytest.mark.parametrize("shade", [25, 150])
def test_a_background_that_darkens_to_one_side_is_background(shade):
    light = np.linspace(0.75, 1, 400)[None, :]
    image = object_in(noisy(photograph(240, shade) * light, 3))
    outside = image.copy()
    outside[EXPECTED_BOX] = 0
    assert image[EXPECTED_BOX].min() > 140
    assert not outside.any()


def test_grains_of_dust_do_not_widen_the_frame():
    picture = photograph(250, 30).astype(np.uint8)
    picture[5, 5] = picture[290, 390] = 0
    assert_is_the_box(object_in(picture))


@pytest.mark.parametrize("aspect", [0.5, 2])
@pytest.mark.parametrize("size", [(28, 28), (32, 24), (24, 40), (64, 64)])
def test_the_longest_edge_fills_the_frame_of_any_size_and_the_aspect_stays(size, aspect):
    picture = photograph(255, 0).astype(np.uint8)
    image = object_in(picture if aspect > 1 else picture.T, size)
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    assert image.shape == size
    assert height == size[0] or width == size[1]
    assert height / width == pytest.approx(aspect, rel=0.08)
    assert abs(rows[0] - (size[0] - 1 - rows[-1])) <= 1
    assert abs(columns[0] - (size[1] - 1 - columns[-1])) <= 1


def test_a_larger_copy_of_an_image_of_the_dataset_comes_back_to_it():
    original = garment()
    larger = original.repeat(10, axis=0).repeat(10, axis=1)
    found = object_in(larger)
    # What touches 13 grey levels of black is lost, and full contrast is given back: shades move a little.
    assert np.abs(found.astype(int) - original).max() < 14


def test_the_shades_within_an_object_keep_their_order():
    picture = np.full((100, 100), 255, np.uint8)
    picture[10:90, 30:70] = np.linspace(200, 0, 80)[:, None]
    column = object_in(picture)[:, 14].astype(int)
    assert (np.diff(column) > 0).all()
    assert column[-1] > 240


def test_grey_written_as_colour_is_the_same_grey():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(flatten(np.stack([grey] * 3, axis=-1)), grey)


def test_colours_weigh_as_the_eye_sees_them():
    red, green, blue = (flatten(np.array([[colour]], np.uint8))[0, 0] for colour in np.eye(3) * 255)
    assert (red, green, blue) == (76, 150, 29)


@pytest.mark.parametrize(("shade", "hidden"), [(0, 0), (30, 255), (230, 0), (255, 255)])
def test_what_is_transparent_is_background_whatever_colour_hides_there(shade, hidden):
    picture = np.full((300, 400, 4), hidden, np.uint8)
    picture[..., 3] = 0
    picture[60:240, 200:290] = (shade, shade, shade, 255)
    assert_is_the_box(object_in(picture))


def test_a_picture_without_transparency_does_not_change_by_an_alpha_channel():
    opaque = np.dstack([garment()] * 3 + [np.full(SIZE, 255, np.uint8)])
    np.testing.assert_array_equal(object_in(opaque), garment())


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (28, 28), (300, 200, 3), (40, 40, 4)])
@pytest.mark.parametrize("shade", [0, 128, 255])
def test_one_shade_all_over_is_refused(shape, shade):
    with pytest.raises(DataError, match="a single shade"):
        see(np.full(shape, shade, np.uint8))


@pytest.mark.parametrize("deviation", [1, 4, 8, 16, 24])
def test_nothing_but_noise_is_refused(deviation):
    picture = noisy(np.full((300, 300), 128.0), deviation)
    with pytest.raises(DataError, match="nothing stands out"):
        see(picture)


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (1, 400), (400, 1), (2, 2), (3, 7, 3), (5, 5, 4), (1, 1, 4)])
def test_every_shape_and_any_pixels_give_an_image_or_a_data_error(shape):
    for seed in range(30):
        pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
        try:
            image = object_in(pixels)
        except DataError:
            continue
        assert (image.shape, image.dtype) == (SIZE, np.uint8)
        assert image.any()


# Clutter


def cluttered(picture):
    return see(picture.clip(0, 255).astype(np.uint8)).cluttered


def wood(shape=(300, 400)):
    down, across = np.indices(shape)
    return 130 + 35 * np.sin(across / 4 + 0.6 * np.sin(down / 40))


def test_one_object_on_a_plain_background_is_not_cluttered():
    light = np.linspace(0.75, 1, 400)[None, :]
    for deviation in (0, 3, 6):
        assert not cluttered(noisy(photograph(235, 30), deviation) * 1.0)
        assert not cluttered(noisy(photograph(240, 150) * light, deviation) * 1.0)
    assert not cluttered(photograph(20, 200, box=(100, 300, 100, 300)))


@pytest.mark.parametrize("shape", [(224, 224, 3), (224, 224), (100, 60, 3), (300, 400, 3)])
def test_noise_in_colour_or_grey_is_cluttered(shape):
    for seed in range(5):
        assert cluttered(np.random.default_rng(seed).integers(0, 256, shape))


def test_an_object_on_striped_wood_is_cluttered():
    picture = wood()
    picture[60:240, 150:250] = 20
    assert cluttered(picture)


def test_stripes_are_cluttered():
    bars = np.where(np.indices((200, 200))[1] // 10 % 2, 30, 220)
    assert cluttered(bars)
    assert cluttered(bars.T)


def test_two_objects_are_cluttered_and_a_speck_beside_one_is_not():
    picture = photograph(250, 250)
    picture[100:200, 60:160] = picture[100:200, 240:340] = 30
    assert cluttered(picture)
    picture[100:200, 240:340] = 250
    picture[150:156, 250:256] = 30
    assert not cluttered(picture)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (28, 28), (64, 40)])
def test_the_connected_parts_are_those_that_scipy_finds(shape, share):
    mask = np.random.default_rng(3).random(shape) < share
    found, (expected, count) = connected_parts(mask), ndimage.label(mask, np.ones((3, 3)))
    assert len(set(zip(found.flat, expected.flat, strict=True))) == len(np.unique(expected))
    assert len(np.unique(found[mask])) == count
    assert not found[~mask].any()


def test_a_part_that_winds_through_the_whole_picture_is_one():
    mask = np.zeros((64, 64), np.bool_)
    mask[::2] = True
    mask[1::4, -1] = mask[3::4, 0] = True
    assert len(np.unique(connected_parts(mask)[mask])) == 1


def test_images_of_the_dataset_and_their_negatives_are_never_cluttered():
    split = garment()
    split[10:20] = 0
    for image in (garment(), split, 255 - split):
        assert not see(image).cluttered


# Pictures that are brought to the frame as they are


COLOURS = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)


def brought(pixels, size=(24, 40), channels=3, fit="pad", ground=255):
    pictures = PicturesParams(channels=channels, isolate=False, fit=fit, ground=ground)
    seen = photos.see(pixels, Form(size, pictures))
    assert not seen.cluttered
    assert (seen.image.shape, seen.image.dtype) == ((*size, channels), np.uint8)
    return seen.image


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_picture_of_the_right_size_keeps_its_pixels(fit):
    np.testing.assert_array_equal(brought(COLOURS, fit=fit), COLOURS)
    np.testing.assert_array_equal(brought(COLOURS, channels=1, fit=fit)[..., 0], flatten(COLOURS))


def test_grey_becomes_a_colour_without_a_tint():
    image = brought(garment(), SIZE)
    np.testing.assert_array_equal(image, np.repeat(garment()[..., None], 3, axis=2))


@pytest.mark.parametrize("ground", [0, 90, 255])
def test_the_ground_shows_where_a_picture_is_transparent_and_beside_one_that_is_padded(ground):
    clear = np.zeros((24, 40, 4), np.uint8)
    clear[:12] = 255
    image = brought(clear, ground=ground)
    assert (image[:12] == 255).all()
    assert (image[12:] == ground).all()
    tall = brought(np.full((40, 20, 3), 7, np.uint8), ground=ground)
    assert (tall[:, 14:26] == 7).all()
    assert (tall[:, :14] == ground).all()
    assert (tall[:, 26:] == ground).all()


def test_a_crop_shows_the_middle_and_a_stretch_all():
    wide = np.zeros((24, 120, 3), np.uint8)
    wide[:, :40] = (255, 0, 0)
    wide[:, 80:] = (0, 0, 255)
    assert not brought(wide, fit="crop")[:, 2:-2].any()
    whole = brought(wide, fit="stretch")
    np.testing.assert_array_equal(whole[12, 3], (255, 0, 0))
    np.testing.assert_array_equal(whole[12, -3], (0, 0, 255))


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (3, 7, 3), (5, 5, 4), (1, 1, 4)])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_every_shape_gives_an_image_also_of_one_shade(shape, fit):
    assert (brought(np.full(shape, 255, np.uint8), fit=fit, ground=255) == 255).all()
