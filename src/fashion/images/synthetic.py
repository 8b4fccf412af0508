"""Drawn garments: a dataset for machines without a network and for the tests. Deterministic, any number of classes.

Each class is an outline, and each outline has some variants with moved corners. An image is one variant, placed,
turned, scaled, shaded and grained at random, bright on black.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fashion.arrays import Booleans, Bytes, Floats, Labels

Polygon = NDArray[np.float64]

VARIANTS = 48
CORNER_JITTER = 0.08
"""Standard deviation by which a variant's corners move, in half image sides."""
CELLS_PER_PIXEL = 4
"""How much finer outlines are rasterised than images."""
SOFTENING = 5
"""Cells over which an edge is spread: somewhat more than a pixel, so that no thin part falls between two pixels."""
PIXELS_AT_ONCE = 1 << 22
"""Bounds memory: about 200 MB of temporary arrays."""

# Corners as (x, y) from -1 to 1, y downwards. A right half is mirrored; a whole outline may have several polygons,
# and where two of them overlap there is a hole.
RIGHT_HALVES: dict[str, list[tuple[float, float]]] = {
    "tee": [(0.18, -0.72), (0.45, -0.8), (0.95, -0.42), (0.78, -0.12), (0.52, -0.3), (0.5, 0.82)],
    "trousers": [(0.36, -0.95), (0.42, -0.4), (0.46, 0.95), (0.14, 0.95), (0.02, -0.3)],
    "pullover": [(0.2, -0.8), (0.46, -0.82), (0.72, -0.5), (0.92, 0.72), (0.68, 0.78), (0.54, -0.1), (0.52, 0.8)],
    "dress": [(0.12, -0.8), (0.24, -0.95), (0.32, -0.5), (0.2, -0.2), (0.34, 0.3), (0.58, 0.95)],
    "coat": [
        (0.1, -0.9),
        (0.42, -0.86),
        (0.66, -0.6),
        (0.84, 0.6),
        (0.64, 0.66),
        (0.56, 0.2),
        (0.62, 0.95),
        (0.03, 0.95),
    ],
    "shirt": [(0.02, -0.5), (0.16, -0.88), (0.46, -0.78), (0.9, 0.08), (0.7, 0.24), (0.5, -0.16), (0.46, 0.88)],
}
OUTLINES: dict[str, list[list[tuple[float, float]]]] = {
    "sandal": [
        [(-0.95, 0.3), (-0.2, 0.42), (0.95, 0.3), (0.95, 0.48), (-0.2, 0.6), (-0.95, 0.55)],
        [(-0.9, 0.28), (-0.75, -0.35), (-0.6, -0.35), (-0.55, 0.33)],
        [(0.05, 0.38), (0.35, -0.12), (0.55, -0.02), (0.72, 0.31)],
    ],
    "sneaker": [
        [(-0.95, -0.28), (-0.5, -0.2), (-0.1, -0.34), (0.35, 0.08), (0.9, 0.2), (0.96, 0.48), (-0.94, 0.5)],
    ],
    "bag": [
        [(-0.84, -0.22), (0.84, -0.22), (0.9, 0.8), (-0.9, 0.8)],
        [
            (-0.5, -0.24), (-0.38, -0.82), (0.38, -0.82), (0.5, -0.24),
            (0.34, -0.24), (0.26, -0.64), (-0.26, -0.64), (-0.34, -0.24),
        ],
    ],
    "boot": [
        [
            (-0.78, -0.88), (0.02, -0.86), (0.06, -0.1), (0.55, 0.24),
            (0.9, 0.42), (0.9, 0.84), (-0.3, 0.78), (-0.78, 0.86),
        ],
    ],
}  # fmt: skip
ORDER = ("tee", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")


def draw(count: int, classes: int, size: tuple[int, int], seed: int, channels: int = 1) -> tuple[Bytes, Bytes]:
    """Draw images and their labels, equally many of each class (give or take one), in random order.

    The background is exactly 0 and the brightest pixel of each image 200 to 255. A class has the same outline
    whatever the seed and the number of classes.

    Args:
        count: number of images.
        classes: number of classes, 1 to 256.
        size: height and width in pixels.
        seed: the same seed draws the same images.
        channels: 1 for grey; 3 for colour: each object has a tint of its own, whatever its class.

    Returns:
        Images (count, height, width, channels) uint8 and labels (count,) uint8.
    """
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % classes).astype(np.uint8)
    side = min(CELLS_PER_PIXEL * max(size), 256)
    templates = np.stack([_templates(label, side) for label in range(classes)])
    images = np.empty((count, *size), np.uint8)
    for part in _parts(count, size):
        images[part] = _draw_part(labels[part], templates, size, random)
    if channels == 1:
        return images[..., None], labels
    tints = random.uniform(0.4, 1, (count, 1, 1, channels)).astype(np.float32)
    tints /= tints.max(axis=-1, keepdims=True)
    coloured = np.empty((*images.shape, channels), np.uint8)
    for part in _parts(count, size):
        coloured[part] = images[part][..., None] * tints[part]
    return coloured, labels


def _parts(count: int, size: tuple[int, int]) -> Iterator[slice]:
    step = max(1, PIXELS_AT_ONCE // (size[0] * size[1]))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def _draw_part(labels: Labels, templates: Bytes, size: tuple[int, int], random: np.random.Generator) -> Bytes:
    count = len(labels)
    across, down = _coordinates(count, size, random)
    shapes = _sample(templates, labels, across, down, random)
    shade = _shade(across, down, random)
    grain = 1 + 0.12 * random.standard_normal((count, *size), np.float32)
    light = shapes * np.clip(shade * grain, 0.15, None)
    peaks = random.uniform(200.5, 255, (count, 1, 1)).astype(np.float32)
    image: Bytes = (light * (peaks / light.max(axis=(1, 2), keepdims=True))).astype(np.uint8)
    return image


def _coordinates(count: int, size: tuple[int, int], random: np.random.Generator) -> tuple[Floats, Floats]:
    """Return where each pixel lies in its outline's square from -1 to 1: x and y, each (count, height, width)."""
    height, width = size
    x = _centres(width)[None, None, :]
    y = _centres(height)[None, :, None]
    right, below = (_uniform(random, -0.16, 0.16, count) for _ in range(2))
    wider, taller = (_uniform(random, 0.62, 1.02, count) for _ in range(2))
    angle, lean = _uniform(random, -0.2, 0.2, count), _uniform(random, -0.15, 0.15, count)
    across: Floats = (np.cos(angle) * (x - right) + (np.sin(angle) + lean) * (y - below)) / wider
    down: Floats = (np.cos(angle) * (y - below) - np.sin(angle) * (x - right)) / taller
    return across, down


def _centres(length: int) -> Floats:
    """Return the centres of pixels, on a scale from -1 to 1."""
    return ((np.arange(length) + 0.5) / length * 2 - 1).astype(np.float32)


def _sample(templates: Bytes, labels: Labels, across: Floats, down: Floats, random: np.random.Generator) -> Floats:
    """Look up one variant of each label's outline at the coordinates: coverage from 0 to 1."""
    side = templates.shape[-1]
    flat = templates.reshape(-1, side * side)
    variants = labels.astype(np.int64) * VARIANTS + random.integers(0, VARIANTS, len(labels))
    columns, rows = ((axis + 1) * (side / 2) for axis in (across, down))
    inside = (columns >= 0) & (columns < side) & (rows >= 0) & (rows < side)
    pixels = np.where(inside, rows.astype(np.int64) * side + columns.astype(np.int64), 0)
    coverage = flat[variants[:, None, None], pixels].astype(np.float32) / 255
    return np.where(inside, coverage, np.float32(0))


def _shade(across: Floats, down: Floats, random: np.random.Generator) -> Floats:
    """Return brightness around 1: a slope from one side to the other, and stripes in any direction."""
    count = len(across)
    slope, contrast = _uniform(random, -0.35, 0.35, count), _uniform(random, 0, 0.3, count)
    angle, waves, phase = (_uniform(random, 0, high, count) for high in (np.pi, 18, 2 * np.pi))
    stripes = np.sin(waves * (np.cos(angle) * across + np.sin(angle) * down) + phase)
    return np.float32(1) + slope * across + contrast * stripes


def _uniform(random: np.random.Generator, low: float, high: float, count: int) -> Floats:
    return random.uniform(low, high, (count, 1, 1)).astype(np.float32)


@lru_cache(maxsize=64)
def _templates(label: int, side: int) -> Bytes:
    """Return the variants of one class as coverage, (VARIANTS, side, side) uint8, zero at the border."""
    random = np.random.default_rng(label)
    polygons = _polygons(label, random)
    return np.stack([_rasterise(_move_corners(polygons, random), side) for _ in range(VARIANTS)])


def _polygons(label: int, random: np.random.Generator) -> list[Polygon]:
    if label >= len(ORDER):
        return [_mirror(_unnamed_half(random))]
    name = ORDER[label]
    if name in RIGHT_HALVES:
        return [_mirror(np.array(RIGHT_HALVES[name]))]
    return [np.array(polygon) for polygon in OUTLINES[name]]


def _unnamed_half(random: np.random.Generator) -> Polygon:
    """Return the right half of a random outline: a width at each of seven heights."""
    return np.column_stack([random.uniform(0.1, 0.9, 7), np.linspace(-0.9, 0.9, 7)])


def _mirror(half: Polygon) -> Polygon:
    return np.concatenate([half, half[::-1] * (-1, 1)])


def _move_corners(polygons: list[Polygon], random: np.random.Generator) -> list[Polygon]:
    return [np.clip(polygon + random.normal(0, CORNER_JITTER, polygon.shape), -0.97, 0.97) for polygon in polygons]


def _rasterise(polygons: list[Polygon], side: int) -> Bytes:
    """Return the coverage of the even-odd filled polygons, 0 to 255, with softened edges."""
    centres = _centres(side)
    inside = np.zeros((side, side), bool)
    for polygon in polygons:
        for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            crossing = (y0 > centres) != (y1 > centres)
            at = x0 + (centres - y0) * (x1 - x0) / (y1 - y0 if y1 != y0 else 1)
            inside ^= crossing[:, None] & (centres[None, :] < at[:, None])
    return _soften(inside)


def _soften(inside: Booleans) -> Bytes:
    """Return the share of inside cells among those around each cell, 0 to 255."""
    padded = np.pad(inside, SOFTENING // 2).astype(np.uint8)
    columns = np.lib.stride_tricks.sliding_window_view(padded, SOFTENING, axis=0).sum(axis=2, dtype=np.uint16)
    counts = np.lib.stride_tricks.sliding_window_view(columns, SOFTENING, axis=1).sum(axis=2, dtype=np.uint16)
    share: Bytes = (counts * 255 // SOFTENING**2).astype(np.uint8)
    return share
