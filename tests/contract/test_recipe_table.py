"""The table of docs/recipes.md says what the code takes."""

import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from fashion.params import TAKES, Augmentation, Backbone, Recipe
from fashion.params.recipe import SHAPING

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs" / "recipes.md").read_text().partition("## Schedules")[0]
ROWS = {
    name: (values, default, networks)
    for name, values, default, networks in re.findall(
        r"^\| `([\w.]+)` \| (.+?) \| (.+?) \| .+ \| (.*?) ?\|$", TABLE, re.MULTILINE
    )
}
SECTIONS = {"augmentation": Augmentation, "backbone": Backbone}
FIELDS = {name: field for name, field in Recipe.model_fields.items() if name not in SECTIONS} | {
    f"{section}.{name}": field for section, keys in SECTIONS.items() for name, field in keys.model_fields.items()
}
NOTHING = {
    "dropout": "as the network has it",
    "patience": "none",
    "backbone.head_epochs": "as often as 1,000 steps take",
}
"""How a key without a value is explained."""


def test_every_key_has_a_row_and_every_row_a_key():
    assert set(ROWS) == set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_a_row_has_the_default_and_every_value_to_choose_from(name):
    values, default, _ = ROWS[name]
    field = FIELDS[name]
    assert default == ("required" if field.is_required() else NOTHING.get(name) or shown(field.default))
    for choice in get_args(field.annotation) if get_origin(field.annotation) is Literal else ():
        assert f"`{choice}`" in values


def shown(value):
    return f"`{str(value).lower()}`" if isinstance(value, str | bool) else f"{value:g}"


@pytest.mark.parametrize("name", SHAPING)
def test_a_row_names_the_networks_that_take_the_key(name):
    takers = {network for network, keys in TAKES.items() if name in keys}
    expected = "all" if takers == set(TAKES) else ", ".join(f"`{network}`" for network in sorted(takers))
    assert ROWS[name][2] == expected


def test_the_comments_of_params_yaml_name_every_key():
    comments = " ".join(re.findall(r"^  #(.*)$", (ROOT / "params.yaml").read_text(), re.MULTILINE))
    shipped = {"epochs", "batch_size", "learning_rate", "average_shifts"}  # The recipes below them have these.
    assert {name.split(".")[-1] for name in FIELDS} - shipped <= set(re.findall(r"\w+", comments))
