"""The limits of the drift statistics: what clean windows of the same size exceed no more often than was asked for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from fashion.arrays import Floats, Labels
from fashion.evaluation.drift import LABELS, Detector, statistics

WEIGHTS: Mapping[str, float] = {
    "descriptors": 1,
    "embeddings": 1,
    "confidence": 1,
    "class mix": 3,
    "vanishing class": 5,
    LABELS: 2,
}
"""How the false-alarm rate is shared out: changed pixels are seen at any level, changed shares of classes are not."""
MARGIN = 0.5
"""Share of the false-alarm rate that is used up: the reference is finite, and the model, stopped and calibrated by it,
is a little better on it than on other clean images."""
RESAMPLES = 10_000
AT_ONCE = 500


@dataclass(frozen=True)
class Limit:
    """Of one statistic on clean windows of one size: the median, and what only false alarms exceed."""

    typical: float
    threshold: float


def calibrate(detector: Detector, size: int, labelled: int, rate: float) -> dict[str, Limit]:
    """Return limits of each statistic such that at most a share `rate` of clean windows exceeds one or more.

    Clean windows of `size` images, `labelled` of them labelled, are drawn from the half of the reference that the axes
    do not know; that half is itself resampled for each window, because it is but a sample of what is clean. Source: B.
    Efron and R. Tibshirani, "An introduction to the bootstrap", Chapman & Hall 1993, chapter 17.

    Each statistic has its share of the rate, by `WEIGHTS`; together they are as large as the rate allows in the windows
    drawn, which is more than Bonferroni's inequality grants. Source: P. Westfall and S. Young, "Resampling-based
    multiple testing", Wiley 1993.
    """
    drawn = _concatenate(_draw(detector, size, labelled))
    # A p value over its weight; the rate is that of the smallest in a window.
    smallest = np.min([_tail(values) / WEIGHTS[name] for name, values in drawn.items()], axis=0)
    level = np.quantile(smallest, MARGIN * rate, method="lower")
    return {name: _limit(values, level * WEIGHTS[name]) for name, values in drawn.items()}


def score(limits: Mapping[str, Limit], measured: Mapping[str, Floats], windows: Labels) -> dict[str, Floats]:
    """Return how far windows of measured images depart from clean ones: 0 is typical, more than 1 is drift.

    Args:
        windows: (w, size) rows of `measured`; for one window of all rows, (1, n).

    Returns:
        (w,) for each statistic that has limits.
    """
    size = windows.shape[1]
    means = {name: np.stack([values[rows].mean(axis=0) for rows in windows]) for name, values in measured.items()}
    found = statistics(means, size, size)
    return {name: (found[name] - limit.typical) / (limit.threshold - limit.typical) for name, limit in limits.items()}


def _limit(values: Floats, level: float) -> Limit:
    typical = float(np.median(values))
    # Apart even where all clean windows are alike.
    return Limit(typical, max(float(np.quantile(values, 1 - level)), typical + 1e-9))


def _draw(detector: Detector, size: int, labelled: int) -> Iterator[dict[str, Floats]]:
    """Yield the statistics of clean windows, `AT_ONCE` at a time; `labels` only if there are any."""
    random = np.random.default_rng(0)
    for _ in range(RESAMPLES // AT_ONCE):
        windows = _resample(detector, size, random)
        means = {name: windows @ values for name, values in detector.clean.items()}
        if labelled:
            means[LABELS] = _resample(detector, labelled, random) @ detector.clean[LABELS]
        found = statistics(means, size, labelled)
        yield found if labelled else {name: values for name, values in found.items() if name != LABELS}


def _resample(detector: Detector, size: int, random: np.random.Generator) -> Floats:
    """Draw how often each image is in each window, as shares of the window: (AT_ONCE, images).

    The images of each class are a sample, so they are resampled. So is the mix of the classes if it is by chance: that
    of the whole reference, of which both halves have the same.
    """
    classes, images = detector.classes, len(detector.classes)
    first, after = (np.searchsorted(classes, classes, side) for side in ("left", "right"))
    population = random.integers(first, after, (AT_ONCE, images))
    if detector.mix_by_chance:
        mix = random.integers(0, images, (AT_ONCE, 2 * images))
        places = np.take_along_axis(mix, random.integers(0, 2 * images, (AT_ONCE, size)), axis=1)
    else:
        places = random.integers(0, images, (AT_ONCE, size))
    chosen = np.take_along_axis(population, places, axis=1)
    cells = (chosen + np.arange(AT_ONCE)[:, None] * images).ravel()
    return np.bincount(cells, minlength=AT_ONCE * images).reshape(AT_ONCE, images) / size


def _concatenate(parts: Iterator[dict[str, Floats]]) -> dict[str, Floats]:
    collected = list(parts)
    return {name: np.concatenate([part[name] for part in collected]) for name in collected[0]}


def _tail(values: Floats) -> Floats:
    """Return the share of the values that are at least as large as each: (n,)."""
    return 1 - np.searchsorted(np.sort(values), values, side="left") / len(values)
