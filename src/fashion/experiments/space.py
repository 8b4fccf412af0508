"""The space of a search: which recipes it holds, and that each of them can be trained."""

from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any

from fashion.errors import ParamsError
from fashion.params import Knob, Recipe, problem_of_size, recipe_with

MOST_CHECKED = 10_000
"""Combinations of ends and choices that are checked before a search: it takes a second."""
EXAMPLE = """tune:
  space:
    learning_rate: {low: 0.002, high: 0.03, log: true}
    batch_size: {choices: [128, 256, 512]}"""


def flatten(content: Mapping[str, Any], section: str = "") -> dict[str, Any]:
    """Return the values of nested sections by dotted key."""
    found: dict[str, Any] = {}
    for name, value in content.items():
        found |= flatten(value, f"{section}{name}.") if isinstance(value, Mapping) else {f"{section}{name}": value}
    return found


def holds(knob: Knob, value: Any) -> bool:
    """Return whether a search with this knob can come upon the value."""
    if knob.choices is not None:
        return value in knob.choices
    if not isinstance(value, int | float) or not knob.low <= value <= knob.high:  # type: ignore[operator]
        return False
    return isinstance(knob.low, float) or isinstance(knob.high, float) or value % 1 == 0


def check_space(recipe: Recipe, space: Mapping[str, Knob], image_size: tuple[int, int]) -> None:
    """Check, before anything is trained, that every recipe of the space is one, for images of this height and width.

    Raises:
        ParamsError: there is no space, it names an unknown key, some of its values cannot go together, or a network
            takes larger images alone.
    """
    if not space:
        raise ParamsError(f"params.yaml has no tune.space, so there is nothing to try. Write, for example:\n{EXAMPLE}")
    ends = {key: knob.extremes for key, knob in space.items()}
    first = {key: values[:1] for key, values in ends.items()}
    for key in space:  # All combinations may be too many, and then the last keys alone would vary.
        _check_values(recipe, first | {key: ends[key]})
    _check_values(recipe, ends)
    for network in ends.get("network", ()):
        if problem := problem_of_size(network, image_size):
            raise ParamsError(
                f"tune.space.network in params.yaml: {problem}, and data.image_size is smaller. Remove {network}"
            )


def _check_values(recipe: Recipe, ends: Mapping[str, tuple[Any, ...]]) -> None:
    for values in islice(_corners(ends), MOST_CHECKED):
        try:
            recipe_with(recipe, values)
        except ParamsError as error:
            shown = ", ".join(f"{key}: {value}" for key, value in values.items())
            raise ParamsError(
                f"tune.space in params.yaml holds recipes that cannot be trained, such as one with {shown}. {error}\n"
                "Narrow the space, or change the recipe in use, which has the other keys."
            ) from error


def _corners(ends: Mapping[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """Yield every combination of choices and ends."""
    for values in product(*ends.values()):
        yield dict(zip(ends, values, strict=True))
