"""How many steps a recipe takes on a training set, and whether they are likely to be enough."""

import math
from dataclasses import dataclass, replace

from fashion.params import Recipe

ENOUGH_STEPS = 1000
"""With about this many, twice as many gain less than a point of accuracy; with half as many, up to two: measured on 500
to 10,000 images by `python -m benchmarks.steps`, whose table is in docs/experiments.md. It is also how long Adam's
estimate of the second moment takes to form, 1 / (1 - 0.999) steps: D. P. Kingma and J. Ba, ICLR 2015, section 2."""
ENOUGH_IMAGES = 5000
"""Labelled images per class with which a network usually performs acceptably, as a rule of thumb.
Source: I. Goodfellow, Y. Bengio and A. Courville, "Deep learning", MIT Press 2016, section 1.2.2."""
SMALL_BATCH = 32
"""What a small dataset is usually trained with, and the size of the batches that were measured."""


@dataclass(frozen=True)
class Steps:
    """The size of a training."""

    images: int
    classes: int
    epochs: int
    batch_size: int
    pretrained: bool = False
    """Whether the network knows images already: how many steps that takes is not known."""

    @property
    def each_epoch(self) -> int:
        """Full batches in the training images; what is left over waits for another epoch."""
        return max(1, self.images // self.batch_size)

    @property
    def total(self) -> int:
        return self.epochs * self.each_epoch

    def __str__(self) -> str:
        return (
            f"{self.images:,} training images in {self.classes} classes: {_count(self.epochs, 'epoch')} of "
            f"{_count(self.each_epoch, 'step')}, {self.total:,} in all"
        )

    @property
    def doubt(self) -> str | None:
        """Why the steps are probably too few, and what to write; None if they are enough."""
        if self.pretrained or self.total >= ENOUGH_STEPS:
            return None
        smaller = replace(self, batch_size=SMALL_BATCH)
        words = f"{self.total:,} steps are probably too few: below about {ENOUGH_STEPS:,}, more of them gain accuracy. "
        words += f"Write epochs: {self._epochs_needed} in the recipe (train.recipes in params.yaml)"
        if self.batch_size > SMALL_BATCH:
            words += f", or batch_size: {SMALL_BATCH} and epochs: {max(smaller._epochs_needed, self.epochs)}"
        found = self.images // self.classes
        few = f", or add images: there are {found:,} per class, and a rule of thumb is {ENOUGH_IMAGES:,}"
        return f"{words}{few if found < ENOUGH_IMAGES else ''}"

    @property
    def _epochs_needed(self) -> int:
        return math.ceil(ENOUGH_STEPS / self.each_epoch)


def count_steps(recipe: Recipe, images: int, classes: int) -> Steps:
    """Return the steps that `recipe` takes on that many training images; with `patience` it may take fewer."""
    return Steps(images, classes, recipe.epochs, recipe.batch_size, recipe.backbone is not None)


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
