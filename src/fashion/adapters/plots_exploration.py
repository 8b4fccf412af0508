"""Pictures of a dataset (matplotlib): the sizes of its classes, histograms, and a plane of images."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice, product
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fashion.arrays import Bytes
from fashion.storage import atomic_file

DOTS_PER_INCH = 110
WIDTH = 4.8
"""Inches: on a phone, which scales these 530 pixels to 330, the letters are still 9 pixels high."""
NAMED = 40
"""The most classes whose names stand beside a picture; more are numbered."""
LONGEST_NAME = 20
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777", "#e17c05", "#2f2f8f", "#994f00")
"""Told apart by colour-blind readers: the "bright" scheme of P. Tol, "Colour Schemes" (2021), and three darker ones."""
MARKERS = "os^DvP*X"
BINS = 40


def class_style(classes: int) -> list[tuple[str, str]]:
    """Return the colour and the marker of each class; of more than 70 classes some look alike."""
    return list(islice(cycle((colour, marker) for marker, colour in product(MARKERS, COLOURS)), classes))


def frame_colours(labels: NDArray[np.int64]) -> Bytes:
    """Return the colour of each label, (n, 3)."""
    colours = np.array([to_rgb(colour) for colour in COLOURS])
    levels: Bytes = np.rint(255 * colours[labels % len(COLOURS)]).astype(np.uint8)
    return levels


def class_sizes(counts: Mapping[str, NDArray[np.int64]], classes: Sequence[str], path: Path) -> None:
    """Draw how many images each class has, a bar for each part of the dataset, side by side."""

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        places, left = np.arange(len(classes)), np.zeros(len(classes))
        for (name, values), colour in zip(counts.items(), COLOURS, strict=False):
            axis.barh(places, values, left=left, height=0.8, color=colour, label=name)
            left += values
        _name_rows(axis, classes)
        axis.set_xlabel("images")
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8)
        axis.margins(y=0.01)
        axis.set_ylim(len(classes) - 0.4, -0.6 - max(1.2, 0.06 * len(classes)))  # Room for the legend.

    _save(draw, _height(len(classes)), path)


def class_histograms(
    counts: NDArray[np.int64], limits: tuple[float, float], classes: Sequence[str], path: Path
) -> None:
    """Draw a histogram for each class as a row of a heat map; dark is much, as a share of the class.

    Args:
        counts: (classes, bins).
        limits: the least and the greatest value.
    """

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        extent = (*limits, len(classes) - 0.5, -0.5)
        norm = PowerNorm(0.5, 0, max(float(shares.max()), 1e-9))  # A root: rare values are seen, too.
        shown = axis.imshow(shares, cmap="Blues", norm=norm, aspect="auto", extent=extent, interpolation="nearest")
        _name_rows(axis, classes)
        axis.xaxis.set_major_locator(MaxNLocator(4))
        bar = figure.colorbar(shown, ax=axis, location="top", aspect=40, pad=0.02, format="{x:.0%}")
        bar.ax.tick_params(labelsize=8)
        bar.set_label("share of the class", fontsize=8)

    _save(draw, _height(len(classes)), path)


def histograms(values: Mapping[str, NDArray[np.float64]], path: Path) -> None:
    """Draw the histograms of one figure in several sets of images over each other, as shares of each set."""

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        edges = bin_edges(np.concatenate(list(values.values())))
        for (name, numbers), colour, line in zip(values.items(), COLOURS, cycle(("-", "--", ":")), strict=False):
            shares = np.histogram(numbers, edges)[0] / max(len(numbers), 1)
            axis.stairs(shares, edges, color=colour, linestyle=line, linewidth=2, label=name)
        axis.yaxis.set_major_formatter("{x:.0%}")
        axis.set_ylabel("share of the images")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=9)

    _save(draw, 3.0, path)


def plane(points: NDArray[np.float64], labels: NDArray[np.int64], classes: int, path: Path) -> None:
    """Draw images as points in the colour of their class, whose number stands in the middle of its points."""

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        for number, (colour, marker) in enumerate(class_style(classes)):
            mine = points[labels == number]
            axis.scatter(mine[:, 0], mine[:, 1], s=10, color=colour, marker=marker, linewidths=0, alpha=0.7)
        for number in np.unique(labels):
            middle = np.median(points[labels == number], axis=0)
            box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "black", "linewidth": 0.5}
            axis.text(
                middle[0],
                middle[1],
                str(number),
                fontsize=10 if classes <= NAMED else 6,
                ha="center",
                va="center",
                bbox=box,
            )
        axis.set_xticks([])
        axis.set_yticks([])

    _save(draw, WIDTH * 1.5, path, WIDTH * 1.5)


def bin_edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the edges of `BINS` bins over the values."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def _name_rows(axis: Axes, classes: Sequence[str]) -> None:
    if len(classes) <= NAMED:
        names = [f"{_shorten(name)}  {number}" for number, name in enumerate(classes)]
        axis.set_yticks(range(len(classes)), names, fontsize=9)
    else:
        axis.set_yticks(range(0, len(classes), 16))
        axis.set_ylabel("number of the class")


def _shorten(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _height(classes: int) -> float:
    return 1.6 + (0.24 * classes if classes <= NAMED else 0.03 * classes)


def _save(draw: Callable[[Figure], None], height: float, path: Path, width: float = WIDTH) -> None:
    # Class names are text: a pair of dollar signs is not a formula.
    with atomic_file(path) as temporary, rc_context({"font.family": "DejaVu Sans", "text.parse_math": False}):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)
