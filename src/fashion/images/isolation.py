"""Isolating one object: grey, bright on black, filling the frame.

The steps follow how Fashion-MNIST was made from photographs (https://arxiv.org/abs/1708.07747, section 2): trim the
background, scale the longest edge to the frame, centre, negate, convert to grey.

Pillow is used only for resampling, as an array library: float32 arrays in, float32 arrays out.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fashion.arrays import Booleans, Bytes
from fashion.errors import DataError
from fashion.images.grey import brightness

BLACK, WHITE = 0, 255
NEAR = 8
"""Grey levels to either side that count as the same shade."""
TOLERANCE = 32
"""Grey levels around the background that may be noise and shading; anything farther away is the object."""
LEAST_CONTRAST = 13
"""Grey levels, 5 % of all: smaller differences are ignored. Fashion-MNIST was trimmed with the same limit."""
LEAST_LIGHT = 0.1
"""Share of the object's brightest pixel from which a pixel counts when the object is trimmed; shadows are below it."""
LEAST_SHARE = 0.005
"""A row or column belongs to the object if more than this share of its pixels does; dust is below it."""
LEAST_COVER = 0.001
"""The least share of the picture that an object covers; of normal noise, 0.00003 exceeds the margin on one side."""
MOST_NOISE = 10
"""The largest standard deviation of a plain background, in grey levels. For simulated photographs with noise and JPEG
artefacts it is 0 to 4; for noise, clouds and striped wood 11 and more."""
LEAST_GROUND = 2 / 3
"""The least share of the border that shows the background: an object may extend beyond one or two sides."""
LEAST_WHOLE = 0.6
"""The least share of the light in the largest part of the object. 0.2 % of Fashion-MNIST's validation images have less,
because a dark middle divides them; with two similar shoes, each has half."""

Grey = Bytes
Light = NDArray[np.float32]
"""How much each pixel stands out from the background, 0 or more."""


def isolate(pixels: Bytes, size: tuple[int, int]) -> tuple[Grey, bool]:
    """Return the picture's object, bright on black (height, width), and whether the picture is cluttered.

    An image that already has the dataset's size and a black background is returned unchanged; on a white background
    it is only negated. Anything else is separated from its background, trimmed, scaled with its aspect kept, centred
    and stretched to full contrast.

    Args:
        pixels: uint8 grey (h, w), RGB (h, w, 3) or RGBA (h, w, 4).
        size: height and width in pixels of the dataset's images.

    Raises:
        DataError: nothing stands out from the background.
    """
    grey = flatten(pixels)
    if grey.min() == grey.max():
        raise DataError("the picture is a single shade; expected an object on a background")
    background = find_background(grey)
    if grey.shape == size and min(background, WHITE - background) < LEAST_CONTRAST:
        return (WHITE - grey if background > WHITE // 2 else grey), False
    difference = grey - _shading(grey, background)
    noise = _noise(difference)
    margin = max(LEAST_CONTRAST, 4 * noise)
    image = place(trim(stand_out(difference, margin)), size)
    plain = noise <= MOST_NOISE and np.mean(np.abs(difference[_border(grey)]) <= margin) >= LEAST_GROUND
    return image, not plain or _largest_part(image) < LEAST_WHOLE


def flatten(pixels: Bytes) -> Grey:
    """Convert a picture to grey (h, w); transparency becomes black behind a bright object, white behind a dark one."""
    if pixels.ndim == 2:
        return pixels
    grey = brightness(pixels[..., :3])
    if pixels.shape[2] == 4:
        grey = _composite(grey, pixels[..., 3].astype(np.int64))
    return grey.astype(np.uint8)


def find_background(grey: Grey) -> int:
    """Return the shade of the background: the most common one along the border.

    An object that reaches the border, as the dataset's do, is more varied than the background. For all 70,000 images of
    Fashion-MNIST this finds 0.
    """
    border = grey[_border(grey)].astype(np.int64)
    alike = np.convolve(np.bincount(border, minlength=256), np.ones(2 * NEAR + 1, np.int64), mode="same")
    return int(np.median(border[np.abs(border - alike.argmax()) <= NEAR]))


def stand_out(difference: Light, margin: float) -> Light:
    """Return by how much more than `margin` each pixel differs, in the direction (darker or brighter) of the object."""
    brighter, darker = ((sign * difference - margin).clip(min=0) for sign in (1, -1))
    return brighter if brighter.sum() >= darker.sum() else darker


def trim(light: Light) -> Light:
    """Return the part of the picture that contains the object.

    Raises:
        DataError: nothing stands out.
    """
    clear = light > LEAST_LIGHT * light.max()
    rows, columns = (
        np.flatnonzero(np.count_nonzero(clear, axis=axis) > LEAST_SHARE * light.shape[axis]) for axis in (1, 0)
    )
    box = _span(rows), _span(columns)
    # If only specks stand out, the rows and columns that contain them may intersect where there are none.
    if np.count_nonzero(clear[box]) < max(1, LEAST_COVER * clear.size):
        raise DataError("nothing stands out from the background; expected one object on a plain background")
    return light[box]


def place(light: Light, size: tuple[int, int]) -> Grey:
    """Scale the object's longest edge to the frame's, centred on 0, with its brightest pixel 255 as in the dataset."""
    scale = min(size[0] / light.shape[0], size[1] / light.shape[1])
    height, width = (max(1, round(length * scale)) for length in light.shape)
    scaled = Image.fromarray(light).resize((width, height), Image.Resampling.LANCZOS)
    values = np.asarray(scaled).clip(min=0)
    image = np.zeros(size, np.uint8)
    # An odd pixel goes above and to the left, as in the dataset.
    top, left = (size[0] - height + 1) // 2, (size[1] - width + 1) // 2
    image[top : top + height, left : left + width] = np.rint(values * (WHITE / values.max()))
    return image


def _span(indices: NDArray[np.intp]) -> slice:
    return slice(indices[0], indices[-1] + 1) if indices.size else slice(0)


def _border(picture: Grey | Light) -> Booleans:
    mask = np.ones(picture.shape, np.bool_)
    mask[1:-1, 1:-1] = False
    return mask


def _noise(difference: Light) -> float:
    """Estimate the standard deviation of the background's noise from the border, ignoring objects that reach it."""
    around = np.abs(difference[_border(difference)])
    # 1.4826 times the median deviation is the standard deviation of normal noise.
    return 1.4826 * float(np.median(around[around <= TOLERANCE]))


def _largest_part(image: Grey) -> float:
    """Return the share of the light that is in the largest connected part; corners connect."""
    clear = image > LEAST_LIGHT * WHITE
    light = np.bincount(connected_parts(clear)[clear], weights=image[clear])
    return float(light.max() / light.sum())


def connected_parts(mask: Booleans) -> NDArray[np.intp]:
    """Return for every pixel of a mask (h, w) the number of its connected part, 0 outside; corners connect.

    Each pixel has a number of its own at first, and takes the largest one around it, then the one that the pixel of
    that number has by then: so it takes about as many rounds as a part's length has digits in binary (Y. Shiloach and
    U. Vishkin, "An O(log n) parallel connectivity algorithm", Journal of Algorithms 3, 1982). SciPy has this ready,
    but would be a quarter of an installed service.
    """
    numbers = np.arange(1, mask.size + 1).reshape(mask.shape) * mask
    while True:
        rows = np.pad(numbers, 1)
        rows = np.maximum(np.maximum(rows[:-2], rows[1:-1]), rows[2:])
        around = np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]) * mask
        found = np.append(0, around)[around]
        if np.array_equal(found, numbers):
            return numbers
        numbers = found


def _shading(grey: Grey, background: int) -> Light:
    """Fit a plane (h, w) through the shades of the border, which may get steadily brighter in some direction.

    Objects that reach the border are ignored.
    """
    rows, columns = (axis.astype(np.float32) for axis in np.indices(grey.shape))
    terms = np.stack([np.ones_like(rows), rows / grey.shape[0], columns / grey.shape[1]], axis=-1)
    border = _border(grey)
    at, shades = terms[border], grey[border].astype(np.float32)
    plane = np.array([background, 0, 0], np.float32)
    # Each round includes the pixels close to the previous plane: 8 rounds follow a slope to the far side.
    for _ in range(8):
        close = np.abs(shades - at @ plane) <= TOLERANCE
        plane = np.linalg.lstsq(at[close], shades[close], rcond=None)[0]
    shading: Light = terms @ plane
    return shading


def _composite(grey: NDArray[np.int64], alpha: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put the object on a black or white canvas, whichever differs more from its own shade."""
    bright = int((grey * alpha).sum()) >= int(alpha.sum()) * (WHITE + 1) // 2
    canvas = BLACK if bright else WHITE
    return (grey * alpha + canvas * (WHITE - alpha) + WHITE // 2) // WHITE
