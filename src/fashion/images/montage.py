"""Many small images in one."""

from collections.abc import Sequence

import numpy as np

from fashion.arrays import Bytes

GAP = 2
"""Pixels between two images."""
PAPER = 255


def in_rows(rows: Sequence[Bytes], across: int) -> Bytes:
    """Return one image (height, width, channels) with a row for each array of images (n, height, width, channels).

    Args:
        rows: at least one, of images of one form; a row may be empty.
        across: images in a row; there is white where a row has fewer.
    """
    height, width, channels = rows[0].shape[1:]
    sheet = np.full((len(rows), height + GAP, max(across, 1), width + GAP, channels), PAPER, np.uint8)
    for row, images in zip(sheet, rows, strict=True):
        shown = images[:across]
        row[:height, : len(shown), :width] = shown.transpose(1, 0, 2, 3)
    return sheet.reshape(len(rows) * (height + GAP), -1, channels)[:-GAP, :-GAP]


def in_cells(images: Bytes, cells: Sequence[tuple[int, int]], colours: Bytes, side: int) -> Bytes:
    """Return a square of `side` by `side` cells in colour, each image in its cell with a frame of its colour.

    Args:
        images: (n, height, width, channels).
        cells: column and row of each image, from 0; row 0 is at the bottom, as in a plot.
        colours: of the frames, (n, 3).
    """
    height, width = images.shape[1:3]
    sheet = np.full((side, height + 2 * GAP, side, width + 2 * GAP, 3), PAPER, np.uint8)
    for image, (column, row), colour in zip(images, cells, colours, strict=True):
        sheet[side - 1 - row, :, column] = colour
        sheet[side - 1 - row, GAP:-GAP, column, GAP:-GAP] = image  # One channel becomes three.
    return sheet.reshape(side * (height + 2 * GAP), side * (width + 2 * GAP), 3)
