"""Starting a network with the weights of another one, where its layers are the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
from keras import layers

from fashion.errors import TrainingError

HEAD = "logits"


@dataclass(frozen=True)
class Fit:
    """Which layers of a network can start with the weights of another one, in words."""

    taken: tuple[str, ...]
    new: tuple[str, ...]
    """Those that the other does not have in this size: they start at random, as without it."""

    def __str__(self) -> str:
        new = f"; at random: {', '.join(self.new)}" if self.new else ""
        return f"taken: {', '.join(self.taken)}{new}"


@dataclass(frozen=True)
class Part:
    """A convolution or a dense layer, with the normalisation after it, which means nothing without it."""

    members: tuple[keras.layers.Layer, ...]

    @property
    def signature(self) -> tuple[object, ...]:
        """What must be the same: the kind of each layer and the shapes of its weights; the head only fits the head."""
        shapes = [(type(layer).__name__, [tuple(one.shape) for one in layer.weights]) for layer in self.members]
        return self.is_head, shapes

    @property
    def is_head(self) -> bool:
        return bool(self.members[0].name == HEAD)

    def __str__(self) -> str:
        *window, inputs, outputs = self.members[0].kernel.shape
        if self.is_head:
            return f"the head for {outputs} classes"
        kind = f"convolution of {' x '.join(map(str, window))}" if window else "dense layer"
        return f"{kind} from {inputs} to {outputs}"


def find_fit(model: keras.Model, source: keras.Model) -> Fit:
    """Return which layers of a classifier can start with the weights of another.

    Raises:
        TrainingError: none can, except perhaps the head, which is worth nothing alone.
    """
    parts = _parts(model)
    pairs = _match(parts, _parts(source))
    taken = {place for place, _ in pairs}
    if all(parts[place].is_head for place in taken):
        raise TrainingError(
            f"no layer of this network ({', '.join(map(str, parts))}) has the size of one in the model to start from "
            f"({', '.join(map(str, _parts(source)))}); take a version of the same network, or start from "
            "nothing: fashion start-from --none"
        )
    return Fit(
        tuple(str(part) for place, part in enumerate(parts) if place in taken),
        tuple(str(part) for place, part in enumerate(parts) if place not in taken),
    )


def take_weights(model: keras.Model, source: keras.Model) -> Fit:
    """Set the weights of every layer that fits, and return which did.

    Raises:
        TrainingError: as `find_fit`.
    """
    fit = find_fit(model, source)
    ours, theirs = _parts(model), _parts(source)
    for mine, other in _match(ours, theirs):
        for layer, origin in zip(ours[mine].members, theirs[other].members, strict=True):
            layer.set_weights(origin.get_weights())
    return fit


def _parts(model: keras.Model) -> list[Part]:
    """Return the parts of a classifier from the image to the head."""
    grouped: list[list[keras.layers.Layer]] = []
    for layer in model.get_layer("network").layers:
        if isinstance(layer, layers.Conv2D | layers.Dense):
            grouped.append([layer])
        elif layer.weights and grouped:
            grouped[-1].append(layer)
    return [Part(tuple(members)) for members in grouped]


def _match(ours: Sequence[Part], theirs: Sequence[Part]) -> list[tuple[int, int]]:
    """Return the longest list of pairs of parts that are alike, in the order of both networks."""
    best: list[list[list[tuple[int, int]]]] = [[[] for _ in range(len(theirs) + 1)] for _ in range(len(ours) + 1)]
    for mine in range(len(ours) - 1, -1, -1):
        for other in range(len(theirs) - 1, -1, -1):
            skipped = max(best[mine + 1][other], best[mine][other + 1], key=len)
            both = [(mine, other), *best[mine + 1][other + 1]]
            alike = ours[mine].signature == theirs[other].signature
            best[mine][other] = max(both, skipped, key=len) if alike else skipped
    return best[0][0]
