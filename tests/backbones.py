"""Backbones for tests: one that is trained in a second, and weights in the form in which Keras publishes them."""

from pathlib import Path

import h5py
import keras
import numpy as np
from keras import layers
from keras.src.legacy.saving import legacy_h5_format

from fashion.model.backbones import Backbone, build_backbone

NAME, FEATURES = "MobileNetV3Small", 64
SMALL = {"name": NAME, "path": "data/backbones/small.h5", "sha256": "0" * 64, "head_epochs": 20}
"""What a recipe says of it."""


def small(include_top, weights, input_tensor=None):
    """A network as those of keras.applications, of four layers; with those, tracing alone takes twelve seconds."""
    pixels = keras.Input((None, None, 3)) if input_tensor is None else input_tensor
    features = layers.Conv2D(6, 5, strides=4, use_bias=False, name="stem")(pixels)
    features = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_bn")(features))
    features = layers.Conv2D(FEATURES, 3, strides=4, name="last")(features)
    return keras.Model(keras.utils.get_source_inputs(pixels), features)


SMALL_BACKBONE = Backbone(small, "small", "small_no_top.h5")


def settle(backbone: keras.Model) -> keras.Model:
    """Give its batch normalisation the statistics of some images: without, hardly anything comes out of many layers."""
    normalisations = [layer for layer in backbone.layers if isinstance(layer, layers.BatchNormalization)]
    for layer in normalisations:
        layer.momentum = 0.0
    scales_itself = any(isinstance(layer, layers.Rescaling) for layer in backbone.layers)
    limits = (0, 255) if scales_itself else (-1, 1)
    patches = np.random.default_rng(0).uniform(*limits, (16, 6, 6, 3)).astype(np.float32)
    backbone(patches.repeat(16, axis=1).repeat(16, axis=2), training=True)
    return backbone


def publish(folder: Path, name: str = NAME, seed: int = 5) -> Path:
    """Write random weights of a backbone as Keras publishes trained ones: a legacy file, without the head."""
    keras.utils.set_random_seed(seed)
    path = folder / f"{name.lower()}_no_top.h5"
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, settle(build_backbone(name)))
    return path
