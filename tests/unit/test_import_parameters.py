"""What an import writes into params.yaml, of what it has derived."""

import numpy as np
import pandas as pd
import pytest

from fashion.evaluation.estimates import proportion_of
from fashion.evaluation.gates import at_least
from fashion.evaluation.paired import Pairs, accuracy_difference
from fashion.images.photos import Form
from fashion.intake.arrange import Arranged
from fashion.intake.parameters import Dataset, choose_margin, choose_values, derive_parameters, write_values
from fashion.intake.suites import Measured
from fashion.params import PicturesParams
from tests.projects import SOURCE

TEXT = (SOURCE / "params.yaml").read_text(encoding="utf-8")
RECIPE = {"network": "compact", "epochs": 20}
BIRDS = {"data.classes": ["a", "b"], "train.recipe": "birds", "train.recipes.birds": RECIPE, "register.name": "birds"}
STONES = {"data.classes": ["c", "d"], "train.recipe": "st.1", "train.recipes.st.1": RECIPE, "register.name": "st.1"}
WRITTEN = write_values(TEXT, BIRDS, {"train.recipes.birds": "Derived."})


def derive_from(counts):
    """The values that follow from so many images of each class, in the training split and in the test split."""
    labels = np.repeat(range(len(counts)), counts)
    table = pd.DataFrame({"label": labels, "standard_deviation": 50.0, "earlier_copies": 0, "copies_in_test": 0})
    both = pd.concat([table.assign(split=split) for split in ("train", "test")], ignore_index=True)
    shares = (np.array(counts) / sum(counts)).tolist()
    measured = Measured(both, {"train": shares, "test": shares}, {})
    arranged = Arranged(tuple(map(str, range(len(counts)))), labels, labels, labels, (), 1)
    return derive_parameters(Dataset("parts", Form((28, 28), PicturesParams()), arranged, measured, ()), 15)


def least_accuracy(counts):
    return derive_from(counts)["evaluate.gates.accuracy_at_least"]


@pytest.mark.parametrize("counts", [[1900, 100], [360, 40], [600, *[50] * 8]])
def test_of_unequal_classes_a_model_with_equal_recalls_passes_as_the_recipe_aims_at_them(counts):
    values = derive_from(counts)
    assert values["train.recipes.parts"]["class_weights"] == "logit_adjusted"
    right = sum(round(0.85 * count) for count in counts)
    assert at_least("accuracy", proportion_of(right, sum(counts)), least_accuracy(counts)).verdict == "passed"


@pytest.mark.parametrize(
    ("counts", "limit"), [([500, 500], 0.51), ([250] * 4, 0.26), ([290, 355, 355], 0.36), ([950, 50], 0.51)]
)
def test_the_least_accuracy_is_above_that_of_a_model_without_any_skill(counts, limit):
    assert least_accuracy(counts) == limit


@pytest.mark.parametrize("classes", [3, 101, 256])
def test_with_many_classes_too_every_class_must_be_named_at_times(classes):
    limit = derive_from([10] * classes)["evaluate.gates.recall_of_every_class_at_least"]
    assert 0.96 / classes < limit <= 1 / classes
    assert at_least("recall", proportion_of(0, 10_000), limit).verdict == "failed"


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
