"""Collected images beside those of the dataset: what was learned once is never tested on."""

import numpy as np

from fashion.arrays import LabelledImages
from fashion.images.synthetic import draw
from fashion.params import load_params
from fashion.stages.collected import Collected, add_collected, choose
from tests.projects import SOURCE

IMAGES, LABELS = draw(400, 10, (28, 28), 0)
SEEN = 50
"""Collected images are these of the training images again, in other light."""


def test_what_was_learned_beside_a_training_image_is_not_tested_on_when_that_is_gone():
    """As after an import without that picture, and where it goes into quarantine."""
    noise = np.random.default_rng(0).integers(-3, 4, (SEEN, 28, 28, 1))
    collected = (0.9 * IMAGES[:SEEN] + noise).clip(0, 255).astype(np.uint8)
    before, after = divide(collected, np.arange(270)), divide(collected, np.arange(SEEN, 270))
    assert before["train"]
    assert not before["recent"]
    assert after["recent"]
    assert not before["train"] & after["recent"]


def divide(collected, kept):
    """The collected images in each split, where these of the dataset's training images are there."""
    dataset = LabelledImages(IMAGES, LABELS)
    chosen = {"train": kept, "validation": np.arange(270, 300), "test": np.arange(300, 400)}
    splits = {name: choose(dataset, rows) for name, rows in chosen.items()}
    params = load_params(SOURCE / "params.yaml")
    changed = params.prepare.model_copy(update={"recent_test_fraction": 0.5})
    first, asked = np.zeros(SEEN, np.int64), np.ones(SEEN, np.bool_)
    there, _ = add_collected(
        params.model_copy(update={"prepare": changed}),
        splits,
        Collected(collected, LABELS[:SEEN], first, asked),
        b"x" * 32,
    )
    known = {image.tobytes() for image in collected}
    return {name: contents(there[name]) & known if name in there else set() for name in ("train", "recent")}


def contents(split):
    return {image.tobytes() for images, rows in split.pieces for image in images[rows]}
