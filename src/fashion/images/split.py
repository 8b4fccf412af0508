"""Dividing labelled images so that every class has its share on both sides."""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from fashion.arrays import Booleans, Bytes, Labels

Positions = NDArray[np.int64]


def stratified_split(labels: Labels, fraction: float, seed: int) -> tuple[Positions, Positions]:
    """Divide the positions of `labels` in two, each class in the same proportion; the same seed divides the same way.

    Args:
        labels: (n,), each class at least twice.
        fraction: share of the second part, between 0 and 1.
        seed: 0 to 2**32 - 1.

    Returns:
        The positions in the first and in the second part, each ascending.

    Raises:
        ValueError: a class occurs once, or a part would have fewer images than there are classes.
    """
    positions = np.arange(len(labels), dtype=np.int64)
    first, second = train_test_split(positions, test_size=fraction, random_state=seed, stratify=labels)
    return np.sort(first), np.sort(second)


def held_out(images: Bytes, fraction: float, salt: bytes = b"") -> Booleans:
    """Choose the images held out for testing by their pixels: copies of an image are never on both sides.

    Args:
        images: (n, height, width, channels).
        fraction: share that is held out, from 0 to 1.
        salt: a secret of at most 64 bytes; without it, whoever makes an image can predict which side it will be on.
    """
    limit = int(fraction * 2**64)
    digests = (blake2b(image.tobytes(), digest_size=8, key=salt).digest() for image in images)
    return np.array([int.from_bytes(digest, "big") < limit for digest in digests], dtype=bool)


def hold_out_groups(images: Bytes, groups: Positions, fraction: float, salt: bytes = b"") -> Booleans:
    """Choose the images held out, in whole groups: by the pixels of the first image of each.

    Args:
        images: (n, height, width, channels); the first of a group stays the first when more are added.
        groups: the number of each image's group, (n,).
        fraction: share of the groups that is held out, from 0 to 1.
        salt: as in `held_out`.
    """
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    chosen: Booleans = held_out(images[first], fraction, salt)[group]
    return chosen


def class_counts(labels: Labels, classes: int) -> NDArray[np.int64]:
    """Count the images of each class, (classes,)."""
    return np.bincount(labels, minlength=classes).astype(np.int64)
