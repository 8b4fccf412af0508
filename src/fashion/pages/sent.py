"""The pictures as they were sent, each beside what the model saw of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from fashion.adapters.documents import picture_address
from fashion.adapters.keeping import media_type
from fashion.adapters.predictions import PredictionLog, Window, read_pictures

SHOWN = 12
"""Of at most 100 kB each; photographs take some 35 kB."""


@dataclass(frozen=True)
class Sent:
    """A picture in the log, and the image that was made from it."""

    position: int
    """Of the image in the window."""
    address: str
    """The picture itself, as it is kept."""


def choose_sent(log: PredictionLog, window: Window) -> tuple[Sent, ...]:
    """Return pictures of predictions that are chosen at random among those of which the log has one.

    Raises:
        ServiceError: the log is away.
    """
    return tuple(islice(_find(log, window), SHOWN))


def _find(log: PredictionLog, window: Window) -> Iterator[Sent]:
    order = np.random.default_rng(0).permutation(len(window))
    for position, picture in zip(order, read_pictures(log, list(window.ids[order])), strict=True):
        if picture is not None:
            yield Sent(int(position), picture_address(picture, media_type(picture)))
