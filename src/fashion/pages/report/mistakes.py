"""All mistakes of a version, by pair of true and predicted class, and what its figures say about each pair."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Bytes
from fashion.evaluation.estimates import Estimate, proportion_of
from fashion.pages.report.kept import Predictions
from fashion.pages.report.wording import count_of, show_share

SURE = 0.9
"""The confidence from which a mistake counts as one that the model was sure of."""
MOST_PICTURES, MOST_BYTES = 2000, 16 << 20
"""Mistakes that are shown as pictures, at most: so many, and so many bytes of pixels."""
LONGEST_EDGE = 96
"""Pixels of a thumbnail's longer side; a larger image is averaged down by a whole number."""


@dataclass(frozen=True)
class Pair:
    """The mistakes of one kind: images of `true` that were taken for `predicted`."""

    true: str
    predicted: str
    count: int
    mistakes: int
    """Of the version, in all."""
    share: Estimate
    """Of the images of the true class."""
    confidence: float
    """The mean of its confidence in them."""
    sure: int
    second: int
    """In how many the true class was the second most probable."""
    shown: NDArray[np.intp]
    """The rows whose pictures are shown, those it was surest of first."""

    @property
    def sentence(self) -> str:
        """Say in figures how often and how surely it is wrong in this way."""
        found = (
            f"{self.count:,} of {count_of(self.share.n or 0, 'image')} of {self.true} ({show_share(self.share)}) "
            f"{'was' if self.count == 1 else 'were'} taken for {self.predicted}: {self.count / self.mistakes:.1%} of "
            f"all mistakes. The model was {self.confidence:.0%} sure"
        )
        if self.count == 1:
            return f"{found}; the true class came {'second' if self.second else 'third or later'}."
        return (
            f"{found} on average, and {SURE:.0%} or more in {self.sure:,} of them; in {self.second:,} of them the true "
            "class came second."
        )


def find_pairs(found: Predictions, classes: tuple[str, ...], pictures: int) -> list[Pair]:
    """Return every pair with its mistakes, the largest first.

    Args:
        pictures: how many of the mistakes have room for a picture; each pair has as many as the others, if it has them.
    """
    wrong = found.wrong
    kinds, counts = np.unique(found.labels[wrong] * len(classes) + found.predicted[wrong], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    each = _fair_share(counts, pictures)
    return list(_pairs(found, classes, kinds[order], each))


def _pairs(found: Predictions, classes: tuple[str, ...], kinds: NDArray[np.intp], each: int) -> Iterator[Pair]:
    support = np.bincount(found.labels, minlength=len(classes))
    wrong = found.wrong
    for kind in kinds:
        true, predicted = divmod(int(kind), len(classes))
        rows = wrong[(found.labels[wrong] == true) & (found.predicted[wrong] == predicted)]
        rows = rows[np.argsort(-found.confidences[rows], kind="stable")]
        seconds = np.argsort(found.probabilities[rows], axis=1)[:, -2]
        yield Pair(
            true=classes[true],
            predicted=classes[predicted],
            count=len(rows),
            mistakes=len(wrong),
            share=proportion_of(len(rows), int(support[true])),
            confidence=float(found.confidences[rows].mean()),
            sure=int((found.confidences[rows] >= SURE).sum()),
            second=int((seconds == true).sum()),
            shown=rows[:each],
        )


def _fair_share(counts: NDArray[np.intp], most: int) -> int:
    """Return the largest number of pictures for each pair that keeps to so many in all; at least 1."""
    if counts.sum() <= most:
        return int(counts.max(initial=1))
    low, high = 1, int(counts.max())
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(counts, middle).sum() <= most else (low, middle - 1)
    return low


def room_for(images: Bytes | None) -> int:
    """Return for how many pictures there is room; none where there are no images."""
    if images is None:
        return 0
    return max(1, min(MOST_PICTURES, MOST_BYTES // thumbnail(images[0]).nbytes))


def thumbnail(image: Bytes) -> Bytes:
    """Return the image (height, width, channels) as it is, or averaged down by a whole number if it is large."""
    step = -(-max(image.shape[:2]) // LONGEST_EDGE)
    if step == 1:
        return image
    height, width = (size // step for size in image.shape[:2])
    cells = image[: height * step, : width * step].reshape(height, step, width, step, -1)
    return np.asarray(cells.mean(axis=(1, 3)).round().astype(np.uint8))
