"""Descriptors: a few numbers that describe an image. This table is validated and compared, never the pixels."""

from collections.abc import Mapping
from hashlib import blake2b

import numpy as np
import pandas as pd

from fashion.arrays import Bytes, LabelledImages

INK_ABOVE = 25
"""Pixels brighter than this, a tenth of the range, belong to the object."""
PIXELS_AT_ONCE = 1 << 22
"""Bounds memory: 8 bytes each while the standard deviation is taken."""


def describe(images: Bytes) -> pd.DataFrame:
    """Return one row per image.

    Args:
        images: (n, height, width) uint8.

    Returns:
        mean, standard_deviation, minimum, maximum: of the pixels, 0 to 255; ink_fraction: share of pixels brighter than
        `INK_ABOVE`; height, width: in pixels; content_hash: equal for images with the same pixels and size.
    """
    step = max(1, PIXELS_AT_ONCE // (images.shape[1] * images.shape[2]))
    parts = [_describe_part(images[start : start + step]) for start in range(0, len(images), step)]
    return pd.concat(parts or [_describe_part(images)], ignore_index=True)


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


def content_hashes(images: Bytes) -> list[str]:
    """Return only the column content_hash of `describe`."""
    return [_hash(image) for image in images]


def _describe_split(name: str, split: LabelledImages) -> pd.DataFrame:
    table = describe(split.images)
    table.insert(0, "split", name)
    table.insert(1, "index", np.arange(len(split.images)))
    table.insert(2, "label", split.labels.astype(np.int64))
    return table


def _describe_part(images: Bytes) -> pd.DataFrame:
    pixels = images.reshape(len(images), images.shape[1] * images.shape[2])
    return pd.DataFrame(
        {
            "mean": pixels.mean(axis=1),
            "standard_deviation": pixels.std(axis=1),
            "minimum": pixels.min(axis=1).astype(np.int64),
            "maximum": pixels.max(axis=1).astype(np.int64),
            "ink_fraction": (pixels > INK_ABOVE).mean(axis=1),
            "height": np.full(len(images), images.shape[1]),
            "width": np.full(len(images), images.shape[2]),
            "content_hash": pd.Series(content_hashes(pixels), dtype="str"),
        }
    )


def _hash(image: Bytes) -> str:
    return blake2b(image.tobytes(), digest_size=16).hexdigest()
