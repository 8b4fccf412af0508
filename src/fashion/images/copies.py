"""When two images are near copies: the same object a moment later, moved a little, noisier or brighter.

A training image gives away what its near copy shows, so both belong on the same side of a split. The frames of a camera
differ in their pixels, and often nothing says where they come from: only the pictures themselves tell. `near_copies`
looks for them.

Their brightness must correlate, which silhouettes alone can do. So there is a second look: in colour at the hues,
without which the flags of Austria and Honduras are near copies; in grey at the details, without which 831 different
trousers of Fashion-MNIST are one group. docs/decisions/0051 has the figures.
"""

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Bytes
from fashion.images.grey import to_grey

ALIKE = 0.994
"""Images are near copies from this correlation on, once centred and slightly blurred."""
BLUR = 0.6
"""Standard deviation in pixels: it removes much of the noise of single pixels, and little of a garment."""
SAME_HUES = 0.85
"""In colour, and from this cosine of their colours on: another complexion passes, another hue does not."""
FAINT = 0.02
"""Colours count only as far as their variance passes this share of that of the brightness: noise has hues, too."""
SAME_DETAILS, BLUR_OF_DETAILS = 0.995, 1.3
"""In grey, and from this correlation of their slopes on, so blurred that half a pixel hardly changes them."""
NOISE = 8
"""Shades by which a pixel may differ from the ground without being part of what stands out."""
AT_ONCE = 1000
BLUE, RED = 0.564, 0.713
"""Of the differences from the brightness, as ITU-R BT.601 weighs them."""


def signatures(images: Bytes) -> NDArray[np.float32]:
    """Return unit vectors (n, d) whose products are correlations, wherever in the image the object is.

    The vector of an image of one shade is zero, so that it is like nothing, not even itself.

    A shift turns the phases of the Fourier coefficients, which brings the centre of mass to the same place in all of
    them, by any fraction of a pixel.

    Args:
        images: (n, height, width, channels), objects on a ground; of colours, their brightness is compared.
    """
    spectra = [_transform(to_grey(block), block, BLUR) for block in _blocks(images)]
    for spectrum in spectra:
        spectrum[:, 0, 0] = 0  # The mean: correlations do not depend on it.
    return np.concatenate([_scale(_as_reals(spectrum)) for spectrum in spectra])


def details(images: Bytes) -> NDArray[np.float32]:
    """Return unit vectors (n, d) whose products are the correlations of the slopes of the brightness.

    Args:
        images: (n, height, width, channels), moved as in `signatures`.
    """
    down, across = (np.fft.fftfreq(length) for length in images.shape[1:3])
    steepness = np.hypot(down[:, None], across)
    spectra = (_transform(to_grey(block), block, BLUR_OF_DETAILS) * steepness for block in _blocks(images))
    return np.concatenate([_scale(_as_reals(spectrum)) for spectrum in spectra])


def hues(images: Bytes) -> NDArray[np.float32]:
    """Return unit vectors (n, e) whose products are 1 for the same hues at the same places and -1 for opposite ones.

    Colours fainter than `FAINT` hardly count, and pictures without any have the same hues.

    Args:
        images: (n, height, width, 3), moved as in `signatures`.
    """
    return np.concatenate([_scale(_hues(block)) for block in _blocks(images)])


def _hues(images: Bytes) -> NDArray[np.float64]:
    grey = to_grey(images).astype(np.float64)
    contrast = np.linalg.norm(grey - grey.mean(axis=(1, 2), keepdims=True), axis=(1, 2))
    differences = (BLUE * (images[..., 2] - grey), RED * (images[..., 0] - grey))
    # The length of a spectrum is that of its image times the root of the number of pixels.
    floor = np.sqrt(FAINT * grey[0].size) * contrast[:, None]
    spectra = (_transform(difference, images, BLUR) for difference in differences)
    return np.concatenate([*map(_as_reals, spectra), floor], axis=1)


def _blocks(images: Bytes) -> list[Bytes]:
    return [images[start : start + AT_ONCE] for start in range(0, max(len(images), 1), AT_ONCE)]


def _transform(planes: NDArray[np.generic], images: Bytes, blur: float) -> NDArray[np.complex128]:
    """Return the Fourier coefficients of planes (n, height, width), blurred, and moved as the images are centred."""
    height, width = planes.shape[1:]
    down, across = np.fft.fftfreq(height), np.fft.fftfreq(width)
    low = np.exp(-2 * (np.pi * blur) ** 2 * (down[:, None] ** 2 + across**2))
    rows, columns = _centres(to_grey(images))
    turn = np.exp(2j * np.pi * (rows[:, None, None] * down[:, None] + columns[:, None, None] * across))
    return np.asarray(np.fft.fft2(planes) * low * turn)


def _as_reals(spectrum: NDArray[np.complex128]) -> NDArray[np.float64]:
    return np.ascontiguousarray(spectrum.reshape(len(spectrum), np.prod(spectrum.shape[1:]))).view(np.float64)


def _scale(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), np.float32)


def _centres(grey: Bytes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the row and column of the centre of what stands out from the ground, (n,) each.

    The ground has the median shade along the edge.
    """
    edge = np.concatenate([grey[:, 0], grey[:, -1], grey[:, 1:-1, 0], grey[:, 1:-1, -1]], axis=1)
    weights = np.maximum(np.abs(grey - np.median(edge, axis=1)[:, None, None]) - NOISE, 0)
    masses = np.maximum(weights.sum(axis=(1, 2)), 1)
    rows, columns = (np.arange(length) for length in grey.shape[1:])
    return weights.sum(axis=2) @ rows / masses, weights.sum(axis=1) @ columns / masses
