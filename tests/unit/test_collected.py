"""Collected images beside those of the dataset: what was learned once is never tested on."""

import numpy as np

from fashion.arrays import LabelledImages
from fashion.images.near_copies import group_near_copies
from fashion.images.synthetic import draw
from fashion.params import load_params
from fashion.stages.collected import Collected, add_collected, choose
from tests.projects import SOURCE

IMAGES, LABELS = draw(400, 10, (28, 28), 0)
SEEN = 50
"""Collected images are these of the training images again, in other light."""
KEPT = np.arange(270)
STRENGTH = 18
"""How far the first and the last frame differ, in shades."""


def test_what_was_learned_beside_a_training_image_is_not_tested_on_when_that_is_gone():
    """As after an import without that picture, and where it goes into quarantine."""
    noise = np.random.default_rng(0).integers(-3, 4, (SEEN, 28, 28, 1))
    collected = (0.9 * IMAGES[:SEEN] + noise).clip(0, 255).astype(np.uint8)
    before, after = divide(collected), divide(collected, np.arange(SEEN, 270))
    assert before["train"]
    assert not before["recent"]
    assert after["recent"]
    assert not before["train"] & after["recent"]


def test_what_was_learned_is_not_tested_on_when_a_later_image_joins_it_to_what_was_held_out():
    """As the frame between two of a turning object."""
    three = np.array([turned(0), turned(1), turned(0.5)])
    assert len(set(group_near_copies(three[:2]))) == 2
    assert len(set(group_near_copies(three))) == 1
    moved = tested = 0
    for salt in (bytes([number]) * 32 for number in (5, 6, 7)):
        before, after = divide(three[:2], salt=salt), divide(three, salt=salt, batches=[0, 0, 1])
        moved += three[0].tobytes() in before["recent"] and three[1].tobytes() in before["train"]
        tested += three[0].tobytes() in after["recent"]
        assert not before["train"] & after["recent"]
    assert moved
    assert tested


def turned(share):
    """A drawn garment in an increasingly other light."""
    garment = draw(1, 10, (28, 28), 99)[0][0]
    shade = np.sin(np.arange(28) / 3)[None, :, None] * (garment > 30)
    return np.clip(0.8 * garment + 20 * (garment > 30) + STRENGTH * share * shade, 0, 255).round().astype(np.uint8)


def divide(collected, kept=KEPT, salt=b"x" * 32, batches=None):
    """The collected images in each split, where these of the dataset's training images are there."""
    dataset = LabelledImages(IMAGES, LABELS)
    chosen = {"train": kept, "validation": np.arange(270, 300), "test": np.arange(300, 400)}
    splits = {name: choose(dataset, rows) for name, rows in chosen.items()}
    params = load_params(SOURCE / "params.yaml")
    changed = params.prepare.model_copy(update={"recent_test_fraction": 0.5})
    count = len(collected)
    first, asked = np.array(batches or [0] * count), np.ones(count, np.bool_)
    there, _ = add_collected(
        params.model_copy(update={"prepare": changed}),
        splits,
        Collected(collected, LABELS[:count], first, asked),
        salt,
    )
    known = {image.tobytes() for image in collected}
    return {name: contents(there[name]) & known if name in there else set() for name in ("train", "recent")}


def contents(split):
    return {image.tobytes() for images, rows in split.pieces for image in images[rows]}
