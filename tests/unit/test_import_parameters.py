"""What an import writes into params.yaml, of what it has derived."""

import numpy as np
import pytest

from fashion.evaluation.paired import Pairs, accuracy_difference
from fashion.intake.parameters import choose_margin, choose_values, write_values
from tests.projects import SOURCE

TEXT = (SOURCE / "params.yaml").read_text(encoding="utf-8")
RECIPE = {"network": "compact", "epochs": 20}
BIRDS = {"data.classes": ["a", "b"], "train.recipe": "birds", "train.recipes.birds": RECIPE, "register.name": "birds"}
STONES = {"data.classes": ["c", "d"], "train.recipe": "st.1", "train.recipes.st.1": RECIPE, "register.name": "st.1"}
WRITTEN = write_values(TEXT, BIRDS, {"train.recipes.birds": "Derived."})


def test_for_the_first_time_everything_is_written():
    assert choose_values({}, False, TEXT, BIRDS) == BIRDS
    assert "    # Derived.\n    birds:\n      network: compact\n      epochs: 20\n" in WRITTEN


def test_of_another_dataset_what_was_derived_goes_and_what_was_edited_stays():
    chosen = choose_values(BIRDS, False, WRITTEN, STONES)
    assert chosen == STONES | {"train.recipes.birds": None}
    assert "birds:" not in write_values(WRITTEN, chosen, {})
    edited = WRITTEN.replace("epochs: 20", "epochs: 30")
    assert choose_values(BIRDS, False, edited, STONES) == STONES


def test_of_the_same_dataset_what_was_edited_stays_but_never_the_classes():
    edited = WRITTEN.replace("epochs: 20", "epochs: 30").replace("[a, b]", "[b, a]")
    after = BIRDS | {"data.classes": ["a", "b", "c"], "train.recipes.birds": {**RECIPE, "epochs": 10}}
    chosen = choose_values(BIRDS, True, edited, after)
    assert chosen["data.classes"] == ["a", "b", "c"]
    assert chosen["train.recipes.birds"]["epochs"] == 30


@pytest.mark.parametrize("images", [200, 359, 766, 10_000])
def test_a_candidate_as_good_as_the_champion_keeps_to_the_margin_though_they_differ_on_a_quarter_of_the_images(images):
    each = images // 8
    counts = (np.array([count]) for count in (images, images // 2, each, each))
    assert accuracy_difference(Pairs(*counts), 0.95).low > -choose_margin(images)


def test_of_many_images_the_margin_is_the_one_that_is_shipped():
    assert choose_margin(1_000_000) == 0.005
