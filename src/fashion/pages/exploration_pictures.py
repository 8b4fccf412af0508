"""The pictures of an exploration, as PNG files in its folder."""

from pathlib import Path

import numpy as np

from fashion.adapters import plots_exploration as plots
from fashion.adapters.plots import legible
from fashion.arrays import Bytes
from fashion.images.class_statistics import LEVELS
from fashion.images.copies_found import Copies
from fashion.images.embedding import thin
from fashion.images.encoding import encode_png
from fashion.images.montage import in_cells, in_rows
from fashion.pages.exploration import Explored, Subject, compared_sets, sets_of

SMALL = 48
"""Pixels of the longer edge of an image on a page."""
CELLS = 20
"""Columns and rows of the images over the plane."""
BALANCE, PLANE, PLANE_IMAGES = "balance.png", "plane.png", "plane_images.png"
SAMPLES, MEANS, DEVIATIONS = "samples.png", "means.png", "deviations.png"
EXACT, NEAR, QUARANTINED = "exact_copies.png", "near_copies.png", "quarantine.png"
CHANNELS = {1: ("brightness",), 3: ("red", "green", "blue")}


def draw_pictures(folder: Path, subject: Subject, explored: Explored) -> None:
    """Write all pictures into the existing `folder`."""
    _draw_classes(folder, subject, explored)
    _draw_histograms(folder, subject, explored)
    _draw_plane(folder, subject, explored)
    for name, copies in ((EXACT, explored.exact), (NEAR, explored.near)):
        _draw_pairs(folder / name, subject, copies)


def pixel_picture(channel: str) -> str:
    """Return the name of the picture with the pixels of each class."""
    return f"pixels_{channel}.png"


def class_picture(descriptor: str) -> str:
    """Return the name of the picture with a descriptor by class."""
    return f"by_class_{descriptor}.png"


def set_picture(descriptor: str) -> str:
    """Return the name of the picture with a descriptor by set of images."""
    return f"compared_{descriptor}.png"


def _draw_classes(folder: Path, subject: Subject, explored: Explored) -> None:
    sizes = {one.name: one.counts for one in sets_of(subject) if one is not subject.known}
    plots.class_sizes(sizes, legible(subject.classes), folder / BALANCE)
    rows = [subject.parts.take_small(positions, SMALL) for positions in explored.samples]
    write_image(folder / SAMPLES, in_rows(rows, max(map(len, rows))))
    side = int(np.ceil(np.sqrt(len(subject.classes))))
    for name, images in ((MEANS, explored.statistics.means), (DEVIATIONS, explored.statistics.deviations)):
        write_image(
            folder / name, in_rows([images[start : start + side] for start in range(0, len(images), side)], side)
        )


def _draw_histograms(folder: Path, subject: Subject, explored: Explored) -> None:
    for number, channel in enumerate(CHANNELS[subject.parts.shape[2]]):
        counts = explored.statistics.pixels[:, number].reshape(len(subject.classes), LEVELS // 4, 4).sum(axis=2)
        plots.class_histograms(counts, (0, LEVELS - 1), legible(subject.classes), folder / pixel_picture(channel))
    labels = subject.parts.labels
    first, *more = compared_sets(subject)
    sets = [*first, *(one for group in more for one in group[1:])]
    known = labels < len(subject.classes)
    for name in subject.columns:
        values = subject.table[name].to_numpy(float)
        edges = plots.bin_edges(values)
        counts = np.histogram2d(labels[known], values[known], (np.arange(len(subject.classes) + 1), edges))[0]
        limits = float(edges[0]), float(edges[-1])
        plots.class_histograms(counts.astype(np.int64), limits, legible(subject.classes), folder / class_picture(name))
        if len(sets) > 1:
            plots.histograms({one.name: one.table[name].to_numpy(float) for one in sets}, folder / set_picture(name))


def _draw_plane(folder: Path, subject: Subject, explored: Explored) -> None:
    labels, points = subject.parts.labels[explored.embedded], explored.embedding.points
    plots.plane(points, labels, len(subject.classes), folder / PLANE)
    chosen, cells = thin(points, CELLS)
    images = subject.parts.take_small(explored.embedded[chosen], SMALL)
    write_image(folder / PLANE_IMAGES, in_cells(images, cells.tolist(), plots.frame_colours(labels[chosen]), CELLS))


def _draw_pairs(path: Path, subject: Subject, copies: Copies) -> None:
    """Write the pairs one above the other; without any, no picture."""
    if copies.examples:
        write_image(path, in_rows([subject.parts.take_small(np.array(pair), SMALL) for pair in copies.examples], 2))


def write_image(path: Path, image: Bytes) -> None:
    """Write one image (height, width, channels) as it is."""
    path.write_bytes(encode_png(image))
