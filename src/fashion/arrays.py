"""The types of the arrays that pass between modules, with one name for each."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
"""Pixels. Images are (n, height, width, channels): one channel is grey, three are red, green and blue."""
Labels = NDArray[np.integer]
"""Class indices: uint8 in files, int64 in tables."""
Floats = NDArray[np.floating]
"""float32 from a model, float64 from a statistic."""
Booleans = NDArray[np.bool_]
Shape = tuple[int, int, int]
"""Height, width and channels of an image."""


@dataclass(frozen=True)
class LabelledImages:
    """Images (n, height, width, channels) and their labels (n,)."""

    images: Bytes
    labels: Labels
    groups: NDArray[np.int64] | None = field(default=None, kw_only=True)
    """The number of each image's group (n,): images of one object or one scene. None: nothing is known of any."""
