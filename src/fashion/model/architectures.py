"""The layers of each network: from pixels in [0, 1] to the embedding, from which the logits are computed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import keras
from keras import layers

from fashion.model.backbones import take_features
from fashion.params import Recipe

Tensor: TypeAlias = keras.KerasTensor
Pair: TypeAlias = tuple[int, int]
"""A number for the height, and one for the width."""


@dataclass(frozen=True)
class Structure:
    """What a recipe changes in the layers of a network. Which network takes what, fashion.params.recipe says."""

    width: float = 1.0
    """Times the filters and hidden units."""
    depth: int = 1
    """Convolutions in each block."""
    pooling: str = "none"
    """What the hidden layer gets of each feature: `none`, its value in every cell left; `average`, their mean."""
    activation: str = "relu"
    dropout: float | None = None
    """Share of the last hidden layer's outputs that a step leaves out; None: as the network has it."""
    backbone: str = "MobileNetV3Small"
    """Of `pretrained`: a name in fashion.model.backbones."""


Network = Callable[[Tensor, Structure], Tensor]
MOST_CELLS = 4
"""A side of what is left for the hidden layer of `compact`; of 28 pixels, 3 are left."""
LARGE = 96
"""Pixels a side from which on the first convolution of `compact` has a stride: there its time would be spent."""


def baseline(pixels: Tensor, structure: Structure) -> Tensor:
    """Build the original baseline: pixels (n, height, width, channels) in [0, 1] to its last hidden layer, (n, 64)."""
    features = layers.Conv2D(32, 3, activation=structure.activation)(pixels)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Conv2D(64, 3, activation=structure.activation)(features)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Flatten()(features)
    return layers.Dense(64, activation=structure.activation, name="embedding")(features)


def dropout(pixels: Tensor, structure: Structure) -> Tensor:
    """Build the same network with dropout after the hidden layer, and of half the rate after each pooling."""
    rate = 0.5 if structure.dropout is None else structure.dropout
    features = layers.Conv2D(32, 3, activation=structure.activation)(pixels)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Dropout(rate / 2)(features)
    features = layers.Conv2D(64, 3, activation=structure.activation)(features)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Dropout(rate / 2)(features)
    features = layers.Flatten()(features)
    features = layers.Dense(64, activation=structure.activation)(features)
    return layers.Dropout(rate, name="embedding")(features)


def compact(pixels: Tensor, structure: Structure) -> Tensor:
    """Build four small convolutions or more: pixels (n, height, width, channels) in [0, 1] to (n, 128).

    Few channels at the full resolution, where a CPU spends its time on memory traffic, and normalisation after the
    pooling, where it costs a quarter. Larger images are pooled more often, with a convolution each time, so that the
    hidden layer, which has most of the parameters, does not grow with their area.
    """
    stride, pools = plan_pooling(pixels.shape[1:3])
    between = [64] * (len(pools) - 3)
    stem, *blocks, hidden = (max(1, round(structure.width * size)) for size in (16, 32, *between, 80, 128, 128))
    features = _pooled(_stem(pixels, stem, stride, structure), pools)
    for number, channels in enumerate(blocks, start=1):
        features = _normalised(_pooled(_convolution(features, channels), pools[number:]), structure)
        for _ in range(structure.depth - 1):
            features = _normalised(_convolution(features, channels), structure)
    gathered = layers.GlobalAveragePooling2D() if structure.pooling == "average" else layers.Flatten()
    features = gathered(features)
    features = layers.Dense(hidden, use_bias=False, kernel_initializer="he_normal")(features)
    if not structure.dropout:
        return _normalised(features, structure, name="embedding")
    return layers.Dropout(structure.dropout, name="embedding")(_normalised(features, structure))


def plan_pooling(size: Pair) -> tuple[Pair, list[Pair]]:
    """Return the strides of the first convolution of `compact` and its pools, for images of that height and width.

    A side is halved until at most `MOST_CELLS` are left, the first time by a stride if it has `LARGE` pixels or more.
    """
    strides = (_stride(size[0]), _stride(size[1]))
    sides = [math.ceil(side / stride) for side, stride in zip(size, strides, strict=True)]
    pools = []
    while max(sides) > MOST_CELLS:
        pools.append((_pool(sides[0]), _pool(sides[1])))
        sides = [_left(side, _padding(sides)) for side in sides]
    return strides, pools


def _stride(side: int) -> int:
    """Return 1, or 2 from `LARGE` pixels on, 4 from four times as many, and so on."""
    stride = 1
    while side >= LARGE * stride**2:
        stride *= 2
    return stride


def _pool(side: int) -> int:
    return 2 if side > MOST_CELLS else 1


def _left(side: int, padding: str) -> int:
    return math.ceil(side / _pool(side)) if padding == "same" else side // _pool(side)


def _padding(sides: Sequence[int]) -> str:
    """Pool five cells to three: of two, the hidden layer would learn little."""
    return "same" if MOST_CELLS + 1 in sides else "valid"


def _stem(pixels: Tensor, channels: int, strides: Pair, structure: Structure) -> Tensor:
    """Convolve with a kernel of 3 x 3, or one so much larger as the strides are, so that no pixel is left out."""
    kernel = [3 if stride == 1 else 2 * stride + 1 for stride in strides]
    kind = {"padding": "same", "activation": structure.activation, "kernel_initializer": "he_normal"}
    return layers.Conv2D(channels, kernel, strides, **kind)(pixels)


def _pooled(features: Tensor, pools: Sequence[Pair]) -> Tensor:
    """Pool by the first of the pools, if there is one."""
    if not pools:
        return features
    return layers.MaxPooling2D(pools[0], padding=_padding(features.shape[1:3]))(features)


def _convolution(features: Tensor, channels: int) -> Tensor:
    return layers.Conv2D(channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(features)


def _normalised(features: Tensor, structure: Structure, name: str | None = None) -> Tensor:
    # Keras's default momentum of 0.99 would take more steps to settle than a training of five epochs has.
    return layers.Activation(structure.activation, name=name)(layers.BatchNormalization(momentum=0.9)(features))


def pretrained(pixels: Tensor, structure: Structure) -> Tensor:
    """Build a backbone of `keras.applications`: pixels (n, height, width, channels) in [0, 1] to (n, features)."""
    features = take_features(structure.backbone, pixels)
    if not structure.dropout:
        return layers.GlobalAveragePooling2D(name="embedding")(features)
    return layers.Dropout(structure.dropout, name="embedding")(layers.GlobalAveragePooling2D()(features))


NETWORKS: dict[str, Network] = {
    "baseline": baseline,
    "dropout": dropout,
    "compact": compact,
    "pretrained": pretrained,
}


def structure_of(recipe: Recipe) -> Structure:
    """Return what a recipe changes in the layers of its network."""
    structure = Structure(recipe.width, recipe.depth, recipe.pooling, recipe.activation, recipe.dropout)
    return replace(structure, backbone=recipe.backbone.name) if recipe.backbone else structure
