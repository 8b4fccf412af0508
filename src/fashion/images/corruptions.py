"""Ways in which a service's images depart from its model's training data, each in severities 1 to 5.

Noise, blur, brightness and contrast have the strengths of CIFAR-10-C, made for images of nearly the same size: D.
Hendrycks and T. Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", ICLR
2019. Rotation, shift and scale have those of MNIST-C, with lengths as shares of the image's side: N. Mu and J. Gilmer,
"MNIST-C: a robustness benchmark for computer vision", 2019. For the others there is no published scale; theirs are
our own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fashion.arrays import Booleans, Bytes, Floats, Labels
from fashion.images.augmentation import Random, move

SEVERITIES = (1, 2, 3, 4, 5)
Strengths = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Corruption:
    """A change of images, the strength at each severity, and what the strength means."""

    change: Callable[[Bytes, float, Random], Bytes]
    strengths: Strengths
    meaning: str


@dataclass(frozen=True)
class MixChange:
    """A change in class frequencies: shares (classes,) in, shares out."""

    change: Callable[[Floats, float, Random], Floats]
    strengths: Strengths
    meaning: str


def corrupt(name: str, severity: int, images: Bytes, random: Random) -> Bytes:
    """Return a corrupted copy of images (n, height, width, channels); `name` is one of `CORRUPTIONS`."""
    corruption = CORRUPTIONS[name]
    return corruption.change(images, corruption.strengths[severity - 1], random)


def change_mix(name: str, severity: int, shares: Floats, random: Random) -> Floats:
    """Return changed shares of the classes, (classes,), which sum to 1; `name` is one of `MIX_CHANGES`."""
    mix = MIX_CHANGES[name]
    return mix.change(shares, mix.strengths[severity - 1], random)


def add_label_noise(labels: Labels, severity: int, classes: int, random: Random) -> Labels:
    """Return a copy of labels (n,) in which a share, `LABEL_NOISE` by severity, is changed to another class."""
    wrong = random.random(len(labels)) < LABEL_NOISE[severity - 1]
    others = (labels + random.integers(1, classes, len(labels))) % classes
    return np.where(wrong, others, labels)


def add_noise(images: Bytes, deviation: float, random: Random) -> Bytes:
    return _to_bytes(_to_shares(images) + random.normal(0, deviation, images.shape))


def blur(images: Bytes, deviation: float, _: Random) -> Bytes:
    return _to_bytes(ndimage.gaussian_filter(_to_shares(images), (0, deviation, deviation, 0), mode="nearest"))


def brighten(images: Bytes, added: float, _: Random) -> Bytes:
    return _to_bytes(_to_shares(images) + added)


def reduce_contrast(images: Bytes, kept: float, _: Random) -> Bytes:
    pixels = _to_shares(images)
    means = pixels.mean(axis=(1, 2, 3), keepdims=True)
    return _to_bytes((pixels - means) * kept + means)


def invert(images: Bytes, share: float, random: Random) -> Bytes:
    chosen = random.random(len(images)) < share
    return np.where(chosen[:, None, None, None], 255 - images, images)


def rotate(images: Bytes, angle: float, random: Random) -> Bytes:
    """Rotate by `angle` radians, to the left or to the right."""
    angles = angle * random.choice([-1, 1], len(images))
    cosines, sines = np.cos(angles), np.sin(angles)
    return _transform(images, np.array([[cosines, -sines], [sines, cosines]]).transpose(2, 0, 1))


def shrink(images: Bytes, factor: float, _: Random) -> Bytes:
    return _transform(images, np.broadcast_to(np.eye(2) / factor, (len(images), 2, 2)))


def shift(images: Bytes, share: float, random: Random) -> Bytes:
    """Shift by a share of the side, up or down and left or right."""
    signs = random.choice([-1, 1], (2, len(images)))
    down, right = (np.rint(share * side).astype(int) * way for side, way in zip(images.shape[1:3], signs, strict=True))
    return move(images, down, right)


def occlude(images: Bytes, share: float, random: Random) -> Bytes:
    """Black out a rectangle somewhere in the image, whose sides are a share of the image's."""
    rows, columns = (_covered(len(images), side, share, random) for side in images.shape[1:3])
    return np.where((rows[:, :, None] & columns[:, None, :])[..., None], np.uint8(0), images)


def tilt(shares: Floats, distance: float, random: Random) -> Floats:
    """Make a random half of the classes more frequent and the others less, by `distance` of all images."""
    frequent = np.isin(np.arange(len(shares)), random.permutation(len(shares))[: len(shares) // 2])
    gained = np.where(frequent, shares, 0) / shares[frequent].sum()
    lost = np.where(frequent, 0, shares) / shares[~frequent].sum()
    tilted: Floats = shares + distance * (gained - lost)
    return tilted


def remove_class(shares: Floats, missing: float, random: Random) -> Floats:
    """Remove that share of the images of one class, chosen at random."""
    kept = shares.copy()
    kept[random.integers(len(shares))] *= 1 - missing
    removed: Floats = kept / kept.sum()
    return removed


CORRUPTIONS: Mapping[str, Corruption] = {
    "noise": Corruption(add_noise, (0.04, 0.06, 0.08, 0.09, 0.10), "Gaussian, standard deviation as a share of white"),
    "blur": Corruption(blur, (0.4, 0.6, 0.7, 0.8, 1.0), "Gaussian, standard deviation in pixels"),
    "brightness": Corruption(brighten, (0.05, 0.1, 0.15, 0.2, 0.3), "added to every pixel, as a share of white"),
    "contrast": Corruption(reduce_contrast, (0.75, 0.5, 0.4, 0.3, 0.15), "share of the contrast that is kept"),
    "inversion": Corruption(invert, (0.05, 0.1, 0.2, 0.5, 1.0), "share of the images that come dark on bright"),
    "rotation": Corruption(rotate, (0.2, 0.4, 0.6, 0.8, 1.0), "radians, to either side"),
    "shift": Corruption(shift, (1 / 28, 2 / 28, 3 / 28, 4 / 28, 5 / 28), "share of the side, along both sides"),
    "scale": Corruption(shrink, (0.9, 0.8, 0.7, 0.6, 0.5), "size of the object, as a share of its own"),
    "occlusion": Corruption(occlude, (0.1, 0.2, 0.3, 0.4, 0.5), "sides of a black patch, as a share of the image's"),
}
MIX_CHANGES: Mapping[str, MixChange] = {
    "class mix": MixChange(tilt, (0.05, 0.1, 0.2, 0.3, 0.4), "share of the images that are of other classes"),
    "vanishing class": MixChange(
        remove_class, (0.4, 0.6, 0.8, 0.9, 1.0), "share of one class's images that is missing"
    ),
}
LABEL_NOISE: Strengths = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Share of the labels that are wrong."""


def _to_shares(images: Bytes) -> NDArray[np.float32]:
    return images.astype(np.float32) / np.float32(255)


def _to_bytes(pixels: Floats) -> Bytes:
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def _transform(images: Bytes, matrices: Floats) -> Bytes:
    """Transform each image by its matrix (2, 2) around its centre; the uncovered area is black."""
    centre = (np.array(images.shape[1:3]) - 1) / 2
    changed = np.empty_like(images)
    for image, matrix, target in zip(images, matrices, changed, strict=True):
        place = centre - matrix @ centre
        for channel in range(images.shape[3]):
            ndimage.affine_transform(image[..., channel], matrix, place, output=target[..., channel], order=1)
    return changed


def _covered(count: int, side: int, share: float, random: Random) -> Booleans:
    """Return which rows or columns (count, side) of each image lie under its patch."""
    length = round(share * side)
    starts = random.integers(0, side - length + 1, count)[:, None]
    positions = np.arange(side)
    return (positions >= starts) & (positions < starts + length)
