"""Descriptors: a few numbers that describe an image. This table is validated and compared, never the pixels."""

import math
from collections.abc import Callable, Mapping
from hashlib import blake2b

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion.arrays import Bytes, LabelledImages
from fashion.images.grey import to_grey

INK_ABOVE = 25
"""Pixels brighter than this, a tenth of the range, belong to the object."""
PIXELS_AT_ONCE = 1 << 22
"""Bounds memory: 8 bytes each while the standard deviation is taken."""
WATCHED = ("mean", "standard_deviation", "minimum", "maximum", "ink_fraction")
"""The columns of `describe` by which a drift is found, whatever the images are."""
WATCHED_IN_COLOUR = (
    *(f"{colour}_{figure}" for colour in ("red", "green", "blue") for figure in ("mean", "standard_deviation")),
    "saturation",
    "sharpness",
)
"""Those that there are for images in colour only."""


def describe(images: Bytes) -> pd.DataFrame:
    """Return one row per image.

    Args:
        images: (n, height, width, channels) uint8; of colours, the brightness is described.

    Returns:
        mean, standard_deviation, minimum, maximum: of the pixels, 0 to 255; ink_fraction: share of pixels brighter than
        `INK_ABOVE`; height, width: in pixels; content_hash: equal for images with the same pixels and size. For images
        in colour also the columns of `describe_colours`.
    """
    return _in_parts(_describe_part, images)


def describe_dataset(splits: Mapping[str, LabelledImages]) -> pd.DataFrame:
    """Return the descriptors of all splits, and how often an image occurs.

    Args:
        splits: by name; one of them is `test`.

    Returns:
        split, index (position in the split), label, the columns of `describe`, earlier_copies (images with the same
        content before this one in its split) and copies_in_test (for images of other splits, else 0).
    """
    table = pd.concat([_describe_split(name, split) for name, split in splits.items()], ignore_index=True)
    table["earlier_copies"] = table.groupby(["split", "content_hash"]).cumcount()
    in_test = table["split"] == "test"
    copies = table["content_hash"].map(table.loc[in_test, "content_hash"].value_counts()).fillna(0)
    table["copies_in_test"] = copies.where(~in_test, 0).astype("int64")
    return table


def describe_colours(images: Bytes) -> pd.DataFrame:
    """Return the descriptors of images in colour, one row per image.

    Returns:
        red_mean, red_standard_deviation and the same for green and blue, 0 to 255; saturation: the mean of that of HSV,
        0 to 1; sharpness: the mean absolute difference between a pixel's brightness and that of the four around it.
    """
    return _in_parts(_describe_colours, images)


def measure_sharpness(images: Bytes) -> NDArray[np.float64]:
    """Return the sharpness of `describe_colours`, (n,), of images (n, height, width, channels) in grey or in colour."""
    table = _in_parts(lambda part: pd.DataFrame({"sharpness": _part_sharpness(part)}), images)
    return np.asarray(table["sharpness"])


def watched(table: pd.DataFrame) -> list[str]:
    """Return the columns by which a drift is found in images of this kind."""
    return [*WATCHED, *(name for name in WATCHED_IN_COLOUR if name in table)]


def content_hashes(images: Bytes) -> list[str]:
    """Return only the column content_hash of `describe`."""
    return [blake2b(image.tobytes(), digest_size=16).hexdigest() for image in images]


def _in_parts(describe: Callable[[Bytes], pd.DataFrame], images: Bytes) -> pd.DataFrame:
    step = max(1, PIXELS_AT_ONCE // math.prod(images.shape[1:]))
    parts = [describe(images[start : start + step]) for start in range(0, len(images), step)]
    return pd.concat(parts or [describe(images)], ignore_index=True)


def _describe_split(name: str, split: LabelledImages) -> pd.DataFrame:
    table = describe(split.images)
    table.insert(0, "split", name)
    table.insert(1, "index", np.arange(len(split.images)))
    table.insert(2, "label", split.labels.astype(np.int64))
    return table


def _describe_colours(images: Bytes) -> pd.DataFrame:
    columns = {}
    for number, colour in enumerate(("red", "green", "blue")):
        columns[f"{colour}_mean"] = images[..., number].mean(axis=(1, 2))
        columns[f"{colour}_standard_deviation"] = images[..., number].std(axis=(1, 2))
    brightest = images.max(axis=3).astype(np.float64)
    columns["saturation"] = ((brightest - images.min(axis=3)) / np.maximum(brightest, 1)).mean(axis=(1, 2))
    columns["sharpness"] = _part_sharpness(images)
    return pd.DataFrame(columns)


def _part_sharpness(images: Bytes) -> NDArray[np.float64]:
    grey = to_grey(images).astype(np.float64)
    inside = grey[:, 1:-1, 1:-1]
    around = (grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]) / 4
    sharpness: NDArray[np.float64] = np.abs(inside - around).mean(axis=(1, 2))
    return sharpness


def _describe_part(images: Bytes) -> pd.DataFrame:
    pixels = to_grey(images).reshape(len(images), images.shape[1] * images.shape[2])
    table = pd.DataFrame(
        {
            "mean": pixels.mean(axis=1),
            "standard_deviation": pixels.std(axis=1),
            "minimum": pixels.min(axis=1).astype(np.int64),
            "maximum": pixels.max(axis=1).astype(np.int64),
            "ink_fraction": (pixels > INK_ABOVE).mean(axis=1),
            "height": np.full(len(images), images.shape[1]),
            "width": np.full(len(images), images.shape[2]),
            "content_hash": pd.Series(content_hashes(images), dtype="str"),
        }
    )
    return table if images.shape[3] == 1 else table.join(_describe_colours(images))
