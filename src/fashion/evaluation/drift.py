"""Does a window of predictions look like the reference? Scores whose false-alarm rate is calibrated, not hoped for.

Every statistic is a function of a window's means of fixed features, so that ten thousand clean windows cost a matrix
product and a detector is calibrated in a second or two:

- descriptors, embeddings, confidence: Hotelling's T² of the features (and of their squares, where the spread matters),
  along the axes of a shrunk covariance. H. Hotelling, "The generalization of Student's ratio", Annals of Mathematical
  Statistics 2 (1931); O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
  Journal of Multivariate Analysis 88 (2004).
- class mix: T² of the class probabilities, which is Rao's score test against label shift; vanishing class: the largest
  likelihood ratio of one class that comes more seldom. Both see through the classifier's confusions, as in Z. Lipton et
  al., "Detecting and correcting for label shift with black box predictors", ICML 2018.
- labels: the answers are right less often than the calibrated confidences promise.

What the model says, tested for each aspect at its share of the level, was the best detector in S. Rabanser et al.,
"Failing loudly: an empirical study of methods for detecting dataset shift", NeurIPS 2019.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fashion.arrays import Floats, Labels
from fashion.images.descriptors import watched

LABELS = "labels"
T_SQUARED = ("descriptors", "embeddings", "confidence", "class mix")
RARER = 0.2
"""The share of its images that a vanishing class keeps, supposedly; fixed, so that a likelihood ratio is a mean."""
IMAGES_PER_AXIS = 20
"""A covariance is trusted along no more axes than it has these many images each."""
SHRINKAGE = 0.01
FARTHEST = 5.0
"""In standard deviations; squares of features beyond it count no more, nor do confidences: of a model that is sure of
nearly every image, a few hundred predictions do not show how far apart the others lie."""


@dataclass(frozen=True)
class Sample:
    """What is known of n predictions, one row each."""

    descriptors: Floats
    """(n, d), as `descriptor_values` returns them."""
    embeddings: Floats
    """(n, d)"""
    probabilities: Floats
    """(n, classes), calibrated."""
    labels: Labels
    """(n,), -1 where the true class is not known."""

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, chosen: Labels) -> "Sample":
        return Sample(*(values[chosen] for values in vars(self).values()))


@dataclass(frozen=True)
class Axes:
    """Features in units in which clean images have mean 0 and a covariance near 1."""

    centre: Floats
    scale: Floats
    squares: bool
    farthest: float
    """In standard deviations; features beyond it count no more."""
    mean: Floats
    whitening: Floats

    def of(self, features: Floats) -> Floats:
        """Turn features (n, features) into coordinates (n, axes)."""
        expanded = _expand(features, self.centre, self.scale, self.squares, self.farthest)
        whitened: Floats = (expanded - self.mean) @ self.whitening
        return whitened


@dataclass(frozen=True)
class Detector:
    """One half of the reference as axes to measure along; the other half, measured, to draw clean windows from."""

    axes: Mapping[str, Axes]
    shares: Floats
    """Mean probability of each class, (classes,)."""
    tolerance: float
    clean: Mapping[str, Floats]
    classes: Labels
    """The class of each row of `clean`, ascending."""
    mix_by_chance: bool = False
    """Whether the shares of the classes in the reference are those of a sample, and not by design."""


def descriptor_values(table: pd.DataFrame) -> Floats:
    """Return the values (n, d) of the descriptors that are watched."""
    values: Floats = table[watched(table)].to_numpy(np.float64)
    return values


def draw_labels(probabilities: Floats) -> Labels:
    """Draw classes (n,) as probabilities (n, classes) say: what the true ones are like if the model is calibrated.

    For images that nobody has labelled. The statistic of the labels is about that calibration, not about a reference's
    labels; of those only their spread is used.
    """
    chance = np.random.default_rng(0).random((len(probabilities), 1))
    below: Labels = (probabilities.cumsum(axis=1) < chance).sum(axis=1)
    drawn: Labels = np.minimum(below, probabilities.shape[1] - 1)
    return drawn


def build_detector(reference: Sample, tolerance: float, mix_by_chance: bool = False) -> Detector:
    """Return a detector of departures from `reference`, images that are all labelled and not trained on.

    Args:
        tolerance: by how much a good model's accuracy may fall short of its mean confidence.
        mix_by_chance: whether the reference is images as they came, and no split with a share of each class.
    """
    order = np.random.default_rng(0).permutation(len(reference))  # Divided into halves, class by class.
    order = order[np.argsort(reference.labels[order], kind="stable")]
    half, other = reference.rows(order[::2]), reference.rows(order[1::2])
    axes = {
        name: _fit(values, name in ("descriptors", "confidence"), FARTHEST if name == "confidence" else np.inf)
        for name, values in _features(half).items()
    }
    detector = Detector(axes, half.probabilities.mean(axis=0), tolerance, {}, other.labels, mix_by_chance)
    clean = measure(detector, other)
    # The worst that still counts as clean is an accuracy that falls short by the whole tolerance.
    clean[LABELS] = clean[LABELS] - [clean[LABELS][:, 0].mean(), 0]
    return replace(detector, clean=clean)


def measure(detector: Detector, sample: Sample) -> dict[str, Floats]:
    """Return for each statistic the features (n, features) whose means it is a function of."""
    measured = {name: detector.axes[name].of(values) for name, values in _features(sample).items()}
    return measured | {
        "vanishing class": _likelihood_ratios(sample.probabilities, detector.shares),
        LABELS: _shortfall(sample, detector.tolerance),
    }


def statistics(means: Mapping[str, Floats], size: int, labelled: int) -> dict[str, Floats]:
    """Return the statistics, (windows,) each, from the means of windows, (windows, features) each."""
    shortfall, variance = labelled * means[LABELS].T
    return {
        **{name: size * (means[name] ** 2).sum(axis=1) for name in T_SQUARED},
        "vanishing class": size * means["vanishing class"].max(axis=1),
        # No less than one image's worth, for windows that are all sure.
        LABELS: shortfall / np.sqrt(np.maximum(variance, 1)),
    }


def _features(sample: Sample) -> dict[str, Floats]:
    probabilities = sample.probabilities.astype(np.float64)
    entropy = -(probabilities * np.log(np.maximum(probabilities, 1e-9))).sum(axis=1)
    return {
        "descriptors": sample.descriptors,
        "embeddings": sample.embeddings.astype(np.float64),
        "confidence": np.column_stack([probabilities.max(axis=1), entropy]),
        "class mix": probabilities,
    }


def _fit(features: Floats, squares: bool, farthest: float) -> Axes:
    centre, scale = features.mean(axis=0), features.std(axis=0)
    # A feature that is constant in the reference would make the smallest change infinite.
    scale = np.maximum(scale, 0.01 * scale.max() + 1e-6)
    expanded = _expand(features, centre, scale, squares, farthest)
    variances, directions = np.linalg.eigh(np.atleast_2d(np.cov(expanded, rowvar=False)))
    kept = slice(-max(1, min(len(variances), len(features) // IMAGES_PER_AXIS)), None)
    deviations = np.sqrt(variances[kept].clip(0) + SHRINKAGE * variances.mean() + 1e-12)
    return Axes(centre, scale, squares, farthest, expanded.mean(axis=0), directions[:, kept] / deviations)


def _expand(features: Floats, centre: Floats, scale: Floats, squares: bool, farthest: float) -> Floats:
    standard = ((features - centre) / scale).clip(-farthest, farthest)
    return np.column_stack([standard, np.minimum(standard**2, FARTHEST**2)]) if squares else standard


def _likelihood_ratios(probabilities: Floats, shares: Floats) -> Floats:
    """Return the logarithms, (n, classes), of how much likelier each image is if that class comes `RARER`."""
    ratios: Floats = np.log((1 - (1 - RARER) * probabilities) / (1 - (1 - RARER) * shares))
    return ratios


def _shortfall(sample: Sample, tolerance: float) -> Floats:
    """Return confidence minus correctness minus tolerance, and its expected variance: (n, 2), 0 without a label."""
    known = sample.labels >= 0
    probabilities = sample.probabilities.astype(np.float64)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == sample.labels
    figures = np.column_stack([confidence - correct - tolerance, confidence * (1 - confidence)])
    return np.where(known[:, None], figures, 0)
