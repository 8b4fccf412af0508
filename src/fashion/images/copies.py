"""Which images are near copies of each other: the same object a moment later, moved a little, noisier or brighter.

A training image gives away what its near copy shows, so both belong on the same side of a split. The frames of a camera
differ in their pixels, and often nothing says where they come from: only the pictures themselves tell.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fashion.arrays import Bytes
from fashion.images.grey import to_grey

ALIKE = 0.994
"""Images are near copies from this correlation on, once centred and slightly blurred: of 5,000 test images of
Fashion-MNIST, 47 have another one this close; at 0.99 it would be 238."""
BLUR = 0.6
"""Standard deviation in pixels: it removes much of the noise of single pixels, and little of a garment."""
AT_ONCE = 1000


def group_near_copies(images: Bytes) -> NDArray[np.int64]:
    """Return the number of each image's group: (n,). Near copies of near copies are in the same group, too.

    Args:
        images: (n, height, width, channels), objects on a dark ground; of colours, their brightness is compared.
    """
    groups = np.arange(len(images))
    # Joined block by block: a stationary camera produces more pairs than fit into memory.
    for rows, columns in _pairs(signatures(images)) if len(images) else ():
        links = coo_array((np.ones(len(rows)), (groups[rows], groups[columns])), shape=(len(images),) * 2)
        groups = connected_components(links, directed=False)[1][groups].astype(np.int64)
    return groups


def _pairs(signed: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the positions of images that are alike; every image is like itself."""
    for start in range(0, len(signed), AT_ONCE):
        rows, columns = np.nonzero(signed[start : start + AT_ONCE] @ signed[start:].T >= ALIKE)
        yield rows + start, columns + start


def signatures(images: Bytes) -> NDArray[np.float32]:
    """Return unit vectors (n, d) whose products are correlations, wherever in the image the object is.

    The vector of an image of one shade is zero, so that it is like nothing, not even itself.

    A shift turns the phases of the Fourier coefficients, which brings the centre of mass to the same place in all of
    them, by any fraction of a pixel.
    """
    return np.concatenate([_sign(images[start : start + AT_ONCE]) for start in range(0, len(images), AT_ONCE)])


def _sign(images: Bytes) -> NDArray[np.float32]:
    images = to_grey(images)
    height, width = images.shape[1:]
    down, across = np.fft.fftfreq(height), np.fft.fftfreq(width)
    low = np.exp(-2 * (np.pi * BLUR) ** 2 * (down[:, None] ** 2 + across**2))
    rows, columns = _centres(images)
    turn = np.exp(2j * np.pi * (rows[:, None, None] * down[:, None] + columns[:, None, None] * across))
    spectrum = np.fft.fft2(images) * low * turn
    spectrum[:, 0, 0] = 0  # The mean: correlations do not depend on it.
    parts = np.ascontiguousarray(spectrum.reshape(len(images), -1)).view(np.float64)
    lengths = np.linalg.norm(parts, axis=1, keepdims=True)
    signed: NDArray[np.float32] = (parts / np.maximum(lengths, 1e-9)).astype(np.float32)
    return signed


def _centres(images: Bytes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the row and column of each centre of mass, (n,) each."""
    weights = images.astype(np.float64)
    masses = np.maximum(weights.sum(axis=(1, 2)), 1)
    rows, columns = (np.arange(length) for length in images.shape[1:])
    return weights.sum(axis=2) @ rows / masses, weights.sum(axis=1) @ columns / masses
