"""The layers of a version's Keras model, in their order, with shapes and parameters: from its file, without Keras."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion.adapters.weights import CONFIG

SETTINGS = ("filters", "units", "kernel_size", "pool_size", "strides", "padding", "rate", "scale", "activation")
"""What is shown of a layer's configuration, where it says something."""
SILENT = (None, 1, [1, 1], "valid", "linear")
"""Values that say nothing."""


@dataclass(frozen=True)
class Layer:
    """A layer, or several of one kind beside each other."""

    kind: str
    name: str
    shape: str
    """Of what leaves it, for one image."""
    parameters: int
    settings: str
    times: int
    """How many there are beside each other, or how many views of the image one is applied to."""
    takes: tuple[str, ...] = ()
    """The names of what it takes, where that is not the layer before it."""
    inner: tuple["Layer", ...] = ()
    """The layers of a network that is one itself."""


def read_layers(model: Mapping[str, NDArray[np.generic]]) -> tuple[Layer, ...]:
    """Return the layers of a model as `read_weights` reads it.

    Raises:
        LookupError, TypeError, ValueError: its configuration is of another form.
    """
    config = json.loads(model[CONFIG].tobytes())
    sizes = {name: array.size for name, array in model.items() if name != CONFIG}
    return tuple(_layers(config["config"]["layers"], "layers", sizes))


def _layers(layers: Sequence[Mapping[str, Any]], path: str, sizes: Mapping[str, int]) -> Iterator[Layer]:
    """Yield the layers of one network; `path` is where its weights are in the file."""
    shapes = _output_shapes(layers)
    seen: dict[str, int] = {}
    found: list[Layer] = []
    for layer in layers:
        kind = str(layer["class_name"])
        key = _snake(kind)
        number = seen[key] = seen.get(key, -1) + 1
        place = f"{path}/{key}_{number}" if number else f"{path}/{key}"
        inner = layer["config"].get("layers", ())
        found.append(
            Layer(
                kind=kind,
                name=str(layer["config"]["name"]),
                shape=_show_shape(shapes.get(str(layer["config"]["name"])) or _own_shape(layer)),
                parameters=sum(size for name, size in sizes.items() if name.startswith(f"{place}/")),
                settings=", ".join(_settings(layer["config"])),
                times=len(layer["inbound_nodes"]) or 1,
                takes=_takes(layer, found[-1].name if found else ""),
                inner=tuple(_layers(inner, f"{place}/layers", sizes)),
            )
        )
    yield from _merged(found)


def _merged(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Yield the layers; equal ones that are neighbours and learn nothing become one."""
    for _, group in groupby(enumerate(layers), lambda one: _likeness(*one)):
        alike = [layer for _, layer in group]
        first = alike[0]
        if len(alike) == 1:
            yield first
        else:
            yield replace(first, name="", settings="", times=len(alike))


def _likeness(place: int, layer: Layer) -> tuple[object, ...]:
    # Only croppings are beside each other: two activations of one kind follow on each other.
    return (layer.kind, layer.shape) if layer.kind.startswith("Cropping") else (place,)


def _output_shapes(layers: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[int | None]]:
    """Return the shape of what leaves each layer, by its name, as the layers that take it declare it."""
    shapes: dict[str, Sequence[int | None]] = {}

    def collect(node: Any) -> None:
        if isinstance(node, Mapping) and node.get("class_name") == "__keras_tensor__":
            shapes.setdefault(node["config"]["keras_history"][0], node["config"]["shape"])
        elif isinstance(node, Mapping):
            collect(list(node.values()))
        elif isinstance(node, list):
            for one in node:
                collect(one)

    for layer in layers:
        collect(layer["inbound_nodes"])
    return shapes


def _takes(layer: Mapping[str, Any], before: str) -> tuple[str, ...]:
    taken = tuple(_output_shapes([layer]))
    return () if before in taken or not before else taken


def _own_shape(layer: Mapping[str, Any]) -> Sequence[int | None]:
    """Return the shape of what leaves a layer that nothing in its network takes: it is an output."""
    config = layer["config"]
    if "units" in config:
        return [None, config["units"]]
    if "batch_shape" in config:
        shape: Sequence[int | None] = config["batch_shape"]
        return shape
    taken = _output_shapes([layer])
    return next(iter(taken.values()), []) if not config.get("layers") else []


def _show_shape(shape: Sequence[int | None]) -> str:
    return " x ".join(str(size) for size in shape[1:])


def _settings(config: Mapping[str, Any]) -> Iterator[str]:
    for name in SETTINGS:
        value = config.get(name)
        if value not in SILENT and not (name == "strides" and value == config.get("pool_size")):
            yield f"{name.replace('_', ' ')} {_show(value)}"


def _show(value: object) -> str:
    if isinstance(value, list):
        return " x ".join(map(str, value)) if not isinstance(value[0], list) else ", ".join(map(_show, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _snake(kind: str) -> str:
    """Return a class's name as Keras writes it in the names of weights: its own `to_snake_case`."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
