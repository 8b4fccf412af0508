"""Whether labels are credible: do images that look alike have the same label?"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from fashion.arrays import Bytes, Labels

NEIGHBOURS = 10


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
    everything = np.concatenate([_pixels(images), _pixels(known_images)])
    known = np.concatenate([labels, known_labels])
    wanted = min(NEIGHBOURS, len(everything) - 1)
    search = NearestNeighbors(n_neighbors=wanted + 1, algorithm="brute").fit(everything)
    found = search.kneighbors(_pixels(images), return_distance=False)
    others = found != np.arange(len(images))[:, None]
    # An image is among its own neighbours, unless too many copies of it come first.
    others[others.all(axis=1), -1] = False
    agrees = (known[found] == labels[:, None]) & others
    table = pd.DataFrame({"label_support": agrees.sum(axis=1) / max(wanted, 1)})
    table["class_label_support"] = table.groupby(labels)["label_support"].transform("mean")
    return table


def _pixels(images: Bytes) -> NDArray[np.float32]:
    return images.reshape(len(images), -1).astype(np.float32)
