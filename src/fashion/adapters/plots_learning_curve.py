"""The picture of a learning curve (matplotlib)."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

DOTS_PER_INCH = 110
WIDTH, HEIGHT = 4.8, 4.0
"""Inches: narrow enough for a phone, which scales these 530 pixels to 330."""
BLUE, ORANGE = "#0072b2", "#d55e00"
"""Told apart by colour-blind readers: M. Okabe and K. Ito, "Color universal design", 2008."""


def learning_curve(points: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw accuracy with its interval, and that of each seed, against the number of images; return a PNG file.

    Args:
        points: size, accuracy, low, high, and seeds: the accuracy of each.
    """
    sizes = [point["size"] for point in points]
    values = [point["accuracy"] for point in points]
    with rc_context({"font.family": "DejaVu Sans", "font.size": 9}):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        axis = figure.subplots()
        for number, point in enumerate(points):
            label = "single seeds" if not number else None
            places = [point["size"]] * len(point["seeds"])
            axis.plot(places, point["seeds"], "x", color=ORANGE, markersize=5, label=label, zorder=3)
        spread = [
            [value - point["low"] for value, point in zip(values, points, strict=True)],
            [point["high"] - value for value, point in zip(values, points, strict=True)],
        ]
        axis.errorbar(sizes, values, spread, fmt="o-", color=BLUE, capsize=4, markersize=5, label="mean, 95 % interval")
        axis.set_xscale("log", base=2)
        # The sizes that were tried, and no powers of two between them.
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=30, ha="right")
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter("{x:.1%}")
        axis.set(xlabel="training images, on a logarithmic scale", ylabel="validation accuracy")
        axis.grid(alpha=0.3)
        axis.legend(loc="lower right")
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=DOTS_PER_INCH)
    return content.getvalue()
