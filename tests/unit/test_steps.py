from pathlib import Path

import pytest

from fashion.model.steps import count_steps
from fashion.params import load_params

RECIPES = load_params(Path(__file__).parents[2] / "params.yaml").train.recipes


@pytest.mark.parametrize("name", RECIPES)
def test_the_shipped_recipes_take_steps_enough_on_the_shipped_dataset(name):
    assert count_steps(RECIPES[name], 54_000, 10).doubt is None


def test_a_small_dataset_is_told_how_few_steps_it_gets_and_what_to_change():
    steps = count_steps(RECIPES["compact"], 450, 10)
    assert str(steps) == "450 training images in 10 classes: 7 epochs of 1 steps, 7 in all"
    assert steps.doubt.startswith("7 steps are probably too few")
    assert "there are 45 per class, and a rule of thumb is 5,000" in steps.doubt


def test_many_images_that_are_looked_at_too_seldom_are_not_called_few():
    doubt = count_steps(RECIPES["compact"].model_copy(update={"epochs": 1}), 54_000, 10).doubt
    assert "210 steps" in doubt
    assert "add images" not in doubt
