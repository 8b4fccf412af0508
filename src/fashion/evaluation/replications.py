"""Recipes, each trained with several seeds: how good they are, and which is better on the same images."""

import numpy as np
from scipy.stats import t

from fashion.arrays import Booleans, Floats, Labels
from fashion.evaluation.estimates import Estimate, proportion_of
from fashion.evaluation.paired import Difference


def accuracy_over_seeds(right: Booleans, confidence: float) -> Estimate:
    """Return the mean accuracy of a recipe with an interval that covers other seeds and other images.

    Args:
        right: which image each model got right, (seeds, images); at least two seeds.
        confidence: of the two-sided interval.
    """
    images, value = right.shape[1], float(right.mean())
    low, high = _interval(right.astype(np.float64), confidence)
    if low == high:  # All are right, or all wrong: more seeds do not make that any surer, more images would.
        certain = proportion_of(round(value * images), images, confidence)
        low, high = certain.low, certain.high
    return Estimate(value, max(0.0, low), min(1.0, high), images)


def macro_recall_over_seeds(right: Booleans, labels: Labels, confidence: float) -> Estimate:
    """Return the mean recall of the classes of a recipe, with an interval that covers other seeds and other images.

    It is the mean of `right` in which every class weighs the same. How much the classes differ says nothing about how
    sure their mean is: an image counts by how far it lies from its class's recall.

    Args:
        right: which image each model got right, (seeds, images); at least two seeds.
        labels: the class of each image, (images,); of every class at least one.
        confidence: of the two-sided interval.
    """
    classes, positions, counts = np.unique(labels, return_inverse=True, return_counts=True)
    of_images = right.mean(axis=0)
    recalls = np.bincount(positions, of_images) / counts
    weights = len(labels) / len(classes) / counts[positions]
    value = float(recalls.mean())
    low, high = _interval(value + weights * (right - recalls[positions]), confidence)
    return Estimate(value, max(0.0, low), min(1.0, high), len(labels))


def difference_over_seeds(ours: Booleans, theirs: Booleans, confidence: float) -> Difference:
    """Return the difference in accuracy of two recipes with an interval that covers other seeds and other images.

    Args:
        ours: which image each model got right, (seeds, images); at least two of both.
        theirs: the same of the other recipe, with the same seeds and images: seed by seed a pair.
        confidence: of the two-sided interval.
    """
    low, high = _interval(ours.astype(np.float64) - theirs, confidence)
    return Difference(float(ours.mean()), float(theirs.mean()), low, high)


def _interval(values: Floats, confidence: float) -> tuple[float, float]:
    """Return the interval of the mean of `values` (seeds, images).

    Seeds and images are crossed: every model saw every image. The variance of the mean over both is that of the seeds'
    means, plus that of the images' means, minus what neither explains, which is in both (never less than either of
    the two). Student's quantile has the degrees of freedom of such a sum. Sources: S. R. Searle, G. Casella and C. E.
    McCulloch, "Variance components", Wiley 1992, section 4.4; F. E. Satterthwaite, "An approximate distribution of
    estimates of variance components", Biometrics Bulletin 2 (1946).
    """
    seeds, images = values.shape
    of_seeds, of_images, value = values.mean(axis=1), values.mean(axis=0), values.mean()
    rest = values - of_seeds[:, None] - of_images + value
    free = (seeds - 1) * (images - 1)
    parts = (of_seeds.var(ddof=1) / seeds, of_images.var(ddof=1) / images, (rest**2).sum() / free / (seeds * images))
    variance = max(parts[0] + parts[1] - parts[2], parts[0], parts[1])
    if not variance:
        return float(value), float(value)
    uncertainty = parts[0] ** 2 / (seeds - 1) + parts[1] ** 2 / (images - 1) + parts[2] ** 2 / free
    margin = t.ppf((1 + confidence) / 2, variance**2 / uncertainty) * np.sqrt(variance)
    return float(value - margin), float(value + margin)
