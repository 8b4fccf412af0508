"""A recipe that suits a new dataset, by the number and size of its images; a place to start from, not the best."""

import math
from collections.abc import Sequence

from fashion.arrays import Shape
from fashion.params import Augmentation, Recipe

STEPS = 1100
"""Somewhat more than `fashion.model.steps.ENOUGH_STEPS`: what is held out for validation is not yet subtracted."""
TIMES_FOR_COLOUR = 2
"""As many steps for photos and drawings, which show the same thing in more ways than writing does."""
STEPS_OF_AN_EPOCH = 100
"""What the batches are made small for, so that few images are learned from in many small steps."""
SMALLEST_BATCH, LARGEST_BATCH = 32, 256
MOST_PIXELS = 1 << 21
"""Of a batch, unless it is the smallest: a step keeps what every layer made of each of them (docs/datasets.md)."""
FEWEST_EPOCHS, MOST_EPOCHS = 7, 200
UNEQUAL = 3
"""Times as many images in the most frequent class as in the rarest, from which on the training makes up for it."""
LARGE_SIDE = 48
"""Pixels a side from which on a crop of an image shows enough of it."""


def suited_recipe(counts: Sequence[int], shape: Shape) -> Recipe:
    """Return a recipe for training images of that shape (height, width, channels), `counts` of them in each class.

    - Batches so small that an epoch has about `STEPS_OF_AN_EPOCH` steps or more, and epochs until there are `STEPS`.
    - Adjusted logits where some classes have far fewer images than others, so that accuracy is not bought from the rare
      ones.
    - Colour means photos or drawings, whose mirror image is one of the same class, which fill the frame, and which show
      a thing anywhere in it: they are mirrored and, if large, cropped; the network averages over the image, and learns
      twice as long, with dropout. Grey may be writing, and stands on black: it is moved by a pixel.
    """
    images = max(1, sum(counts))
    batch_size = _batch_size(images, shape[0] * shape[1])
    unequal = max(counts) > UNEQUAL * max(1, min(counts))
    colour, large = shape[2] == 3, min(shape[:2]) >= LARGE_SIDE
    steps = STEPS * TIMES_FOR_COLOUR if colour else STEPS
    return Recipe(
        network="compact",
        pooling="average" if colour else "none",
        dropout=0.4 if colour else None,
        epochs=min(MOST_EPOCHS, max(FEWEST_EPOCHS, math.ceil(steps / max(1, images // batch_size)))),
        batch_size=batch_size,
        optimizer="muon",
        learning_rate=0.008,
        weight_decay=0.1,
        schedule="one_cycle",
        class_weights="logit_adjusted" if unequal else "none",
        augmentation=Augmentation(mirror=colour, crop=0.2 if large else 0.0, shift=0 if colour else 1),
        average_shifts=0 if colour else 1,
    )


def _batch_size(images: int, pixels: int) -> int:
    """Return the power of two that gives an epoch about as many steps as wanted, within limits."""
    most = max(1, min(images / STEPS_OF_AN_EPOCH, MOST_PIXELS / pixels))
    wanted: int = 1 << math.floor(math.log2(most))
    return max(SMALLEST_BATCH, min(LARGEST_BATCH, wanted))
