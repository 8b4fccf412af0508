"""A recipe that suits the number and the size of the images."""

import math
from collections.abc import Sequence

from fashion.model.steps import ENOUGH_STEPS
from fashion.params import Augmentation, Recipe

STEPS = 2 * ENOUGH_STEPS
"""What the recipe takes at least: with twice as many as are enough, few datasets need more."""
BATCHES = ((4_000, 32), (20_000, 64), (50_000, 128))
"""Up to so many training images, batches of so many; more images than the last have batches of 256."""
LARGEST_BATCH = 256
EPOCHS = 7, 100
"""At least and at most."""
RATE, RATE_BATCH = 0.008, 256
"""The learning rate of `compact`, and the size of the batches for which it was found."""
SHIFTED = 28
"""An image is shifted by one pixel for each so many of its longer edge."""
RARE = 0.25
"""A class with less than this share of the mean class counts too little in the loss unless it is weighted."""


def derive_recipe(size: tuple[int, int], counts: Sequence[int]) -> Recipe:
    """Return a recipe for images of this size, and so many training images of each class.

    The learning rate falls with the square root of the size of the batches. Source: A. Krizhevsky, "One weird trick for
    parallelizing convolutional neural networks", 2014, section 5.
    """
    images = sum(counts)
    batch = next((batch for most, batch in BATCHES if images <= most), LARGEST_BATCH)
    fewest, most = EPOCHS
    epochs = min(most, max(fewest, math.ceil(STEPS / max(1, images // batch))))
    return Recipe(
        network="compact",
        epochs=epochs,
        batch_size=batch,
        optimizer="muon",
        learning_rate=round(RATE * math.sqrt(batch / RATE_BATCH), 4),
        weight_decay=0.1,
        schedule="one_cycle",
        class_weights="balanced" if min(counts) < RARE * images / len(counts) else "none",
        augmentation=Augmentation(shift=max(1, round(max(size) / SHIFTED))),
    )
