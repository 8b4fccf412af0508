"""How many steps a recipe takes on a training set, and whether they are likely to be enough."""

from dataclasses import dataclass

from fashion.params import Recipe

ENOUGH_STEPS = 1000
"""Adam's estimate of the second moment averages over about 1 / (1 - 0.999) steps: with fewer it is not yet reliable.
Source: D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, section 2."""
ENOUGH_IMAGES = 5000
"""Labelled images per class with which a network usually performs acceptably, as a rule of thumb.
Source: I. Goodfellow, Y. Bengio and A. Courville, "Deep learning", MIT Press 2016, section 1.2.2."""


@dataclass(frozen=True)
class Steps:
    """The size of a training."""

    images: int
    classes: int
    epochs: int
    each_epoch: int

    @property
    def total(self) -> int:
        return self.epochs * self.each_epoch

    def __str__(self) -> str:
        return (
            f"{self.images:,} training images in {self.classes} classes: {self.epochs} epochs of {self.each_epoch:,} "
            f"steps, {self.total:,} in all"
        )

    @property
    def doubt(self) -> str | None:
        """Why the steps are probably too few, and what to change; None if they are enough."""
        if self.total >= ENOUGH_STEPS:
            return None
        words = (
            f"{self.total:,} steps are probably too few: an optimiser's averages form over about {ENOUGH_STEPS:,}. "
            "Give the recipe more epochs or a smaller batch_size (train.recipes in params.yaml)"
        )
        found = self.images // self.classes
        few = f", or add images: there are {found:,} per class, and a rule of thumb is {ENOUGH_IMAGES:,}"
        return f"{words}{few if found < ENOUGH_IMAGES else ''}"


def count_steps(recipe: Recipe, images: int, classes: int) -> Steps:
    """Return the steps that `recipe` takes on that many training images; with `patience` it may take fewer."""
    return Steps(images, classes, recipe.epochs, max(1, images // recipe.batch_size))
