"""Two models on the same images: differences with their intervals (numpy and scipy only).

Differences are always candidate minus champion.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, norm

from fashion.arrays import Booleans, Floats, Labels
from fashion.evaluation.estimates import raise_confidence

Counts = Labels
SEED = 0
"""The same figures give the same intervals."""
RESAMPLES = 10_000
RESAMPLES_OF_TIMES = 1_000
"""Medians are not drawn as fast as counts."""
MISTAKES_AT_LEAST = 10
"""Of each of two models whose calibration is compared: the usual condition for taking a share as normal."""
UNMEASURED = (-1.0, 1.0)
"""The interval of a difference in calibration between models with fewer mistakes: all differences that there are."""
HALVINGS = 35
"""Of an interval of length 2: exact to 1e-10."""


@dataclass(frozen=True)
class Difference:
    """One figure of both models, and the interval of candidate minus champion."""

    candidate: float
    champion: float
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.candidate - self.champion

    @property
    def measured(self) -> bool:
        """Whether the interval says anything."""
        return (self.low, self.high) != UNMEASURED


@dataclass(frozen=True)
class Pairs:
    """How often which of two models was right, class by class; each array is (classes,)."""

    images: Counts
    both: Counts
    candidate_only: Counts
    champion_only: Counts


def count_pairs(labels: Counts, candidate_correct: Booleans, champion_correct: Booleans, classes: int) -> Pairs:
    """Count who is right; all arrays are (n,), one element for each image, and `labels` are the true classes."""

    def count(chosen: Booleans) -> Counts:
        return np.bincount(labels[chosen], minlength=classes)

    return Pairs(
        images=count(np.ones(len(labels), bool)),
        both=count(candidate_correct & champion_correct),
        candidate_only=count(candidate_correct & ~champion_correct),
        champion_only=count(champion_correct & ~candidate_correct),
    )


def accuracy_difference(pairs: Pairs, confidence: float) -> Difference:
    """Return the difference in accuracy with a paired bootstrap interval (percentiles of 10,000 resamples).

    To resample n images is to draw how many of them fall to the candidate alone, to the champion alone and to neither:
    one multinomial draw of three counts, which is exact and takes milliseconds however many images there are. Source:
    B. Efron and R. Tibshirani, "An introduction to the bootstrap", Chapman & Hall 1993, chapter 13.
    """
    n, both, candidate_only, champion_only = (int(counts.sum()) for counts in vars(pairs).values())
    shares = np.array([candidate_only, champion_only, n - candidate_only - champion_only]) / n
    draws = np.random.default_rng(SEED).multinomial(n, shares, size=RESAMPLES)
    tail = (1 - confidence) / 2
    low, high = np.quantile((draws[:, 0] - draws[:, 1]) / n, [tail, 1 - tail])
    return Difference((both + candidate_only) / n, (both + champion_only) / n, float(low), float(high))


def mcnemar(candidate_only: int, champion_only: int) -> float:
    """Return McNemar's exact two-sided p value.

    Of the images on which just one model is right, is either right more often than a fair coin? Source: Q. McNemar,
    "Note on the sampling error of the difference between correlated proportions", Psychometrika 12 (1947).
    """
    discordant = candidate_only + champion_only
    return float(binomtest(candidate_only, discordant).pvalue) if discordant else 1.0


def recall_differences(pairs: Pairs, confidence: float) -> dict[int, Difference]:
    """Return the difference in recall of each class that has images, with simultaneous intervals.

    Each is Tango's score interval at a confidence raised by Bonferroni's inequality to 1 - (1 - confidence) / classes.
    """
    present = np.flatnonzero(pairs.images)
    images = pairs.images[present]
    raised = raise_confidence(confidence, len(present))
    low, high = score_interval(pairs.candidate_only[present], pairs.champion_only[present], images, raised)
    candidate = (pairs.both + pairs.candidate_only)[present] / images
    champion = (pairs.both + pairs.champion_only)[present] / images
    return {
        int(label): Difference(*map(float, figures))
        for label, *figures in zip(present, candidate, champion, low, high, strict=True)
    }


def score_interval(
    candidate_only: Counts, champion_only: Counts, images: Counts, confidence: float
) -> tuple[Floats, Floats]:
    """Return the ends of intervals for differences of paired proportions; all arrays are (k,), one element each.

    The differences that the score test does not reject. It keeps its level where few images tell the models apart, and
    has a width even where none does. Source: T. Tango, "Equivalence test and confidence interval for the difference in
    proportions for the paired-sample design", Statistics in Medicine 17 (1998), equations 24 to 26.
    """
    z = norm.ppf((1 + confidence) / 2)
    # Seen from the champion, the upper end is the lower one.
    return (
        _lower_end(candidate_only, champion_only, images, z),
        -_lower_end(champion_only, candidate_only, images, z),
    )


def _lower_end(more: Counts, fewer: Counts, images: Counts, z: float) -> Floats:
    """Find the lower end by bisection: the statistic falls as the supposed difference grows."""
    low, high = np.full(len(images), -1.0), (more - fewer) / images
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        rejected = _score(more, fewer, images, middle) > z
        low, high = np.where(rejected, middle, low), np.where(rejected, high, middle)
    return low


def _score(more: Counts, fewer: Counts, images: Counts, supposed: Floats) -> Floats:
    """Return Tango's statistic: how far the counts are from a supposed difference, in standard deviations under it."""
    linear = -more - fewer + (2 * images - more + fewer) * supposed
    constant = -fewer * supposed * (1 - supposed)
    restricted = (np.sqrt(linear**2 - 8 * images * constant) - linear) / (4 * images)
    variance = images * (2 * restricted + supposed * (1 - supposed))
    return (more - fewer - images * supposed) / np.sqrt(np.maximum(variance, np.finfo(float).tiny))


def calibration_difference(
    labels: Counts, candidate: Floats, champion: Floats, bins: int, confidence: float
) -> Difference:
    """Return the difference in expected calibration error of two arrays of probabilities (n, classes).

    An error is the sum over bins of |mean gap between confidence and correctness|. Those means, over thousands of
    images, are jointly normal, so 10,000 resamples are 10,000 draws from that normal distribution, which keeps the
    pairing. Resampling biases the error itself upwards, therefore only the standard error of the difference is taken
    from the draws. Source: Efron and Tibshirani (as above), chapters 6 and 21.

    That needs mistakes: of a model that is right about all of 50 images nobody knows how sure it may be. Where one of
    the two has fewer than `MISTAKES_AT_LEAST`, nothing is shown, and the interval is `UNMEASURED`.
    """
    gaps = np.concatenate([_gaps(candidate, labels, bins), _gaps(champion, labels, bins)], axis=1)
    means = gaps.mean(axis=0)
    ours, theirs = (float(np.abs(part).sum()) for part in (means[:bins], means[bins:]))
    if min(np.count_nonzero(one.argmax(axis=1) != labels) for one in (candidate, champion)) < MISTAKES_AT_LEAST:
        return Difference(ours, theirs, *UNMEASURED)
    covariance = np.cov(gaps, rowvar=False) / len(labels)
    draws = np.random.default_rng(SEED).multivariate_normal(means, covariance, size=RESAMPLES, method="eigh")
    spread = np.std(np.abs(draws[:, :bins]).sum(axis=1) - np.abs(draws[:, bins:]).sum(axis=1))
    margin = norm.ppf((1 + confidence) / 2) * spread
    return Difference(ours, theirs, float(ours - theirs - margin), float(ours - theirs + margin))


def _gaps(probabilities: Floats, labels: Counts, bins: int) -> Floats:
    """Return confidence minus correctness of each image, in the column of its bin of confidence: (n, bins)."""
    confidences = probabilities.max(axis=1).astype(np.float64)
    members = np.minimum((confidences * bins).astype(int), bins - 1)
    gaps = np.zeros((len(labels), bins))
    gaps[np.arange(len(labels)), members] = confidences - (probabilities.argmax(axis=1) == labels)
    return gaps


def exact_difference(candidate: float, champion: float) -> Difference:
    """Return the difference of figures that are known without error, such as the size of a file."""
    return Difference(candidate, champion, candidate - champion, candidate - champion)


def latency_difference(candidate: Floats, champion: Floats, confidence: float) -> Difference:
    """Compare the medians of times taken in turns, both (n,), with a paired bootstrap interval of their difference.

    An interval of the median of the differences would be about another figure, and could leave out the difference of
    the medians that is shown beside it. Source: Efron and Tibshirani (as above), chapter 13.
    """
    rounds = np.random.default_rng(SEED).integers(0, len(candidate), (RESAMPLES_OF_TIMES, len(candidate)))
    draws = np.median(candidate[rounds], axis=1) - np.median(champion[rounds], axis=1)
    found, tail = np.median(candidate) - np.median(champion), (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Difference(
        float(np.median(candidate)), float(np.median(champion)), float(min(low, found)), float(max(high, found))
    )
