"""Every number that a person can set has bounds on both sides: in params.yaml, in the environment, and as an option."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from fashion.cli import app
from fashion.params import Params
from fashion.settings import Settings

LOW, HIGH = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}
COMMANDS = get_command(app).commands


def numbers(schema: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each number in a JSON schema, with its place."""
    if isinstance(schema, dict):
        if schema.get("type") in ("integer", "number"):
            yield where, schema
        for name, part in schema.items():
            yield from numbers(part, f"{where}.{name}")
    elif isinstance(schema, list):
        for part in schema:
            yield from numbers(part, where)


@pytest.mark.parametrize("model", [Params, Settings])
def test_every_number_in_params_yaml_and_in_the_environment_has_bounds(model):
    found = dict(numbers(model.model_json_schema()))
    assert found
    assert not [
        where
        for where, schema in found.items()
        if not ((LOW & schema.keys() and HIGH & schema.keys()) or "enum" in schema)
    ]


def options(*kinds: type) -> list[tuple[str, Any]]:
    return [
        (name, option)
        for name, command in COMMANDS.items()
        for option in command.params
        if option.type_descriptor.annotation in kinds
    ]


def test_every_number_among_the_options_has_bounds():
    found = options(int, float)
    assert found
    assert not [f"{name} {option.name}" for name, option in found if option.min is None or option.max is None]


@pytest.mark.parametrize(("command", "option"), [(name, option.opts[0]) for name, option in options(float)])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_what_is_not_a_number_is_refused_in_words(command, option, value):
    result = CliRunner().invoke(app, [command, f"{option}={value}"])
    assert result.exit_code == 2
    assert option in re.sub(r"\x1b\[[0-9;]*m", "", result.output)
