"""Networks of `keras.applications` that a pretrained one is built on, and where Keras publishes their weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import applications, layers

PUBLISHED = "https://storage.googleapis.com/tensorflow/keras-applications"
SMALLEST_SIDE, LARGEST_SIDE = 96, 224
"""Pixels a side of what a backbone sees. It halves a side five times: of 96, the smallest size that any was published
for, three cells are left; 224 is the size that all were trained on."""


@dataclass(frozen=True)
class Backbone:
    """A network without its head, and how it was published."""

    build: Callable[..., keras.Model]
    folder: str
    file: str
    scale: float | list[float] = 2.0
    """What pixels in [0, 1] are multiplied by, for all channels or each; then `offset` is added."""
    offset: float | list[float] = -1.0
    bare: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that leave preprocessing out of the network."""

    @property
    def address(self) -> str:
        return f"{PUBLISHED}/{self.folder}/{self.file}"


MEANS, DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the red, green and blue pixels of ImageNet, in [0, 1]."""
BARE = {"include_preprocessing": False}
BACKBONES: Mapping[str, Backbone] = {
    "MobileNetV3Small": Backbone(
        applications.MobileNetV3Small,
        "mobilenet_v3",
        "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
        bare=BARE,
    ),
    "MobileNetV3Large": Backbone(
        applications.MobileNetV3Large,
        "mobilenet_v3",
        "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
        bare=BARE,
    ),
    "MobileNetV2": Backbone(
        applications.MobileNetV2, "mobilenet_v2", "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    ),
    "EfficientNetV2B0": Backbone(
        applications.EfficientNetV2B0,
        "efficientnet_v2",
        "efficientnetv2-b0_notop.h5",
        # Keras's own layer for this, Normalization, holds constants that become inputs of an ONNX model.
        scale=[1 / deviation for deviation in DEVIATIONS],
        offset=[-mean / deviation for mean, deviation in zip(MEANS, DEVIATIONS, strict=True)],
        bare=BARE,
    ),
}
"""Those of one to six million weights; docs/decisions/0054 says why no larger ones."""


def build_backbone(name: str) -> keras.Model:
    """Build a backbone as it was published, without its head and with random weights."""
    return BACKBONES[name].build(include_top=False, weights=None)


def take_features(name: str, pixels: keras.KerasTensor) -> keras.KerasTensor:
    """Apply a backbone with random weights to pixels (n, height, width, 1 or 3) in [0, 1]: features (n, h, w, d).

    Its batch normalisation is never trained, so that it keeps the means and variances of the many images that it was
    trained on: those of small batches would undo what it has learned. Source: the guide "Transfer learning and
    fine-tuning" of Keras.
    """
    backbone = BACKBONES[name]
    scaled = layers.Rescaling(backbone.scale, backbone.offset)(_resized(_in_colour(pixels)))
    # One graph, not a model within a model, whose layers would keep their precision when it is built again.
    network = backbone.build(include_top=False, weights=None, input_tensor=scaled, **backbone.bare)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
    return network.output


def take_backbone(model: keras.Model, backbone: keras.Model) -> None:
    """Set the weights of the backbone within a classifier to those of one that was built alone."""
    network = model.get_layer("network")
    for layer in backbone.layers:
        if layer.weights:
            network.get_layer(layer.name).set_weights(layer.get_weights())


def _in_colour(pixels: keras.KerasTensor) -> keras.KerasTensor:
    return pixels if pixels.shape[-1] == 3 else layers.Concatenate()([pixels] * 3)


def _resized(pixels: keras.KerasTensor) -> keras.KerasTensor:
    """Resize each side that is too short or too long; of many pixels means are taken first, so that none is missed."""
    pools = tuple(max(1, side // LARGEST_SIDE) for side in pixels.shape[1:3])
    if max(pools) > 1:
        pixels = layers.AveragePooling2D(pools)(pixels)
    size = tuple(min(max(side, SMALLEST_SIDE), LARGEST_SIDE) for side in pixels.shape[1:3])
    return pixels if size == pixels.shape[1:3] else layers.Resizing(*size, interpolation="bilinear")(pixels)
