"""How many steps a recipe takes on so many images, and whether that can be enough."""

from dataclasses import dataclass

from fashion.params import Recipe

ENOUGH_STEPS = 1000
"""Adam's estimate of the second moment averages over about 1 / (1 - 0.999) steps: with fewer it has hardly formed.
Source: D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, section 2."""
ENOUGH_IMAGES = 5000
"""Labelled images of a class from which a network usually performs acceptably, as a rule of thumb.
Source: I. Goodfellow, Y. Bengio and A. Courville, "Deep learning", MIT Press 2016, section 1.2.2."""


@dataclass(frozen=True)
class Steps:
    """What a training is going to do."""

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
        """Why so few steps can hardly be enough, and what to change; None if they can."""
        if self.total >= ENOUGH_STEPS:
            return None
        words = (
            f"{self.total:,} steps can hardly be enough: an optimiser's averages form over about {ENOUGH_STEPS:,}. "
            "Give the recipe more epochs or a smaller batch_size (train.recipes in params.yaml)"
        )
        found = self.images // self.classes
        few = f", or bring more images: there are {found:,} of a class, a rule of thumb asks for {ENOUGH_IMAGES:,}"
        return f"{words}{few if found < ENOUGH_IMAGES else ''}"


def count_steps(recipe: Recipe, images: int, classes: int) -> Steps:
    """Return the steps that `recipe` takes on so many training images; with `patience` it may take fewer."""
    return Steps(images, classes, recipe.epochs, max(1, images // recipe.batch_size))
