"""How well the labels of a batch agree with those of similar images, also after the images have changed.

What a service gets looks different from the dataset once the world has changed, which is when new labels are wanted
most. Such images find few that are like them in the dataset, and in a small batch few of their own class: their
labels have less support although they are right. A limit that knows the images of the dataset alone would
refuse them all.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fashion.arrays import LabelledImages
from fashion.images.corruptions import CORRUPTIONS, corrupt
from fashion.images.labels import COMPARED_EDGE, label_support, reduced
from fashion.images.parts import Parts, sample
from fashion.intake.chance import FEWEST_IN_BATCH

UNCHANGED = "unchanged"
SEVERITY = 3
"""Of 5, by which the images change."""
COMPARED_NEW, COMPARED_KNOWN = 200, 5000
"""Labels are compared on so many images: enough for a limit that is far from what is found."""


def measure_support(train: LabelledImages, test: LabelledImages) -> Mapping[str, pd.DataFrame]:
    """Return how well the labels of test images agree with those of similar training images, by how they changed.

    Returns:
        For `UNCHANGED` and each of `CORRUPTIONS`, what `label_support` found in batches of `FEWEST_IN_BATCH`, the
        smallest that are judged; `label`; and over all these batches, `class_label_support`.
    """
    chosen = sample(len(train.labels), COMPARED_KNOWN)
    known = LabelledImages(Parts({"": train}).take_small(chosen, COMPARED_EDGE), train.labels[chosen])
    new = _take(test, COMPARED_NEW)
    found = {UNCHANGED: _support(new, known)}
    for name in CORRUPTIONS:
        changed = corrupt(name, SEVERITY, new.images, np.random.default_rng(0))
        found[name] = _support(LabelledImages(changed, new.labels), known)
    return found


def _take(images: LabelledImages, count: int) -> LabelledImages:
    chosen = np.random.default_rng(0).permutation(sample(len(images.labels), count))
    return LabelledImages(images.images[chosen], images.labels[chosen])


def _support(new: LabelledImages, known: LabelledImages) -> pd.DataFrame:
    images = reduced(new.images)  # As `label_support` does, once for all batches.
    batches = np.array_split(np.arange(len(images)), max(1, len(images) // FEWEST_IN_BATCH))
    found = [label_support(images[rows], new.labels[rows], known.images, known.labels) for rows in batches]
    table = pd.concat(found, ignore_index=True).assign(label=new.labels)
    means = table.groupby("label")["label_support"].transform("mean")
    return table.assign(class_label_support=means)
