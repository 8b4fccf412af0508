"""The picture of accuracy on corrupted images and on slices (matplotlib)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from fashion.storage import atomic_file

DOTS_PER_INCH = 110
WIDTH, PANEL, ROW = 4.8, 1.35, 0.3
"""Inches: of the picture, which is read on a phone, too; the height of a panel, and of a slice's row."""
COLUMNS = 3
BLUE, ORANGE = "#0072b2", "#d55e00"
"""Told apart by colour-blind readers: M. Okabe and K. Ito, "Color universal design", 2008."""


def robustness(corrupted: Mapping[str, Any], slices: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw accuracy by severity, a panel for each corruption, above the accuracy on each slice that has images.

    Args:
        corrupted: `rows` with corruption, severity, accuracy, low, high; `mean` with accuracy, low, high.
        slices: name, images, accuracy, low, high.
    """
    names = list(dict.fromkeys(row["corruption"] for row in corrupted["rows"]))
    filled = [one for one in slices if one["images"]]
    heights = [PANEL * -(-len(names) // COLUMNS) + 0.4, ROW * len(filled) + 0.9]
    with atomic_file(path) as temporary, rc_context({"font.family": "DejaVu Sans", "font.size": 8}):
        figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
        parts = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)
        _draw_corruptions(parts[0, 0], names, corrupted)
        _draw_slices(parts[1, 0], filled)
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)


def _draw_corruptions(figure: SubFigure, names: Sequence[str], corrupted: Mapping[str, Any]) -> None:
    figure.suptitle(f"Accuracy by severity; dashed: mean, {corrupted['mean']['accuracy']:.1%}", fontsize=9)
    axes = figure.subplots(-(-len(names) // COLUMNS), COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    for axis, name in zip(axes, names, strict=False):
        rows = [row for row in corrupted["rows"] if row["corruption"] == name]
        _draw_intervals(axis, rows)
        axis.axhline(corrupted["mean"]["accuracy"], color=ORANGE, linestyle="--", linewidth=1)
        axis.set_title(name, fontsize=8)
        axis.set_xticks([row["severity"] for row in rows])
        axis.set_ylim(0, 1)
        axis.yaxis.set_major_formatter("{x:.0%}")
        axis.grid(alpha=0.3)
    for axis in axes[len(names) :]:
        axis.set_axis_off()


def _draw_intervals(axis: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    severities, accuracies = [row["severity"] for row in rows], [row["accuracy"] for row in rows]
    axis.plot(severities, accuracies, color=BLUE, marker="o", markersize=3, linewidth=1.2)
    axis.vlines(severities, [row["low"] for row in rows], [row["high"] for row in rows], color=BLUE, linewidth=1)


def _draw_slices(figure: SubFigure, filled: Sequence[Mapping[str, Any]]) -> None:
    figure.suptitle("Accuracy on slices" if filled else "Accuracy on slices: no slice has an image", fontsize=9)
    if not filled:
        return
    axis = figure.subplots()
    places = range(len(filled))
    axis.hlines(places, [one["low"] for one in filled], [one["high"] for one in filled], color=BLUE)
    axis.plot([one["accuracy"] for one in filled], places, color=BLUE, marker="o", markersize=4, linestyle="")
    axis.set_yticks(places, [f"{one['name'].replace('_', ' ')}, n = {one['images']:,}" for one in filled])
    axis.set_ylim(len(filled) - 0.5, -0.5)
    axis.xaxis.set_major_formatter("{x:.0%}")
    axis.grid(alpha=0.3, axis="x")
