"""The types of the arrays that pass between modules, with one name for each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
"""Pixels."""
Labels = NDArray[np.integer]
"""Class indices: uint8 in files, int64 in tables."""
Floats = NDArray[np.floating]
"""float32 from a model, float64 from a statistic."""
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class LabelledImages:
    """Images (n, height, width) and their labels (n,)."""

    images: Bytes
    labels: Labels
