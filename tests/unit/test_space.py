"""The space of a search: what it may hold, and what is said of one that contradicts itself."""

import math

import pytest
from pydantic import ValidationError

from fashion.errors import ParamsError
from fashion.experiments.space import check_space, flatten, holds
from fashion.params import Knob, Recipe, recipe_with

RECIPE = Recipe(network="compact", epochs=3, batch_size=32, optimizer="muon", learning_rate=0.01)


def test_a_dotted_key_names_a_nested_value_and_the_rest_stays():
    changed = recipe_with(RECIPE, {"learning_rate": 0.02, "augmentation.shift": 2})
    assert (changed.learning_rate, changed.augmentation.shift, changed.epochs) == (0.02, 2, 3)
    assert (RECIPE.learning_rate, RECIPE.augmentation.shift) == (0.01, 0)
    assert flatten(changed.model_dump())["augmentation.shift"] == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({}, "expected low and high, or choices"),
        ({"low": 1}, "expected low and high, or choices"),
        ({"low": 2, "high": 1}, r"low \(2\) is above high \(1\)"),
        ({"low": 0.0, "high": 1.0, "log": True}, "log: true needs a low above 0, found 0.0"),
        ({"choices": [1], "low": 1, "high": 2}, "choices and a range exclude each other"),
        ({"choices": [1], "log": True}, "choices and a range exclude each other"),
        ({"choices": []}, "at least 1 item"),
    ],
)
def test_a_knob_that_contradicts_itself_is_refused(content, reason):
    with pytest.raises(ValidationError, match=reason):
        Knob.model_validate(content)


@pytest.mark.parametrize(
    ("space", "reason"),
    [
        ({}, r"no tune.space, so there is nothing to try. Write, for example:\n.*\n.*\n +learning_rate"),
        ({"speed": Knob(low=1, high=2)}, r"such as one with speed: 1\.(.|\n)*speed: unknown key"),
        ({"augmentation.turn": Knob(low=1, high=2)}, r"augmentation.turn: unknown key"),
        (
            {"batch_size": Knob(low=0, high=8)},
            r"batch_size: 0\.(.|\n)*Input should be greater than 0",
        ),
        (
            {"batch_size": Knob(low=8.0, high=9.5)},
            r"batch_size: 8\.0(.|\n)*Input should be a valid integer",
        ),
        (
            {"schedule": Knob(choices=("constant", "one_cycle")), "patience": Knob(choices=(None, 3))},
            r"schedule: one_cycle, patience: 3\.(.|\n)*a training that stops early never takes",
        ),
    ],
)
def test_a_space_that_holds_impossible_recipes_is_refused_before_the_search(space, reason):
    with pytest.raises(ParamsError, match=reason):
        check_space(RECIPE, space, (28, 28))


@pytest.mark.parametrize(
    "space",
    [
        {"one_hot": Knob(choices=(True,)), "label_smoothing": Knob(low=0.05, high=0.2)},
        {"label_smoothing": Knob(low=0.05, high=0.2), "one_hot": Knob(choices=(True,))},
        {"optimizer": Knob(choices=("sgd",)), "momentum": Knob(low=0.5, high=0.95)},
    ],
)
def test_a_space_whose_recipes_can_all_be_trained_is_searched_whatever_is_in_use(space):
    check_space(RECIPE, space, (28, 28))


def test_a_network_that_takes_larger_images_alone_is_no_choice():
    space = {"network": Knob(choices=("compact", "baseline"))}
    check_space(RECIPE, space, (40, 10))
    with pytest.raises(ParamsError, match=r"tune.space.network .*: the network baseline takes images of at"):
        check_space(RECIPE, space, (40, 8))


def test_a_space_of_many_knobs_is_checked_in_part():
    check_space(RECIPE, {"learning_rate": Knob(choices=tuple(n / 1e5 for n in range(1, 60_000)))}, (28, 28))


def test_a_search_comes_upon_what_lies_in_its_space_alone():
    assert holds(Knob(low=1, high=3), 3)
    assert not holds(Knob(low=1, high=3), 3.5)
    assert holds(Knob(choices=(None, 3)), None)
    assert not holds(Knob(low=1, high=3), "adam")
    assert holds(Knob(low=0.0, high=1), 0.1)
    assert not holds(Knob(low=0, high=1), 0.1), "of whole numbers alone"
    assert holds(Knob(low=0, high=1), 1.0)
    assert not holds(Knob(low=0.5, high=1.0), math.inf)
