"""Models that know different classes: which they share, and their probabilities side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SharedClasses:
    """How the classes of a candidate differ from those of the champion, by name."""

    shared: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    """Those that only the candidate knows."""
    lost: tuple[str, ...] = ()
    """Those that only the champion knows."""


NO_CLASSES = SharedClasses()


def find_shared(candidate: Sequence[str], champion: Sequence[str]) -> SharedClasses:
    """Return which classes both know, and which only one of them knows, each in its model's order."""
    return SharedClasses(
        shared=tuple(name for name in candidate if name in champion),
        new=tuple(name for name in candidate if name not in champion),
        lost=tuple(name for name in champion if name not in candidate),
    )


def align_columns(
    probabilities: NDArray[np.float32], classes: Sequence[str], wanted: Sequence[str]
) -> NDArray[np.float32]:
    """Return probabilities (n, classes) with the `wanted` classes first, in that order, and then all others.

    A wanted class that the model does not know has probability 0. So a model answers as it does in use: what it takes
    for a class that the other does not know stays wrong.
    """
    if tuple(classes) == tuple(wanted):
        return probabilities
    others = [name for name in classes if name not in wanted]
    column = {name: place for place, name in enumerate((*wanted, *others))}
    aligned = np.zeros((len(probabilities), len(column)), np.float32)
    aligned[:, [column[name] for name in classes]] = probabilities
    return aligned
