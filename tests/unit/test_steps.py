import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from fashion.model.steps import ENOUGH_STEPS, count_steps
from fashion.params import load_params

ROOT = Path(__file__).parents[2]
RECIPES = load_params(ROOT / "params.yaml").train.recipes


@pytest.mark.parametrize("name", RECIPES)
def test_the_shipped_recipes_take_steps_enough_on_the_shipped_dataset_but_for_the_sprint(name):
    """The sprint takes few on purpose: it is for a first look."""
    assert (count_steps(RECIPES[name], 54_000, 10).doubt is None) == (name != "sprint")


def test_a_small_dataset_is_told_how_few_steps_it_gets_and_what_to_change():
    steps = count_steps(RECIPES["compact"], 450, 10)
    assert str(steps) == "450 training images in 10 classes: 7 epochs of 1 step, 7 in all"
    assert steps.doubt.startswith("7 steps are probably too few")
    assert "Write epochs: 1000 in the recipe" in steps.doubt
    assert "or batch_size: 32 and epochs: 72" in steps.doubt
    assert "there are 45 per class, and a rule of thumb is 5,000" in steps.doubt


def test_many_images_that_are_looked_at_too_seldom_are_not_called_few():
    doubt = count_steps(RECIPES["compact"].model_copy(update={"epochs": 1}), 54_000, 10).doubt
    assert "210 steps" in doubt
    assert "add images" not in doubt


@pytest.mark.parametrize(("images", "batch_size"), [(450, 256), (450, 32), (54_000, 256), (3, 8)])
def test_what_the_doubt_says_to_write_takes_it_away(images, batch_size):
    few = RECIPES["compact"].model_copy(update={"epochs": 1, "batch_size": batch_size})
    doubt = count_steps(few, images, 10).doubt
    for found in re.findall(r"(?:batch_size: (\d+) and )?epochs: (\d+)", doubt):
        size, epochs = int(found[0] or batch_size), int(found[1])
        followed = few.model_copy(update={"epochs": epochs, "batch_size": size})
        assert count_steps(followed, images, 10).doubt is None
        one_less = few.model_copy(update={"epochs": epochs - 1, "batch_size": size})
        assert count_steps(one_less, images, 10).doubt is not None


def test_the_limit_is_where_twice_the_steps_gained_less_than_a_point_when_it_was_measured():
    runs = json.loads((ROOT / "benchmarks" / "steps.json").read_text())["runs"]
    gains = {
        (one["recipe"], one["images"], one["steps"]): two["accuracy"] - one["accuracy"]
        for one, two in pairwise(runs)
        if (one["recipe"], one["images"]) == (two["recipe"], two["images"])
    }
    enough = [gain for (*_, steps), gain in gains.items() if steps >= 0.95 * ENOUGH_STEPS]
    few = [gain for (*_, steps), gain in gains.items() if 0.4 * ENOUGH_STEPS < steps < 0.95 * ENOUGH_STEPS]
    assert max(enough) < 0.01
    assert max(few) > 0.015
