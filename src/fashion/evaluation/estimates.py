"""Estimates with their intervals (the standard library and numpy only: the service shows them, and has no scipy)."""

import math
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from statistics import NormalDist

import numpy as np

from fashion.arrays import Booleans, Floats, Labels

CONFIDENCE = 0.95
"""The confidence of every two-sided interval, unless stated otherwise."""
HALVINGS = 50
IMAGES, CALLS = "images", "calls"
TIMED_CALLS = 50
"""Predictions of one image whose median time is taken; with fewer than 6 there is no interval."""


@dataclass(frozen=True)
class Estimate:
    """A figure and its two-sided interval; an exact figure is its own interval."""

    value: float
    low: float
    high: float
    n: int | None = None
    """The number of images or calls; None for an exact figure."""
    unit: str = IMAGES
    z: float | None = None
    """For a share, the quantile of the normal distribution in Wilson's interval."""

    def needed(self, limit: float) -> int | None:
        """Return roughly how large n must be for the interval to exclude `limit`, if the value stays the same.

        Wilson's interval is solved for n; any other is assumed to shrink with the square root of n. Rounded up to two
        digits. None if no n would suffice: for an exact figure, and for a value that equals the limit.
        """
        distance = abs(self.value - limit)
        if self.n is None or not distance:
            return None
        if self.z is not None:
            return _round_up(limit * (1 - limit) * (self.z / distance) ** 2)
        end = self.high if limit > self.value else self.low
        return _round_up(self.n * ((end - self.value) / distance) ** 2)


@dataclass(frozen=True)
class CalibrationError:
    """The expected calibration error: the usual estimate, its bias, and the corrected value."""

    plug_in: float
    bias: float
    corrected: Estimate


def exact(value: float) -> Estimate:
    return Estimate(value, value, value)


def proportion(successes: Booleans, confidence: float = CONFIDENCE) -> Estimate:
    """Return the share of True in `successes` (n,) with Wilson's score interval."""
    return proportion_of(int(successes.sum()), len(successes), confidence)


def proportion_of(successes: int, trials: int, confidence: float = CONFIDENCE) -> Estimate:
    """Return the share of successes with Wilson's score interval; with no trials, the interval is 0 to 1.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    z = _two_sided(confidence)
    if not trials:
        return Estimate(0.0, 0.0, 1.0, 0, z=z)
    share = successes / trials
    shrunk = 1 + z**2 / trials
    middle = (share + z**2 / (2 * trials)) / shrunk
    half = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / shrunk
    # Of none and of all, an end is the share itself; rounding would put it beside that.
    low, high = middle - half if successes else 0.0, middle + half if successes < trials else 1.0
    return Estimate(share, low, high, trials, z=z)


def _two_sided(confidence: float) -> float:
    """Return the quantile of the normal distribution for a two-sided interval."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def clustered_interval(values: Floats, clusters: Labels, confidence: float) -> tuple[float, float]:
    """Return the interval of the mean of `values` (n,) in [-1, 1]; values of one cluster (n,) may depend on each other.

    The copies of one image are no more evidence than they differ: the variance is that of sums over whole clusters (K.
    Liang and S. Zeger, "Longitudinal data analysis using generalized linear models", Biometrika 73, 1986), in a normal
    interval. A few clusters that happen to be alike would give an interval without width, so two clusters of the
    average size are added: a half with the value 1, a half with -1, and one with 0. For pairs of single images that is
    the interval of A. Agresti and Y. Min, "Simple improved confidence intervals for comparing matched proportions",
    Statistics in Medicine 24 (2005). It contains the mean, and stays within -1 and 1.
    """
    _, members = np.unique(clusters, return_inverse=True)
    sizes, sums = np.bincount(members).astype(float), np.bincount(members, weights=values)
    average = float(sizes.mean())
    sizes, sums = np.append(sizes, [average / 2, average / 2, average]), np.append(sums, [average / 2, -average / 2, 0])
    total = sizes.sum()
    middle = float(sums.sum() / total)
    # The square of a half cluster's deviation is a quarter of a whole one's; it counts as a half.
    weights = np.append(np.ones(len(sizes) - 3), [2, 2, 1])
    spread = math.sqrt(float((weights * (sums - sizes * middle) ** 2).sum())) / total
    half, mean = _two_sided(confidence) * spread, float(values.mean())
    return float(max(-1.0, min(middle - half, mean))), float(min(1.0, max(middle + half, mean)))


def percentage(share: Estimate) -> str:
    """Return a share as text."""
    return f"{share.value:.2%} ({100 * CONFIDENCE:g} % interval {share.low:.2%} to {share.high:.2%}, n = {share.n:,})"


def raise_confidence(confidence: float, intervals: int) -> float:
    """Return the confidence for each of several intervals to hold jointly with `confidence`: Bonferroni's."""
    return 1 - (1 - confidence) / intervals


def median(values: Floats, unit: str) -> Estimate:
    """Return the median of `values` (n,), n at least 6, and its interval."""
    low, high = median_interval(values, CONFIDENCE)
    return Estimate(float(np.median(values)), low, high, len(values), unit)


def median_interval(values: Floats, confidence: float) -> tuple[float, float]:
    """Return two of the sorted values, chosen by the sign test: no distribution is assumed.

    Source: W. J. Conover, "Practical nonparametric statistics", Wiley 1999, section 3.2.
    """
    ordered = np.sort(values)
    last = len(ordered) - 1
    skipped = min(max(_fewest_heads((1 - confidence) / 2, len(ordered)) - 1, 0), last // 2)
    return float(ordered[skipped]), float(ordered[last - skipped])


@cache
def _fewest_heads(probability: float, tosses: int) -> int:
    """Return the smallest number of heads such that so many or fewer have at least that probability."""
    ways = accumulate(math.comb(tosses, heads) for heads in range(tosses + 1))
    return next(heads for heads, up_to in enumerate(ways) if up_to / 2**tosses >= probability)


def calibration_error(confidences: Floats, correct: Booleans, bins: int) -> CalibrationError:
    """Return the expected calibration error over equal bins of the confidence of the predicted class, both (n,).

    The plug-in estimate is the sum over the bins of |gap|, a gap being confidence minus correctness, summed over the
    bin's images and divided by n (M. P. Naeini et al., "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI 2015). The gaps are sums over many images, so they are nearly normal, and the absolute value of noise
    is positive: the plug-in estimate is too large on average.

    - Bias: what resampling the gaps from those normal distributions would add again, as in A. Kumar, P. Liang and
      T. Ma, "Verified uncertainty calibration", NeurIPS 2019. The mean of an absolute normal variable has a closed
      form, so nothing is drawn.
    - Interval: every error under which the plug-in estimate would not be unusual (J. Carpenter, "Test inversion
      bootstrap confidence intervals", JRSS B 61, 1999). The gaps assumed under a smaller error are the observed ones,
      each shrunk by the same number of its standard deviations but not below 0: what may be noise vanishes first.
    """
    gaps, deviations = _gaps(confidences.astype(np.float64), correct, bins)
    z = _two_sided(CONFIDENCE)
    plug_in = float(gaps.sum())
    bias = _absolute_sum(gaps, deviations)[0] - plug_in
    low, high = _end(gaps, deviations, z), _end(gaps, deviations, -z)
    corrected = min(max(plug_in - bias, low), high)
    return CalibrationError(plug_in, bias, Estimate(corrected, low, high, len(correct)))


def _gaps(confidences: Floats, correct: Booleans, bins: int) -> tuple[Floats, Floats]:
    """Return the size of each gap and its standard deviation, for the bins that are not empty."""
    members = np.minimum((confidences * bins).astype(int), bins - 1)
    counts = np.bincount(members, minlength=bins)
    right = np.bincount(members, weights=correct, minlength=bins)
    gaps = np.bincount(members, weights=confidences, minlength=bins) - right
    # Laplace's rule: if all of a few images are right, it is not certain that all always are.
    accuracy = (right + 1) / (counts + 2)
    filled = counts > 0
    n = len(confidences)
    return np.abs(gaps)[filled] / n, np.sqrt(counts * accuracy * (1 - accuracy))[filled] / n


def _end(gaps: Floats, deviations: Floats, z: float) -> float:
    """Return the error under which the plug-in estimate lies `z` standard deviations above its mean, by halving."""
    plug_in = gaps.sum()
    low, high = -abs(z), float((gaps / deviations).max()) + 1
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        mean, deviation = _absolute_sum(_shrink(gaps, deviations, middle), deviations)
        low, high = (low, middle) if plug_in - mean > z * deviation else (middle, high)
    return float(_shrink(gaps, deviations, high).sum())


def _shrink(gaps: Floats, deviations: Floats, factor: float) -> Floats:
    shrunk: Floats = np.maximum(gaps - factor * deviations, 0)
    return shrunk


def _absolute_sum(means: Floats, deviations: Floats) -> tuple[float, float]:
    """Return the mean and standard deviation of the sum of absolute values of independent normal variables.

    Source: F. C. Leone, L. S. Nelson, R. B. Nottingham, "The folded normal distribution", Technometrics 3 (1961).
    """
    ratios = means / deviations
    errors = np.array([*map(math.erf, (ratios / math.sqrt(2)).tolist())])
    folded = deviations * np.sqrt(2 / np.pi) * np.exp(-(ratios**2) / 2) + means * errors
    variances = means**2 + deviations**2 - folded**2
    return float(folded.sum()), float(np.sqrt(np.maximum(variances, 0).sum()))


def _round_up(number: float) -> int:
    """Round up to two significant digits."""
    step = int(10 ** max(len(str(math.ceil(number))) - 2, 0))
    return math.ceil(number / step) * step
