"""Two recipes, each trained with several seeds: which is better, on the same images (numpy and scipy only)."""

import numpy as np
from scipy.stats import t

from fashion.arrays import Booleans
from fashion.evaluation.paired import Difference


def difference_over_seeds(ours: Booleans, theirs: Booleans, confidence: float) -> Difference:
    """Return the difference in accuracy of two recipes with an interval that covers other seeds and other images.

    Seeds and images are crossed: every model saw every image. The variance of the mean over both is that of the seeds'
    means, plus that of the images' means, minus what neither explains, which is in both (never less than either of
    the two). Student's quantile has the degrees of freedom of such a sum. Sources: S. R. Searle, G. Casella and C. E.
    McCulloch, "Variance components", Wiley 1992, section 4.4; F. E. Satterthwaite, "An approximate distribution of
    estimates of variance components", Biometrics Bulletin 2 (1946).

    Args:
        ours: which image each model got right, (seeds, images); at least two of both.
        theirs: the same of the other recipe, with the same seeds and images: seed by seed a pair.
        confidence: of the two-sided interval.
    """
    gains = ours.astype(np.float64) - theirs
    seeds, images = gains.shape
    of_seeds, of_images, value = gains.mean(axis=1), gains.mean(axis=0), gains.mean()
    rest = gains - of_seeds[:, None] - of_images + value
    free = (seeds - 1) * (images - 1)
    parts = (of_seeds.var(ddof=1) / seeds, of_images.var(ddof=1) / images, (rest**2).sum() / free / (seeds * images))
    variance = max(parts[0] + parts[1] - parts[2], parts[0], parts[1])
    if not variance:
        return Difference(float(ours.mean()), float(theirs.mean()), float(value), float(value))
    uncertainty = parts[0] ** 2 / (seeds - 1) + parts[1] ** 2 / (images - 1) + parts[2] ** 2 / free
    margin = t.ppf((1 + confidence) / 2, variance**2 / uncertainty) * np.sqrt(variance)
    return Difference(float(ours.mean()), float(theirs.mean()), float(value - margin), float(value + margin))
