"""Whether labels are credible: do images that look alike have the same label?"""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion.arrays import Bytes, Labels
from fashion.images.parts import PIXELS_AT_ONCE, shrink

NEIGHBOURS = 10
COMPARED_EDGE = 32
"""Larger images are reduced to this many pixels: of 64 x 64, support differs by a hundredth, and every image of a batch
is compared with all that are known."""
AT_ONCE = 1000
"""Bounds memory, once they are reduced."""


def label_support(images: Bytes, labels: Labels, known_images: Bytes, known_labels: Labels) -> pd.DataFrame:
    """Measure how well the labels of new images agree with those of the most similar images, new or known.

    Edited nearest neighbours: D. L. Wilson, "Asymptotic properties of nearest neighbor rules using edited data", IEEE
    Transactions on Systems, Man, and Cybernetics 2 (1972). Images that changed alike support each other, so a drift
    of the images does not cast doubt on labels; nor, however, does a wrong label on all images of a drifted class: that
    looks like a change of meaning.

    Args:
        images, labels: (n, height, width, channels) uint8 and (n,) uint8, n at least 1.
        known_images, known_labels: the same for images whose labels are trusted; they contain none of `images`.

    Returns:
        label_support: for each image, the share of its nearest neighbours that have its label, from 0 to 1;
        class_label_support: the mean of that over the images with its label.
    """
    known = np.concatenate([labels, known_labels])
    wanted = min(NEIGHBOURS, len(known) - 1)
    found = np.concatenate([_nearest(part, (images, known_images), wanted + 1) for part in _in_parts(images)])
    others = found != np.arange(len(images))[:, None]
    # An image is among its own neighbours, unless too many copies of it come first.
    others[others.all(axis=1), -1] = False
    agrees = (known[found] == labels[:, None]) & others
    table = pd.DataFrame({"label_support": agrees.sum(axis=1) / max(wanted, 1)})
    table["class_label_support"] = table.groupby(labels)["label_support"].transform("mean")
    return table


def reduced(images: Bytes) -> Bytes:
    """Return the images as they are compared, (n, height, width, channels); reduced ones are as they are."""
    if max(images.shape[1:3]) <= COMPARED_EDGE or not len(images):
        return images
    step = max(1, PIXELS_AT_ONCE // math.prod(images.shape[1:]))
    return np.concatenate(
        [shrink(images[start : start + step], COMPARED_EDGE) for start in range(0, len(images), step)]
    )


def _nearest(images: Bytes, known: tuple[Bytes, ...], count: int) -> NDArray[np.int64]:
    """Return the positions in all of `known` of the nearest to each image, (n, count), the nearest first.

    Of images that are equally near, the first is nearer. A search over all of them at once needs them as floats.
    """
    pixels, start = _pixels(images), 0
    distances: NDArray[np.float64] = np.empty((len(images), 0))
    places: NDArray[np.int64] = np.empty((len(images), 0), np.int64)
    for part in (part for every in known for part in _in_parts(every)):
        others = _pixels(part)
        # Squared, and less by the square of the image itself: whole numbers, so that what is equally near is equal.
        apart = (others**2).sum(axis=1) - 2 * (pixels @ others.T)
        place = np.arange(len(part))
        nearest = np.sort(np.argpartition(apart + place / len(part), min(count, len(part)) - 1)[:, :count])
        distances = np.concatenate([distances, np.take_along_axis(apart, nearest, axis=1)], axis=1)
        places = np.concatenate([places, start + nearest], axis=1)
        order = np.argsort(distances, axis=1, kind="stable")[:, :count]
        distances = np.take_along_axis(distances, order, axis=1)
        places = np.take_along_axis(places, order, axis=1)
        start += len(part)
    return places


def _in_parts(images: Bytes) -> Iterator[Bytes]:
    return (images[start : start + AT_ONCE] for start in range(0, len(images), AT_ONCE))


def _pixels(images: Bytes) -> NDArray[np.float64]:
    """Return the images, reduced, as rows."""
    return reduced(images).reshape(len(images), -1).astype(np.float64)
