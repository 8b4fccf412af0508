"""The layers of each network: from pixels in [0, 1] to the embedding, from which the logits are computed."""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

import keras
from keras import layers

from fashion.model.backbones import take_features
from fashion.params import Backbone, Recipe

Tensor: TypeAlias = keras.KerasTensor
Pair: TypeAlias = tuple[int, int]
"""A number for the height, and one for the width."""
Network = Callable[[Tensor, Recipe], Tensor]
MOST_CELLS = 4
"""A side of what is left for the hidden layer of `compact`; of 28 pixels, 3 are left."""
LARGE = 96
"""Pixels a side from which on the first convolution of `compact` has a stride: there its time would be spent."""


def baseline(pixels: Tensor, recipe: Recipe) -> Tensor:
    """Build the original baseline: pixels (n, height, width, channels) in [0, 1] to its last hidden layer, (n, 64)."""
    features = layers.Conv2D(32, 3, activation=recipe.activation)(pixels)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Conv2D(64, 3, activation=recipe.activation)(features)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Flatten()(features)
    return layers.Dense(64, activation=recipe.activation, name="embedding")(features)


def dropout(pixels: Tensor, recipe: Recipe) -> Tensor:
    """Build the same network with dropout after the hidden layer, and of half the rate after each pooling."""
    rate = 0.5 if recipe.dropout is None else recipe.dropout
    features = layers.Conv2D(32, 3, activation=recipe.activation)(pixels)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Dropout(rate / 2)(features)
    features = layers.Conv2D(64, 3, activation=recipe.activation)(features)
    features = layers.MaxPooling2D(2)(features)
    features = layers.Dropout(rate / 2)(features)
    features = layers.Flatten()(features)
    features = layers.Dense(64, activation=recipe.activation)(features)
    return layers.Dropout(rate, name="embedding")(features)


def compact(pixels: Tensor, recipe: Recipe) -> Tensor:
    """Build four small convolutions or more: pixels (n, height, width, channels) in [0, 1] to (n, 128).

    Few channels at the full resolution, where a CPU spends its time on memory traffic, and normalisation after the
    pooling, where it costs a quarter. Larger images are pooled more often, with a convolution each time, so that the
    hidden layer, which has most of the parameters, does not grow with their area.
    """
    stride, pools = plan_pooling(pixels.shape[1:3])
    between = [64] * (len(pools) - 3)
    stem, *blocks, hidden = (max(1, round(recipe.width * size)) for size in (16, 32, *between, 80, 128, 128))
    features = _pooled(_stem(pixels, stem, stride, recipe), pools)
    for number, channels in enumerate(blocks, start=1):
        features = _normalised(_pooled(_convolution(features, channels), pools[number:]), recipe)
        for _ in range(recipe.depth - 1):
            features = _normalised(_convolution(features, channels), recipe)
    gathered = layers.GlobalAveragePooling2D() if recipe.pooling == "average" else layers.Flatten()
    features = gathered(features)
    features = layers.Dense(hidden, use_bias=False, kernel_initializer="he_normal")(features)
    if not recipe.dropout:
        return _normalised(features, recipe, name="embedding")
    return layers.Dropout(recipe.dropout, name="embedding")(_normalised(features, recipe))


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


def _stem(pixels: Tensor, channels: int, strides: Pair, recipe: Recipe) -> Tensor:
    """Convolve with a kernel of 3 x 3, or one so much larger as the strides are, so that no pixel is left out."""
    kernel = [3 if stride == 1 else 2 * stride + 1 for stride in strides]
    kind = {"padding": "same", "activation": recipe.activation, "kernel_initializer": "he_normal"}
    return layers.Conv2D(channels, kernel, strides, **kind)(pixels)


def _pooled(features: Tensor, pools: Sequence[Pair]) -> Tensor:
    """Pool by the first of the pools, if there is one."""
    if not pools:
        return features
    return layers.MaxPooling2D(pools[0], padding=_padding(features.shape[1:3]))(features)


def _convolution(features: Tensor, channels: int) -> Tensor:
    return layers.Conv2D(channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(features)


def _normalised(features: Tensor, recipe: Recipe, name: str | None = None) -> Tensor:
    # Keras's default momentum of 0.99 would take more steps to settle than a training of five epochs has.
    return layers.Activation(recipe.activation, name=name)(layers.BatchNormalization(momentum=0.9)(features))


def pretrained(pixels: Tensor, recipe: Recipe) -> Tensor:
    """Build a backbone of `keras.applications`: pixels (n, height, width, channels) in [0, 1] to (n, features)."""
    backbone = cast("Backbone", recipe.backbone)  # A recipe of this network has one.
    features = take_features(backbone.name, pixels)
    if not recipe.dropout:
        return layers.GlobalAveragePooling2D(name="embedding")(features)
    return layers.Dropout(recipe.dropout, name="embedding")(layers.GlobalAveragePooling2D()(features))


NETWORKS: dict[str, Network] = {
    "baseline": baseline,
    "dropout": dropout,
    "compact": compact,
    "pretrained": pretrained,
}
