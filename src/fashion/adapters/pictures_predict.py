"""The picture of `fashion predict --plot`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fashion.storage import atomic_file

DOTS_PER_INCH = 110
MOST_ROWS = 24
"""Images that are drawn; a page longer than that is read by nobody."""


def prediction_sheet(
    sources: Sequence[str],
    given: Sequence[NDArray[np.uint8]],
    seen: Sequence[NDArray[np.uint8]],
    probabilities: Sequence[Mapping[str, float]],
    path: Path,
    title: str,
) -> None:
    """A row an image, at most 24: what the user gave, what the model saw, and a bar for each class.

    Args:
        given: uint8 grey (h, w), RGB (h, w, 3) or RGBA (h, w, 4), of any size.
        seen: uint8 (height, width), as the model takes them.
        probabilities: class names and probabilities, the most probable first.
    """
    rows = min(len(sources), MOST_ROWS)
    figure = Figure(figsize=(9, 2.4 * max(rows, 1) + 0.6), layout="constrained")
    count = "no image" if not rows else f"{rows} of {len(sources)} images" if rows < len(sources) else ""
    figure.suptitle(f"{title}: {count}" if count else title)
    if rows:
        axes = figure.subplots(rows, 3, squeeze=False, width_ratios=[1, 1, 1.4])
        for row, source, before, after, ranking in zip(axes, sources, given, seen, probabilities, strict=False):
            _prediction_row(row, source, before, after, ranking)
    with atomic_file(path) as temporary, mpl.rc_context({"font.family": "DejaVu Sans"}):
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)


def _prediction_row(
    axes: Sequence[Axes],
    source: str,
    given: NDArray[np.uint8],
    seen: NDArray[np.uint8],
    probabilities: Mapping[str, float],
) -> None:
    for axis, image, caption in zip(axes, (given, seen), (Path(source).name, "what the model saw"), strict=False):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
        axis.set_title(caption[-40:], fontsize=8, parse_math=False)
        axis.set_axis_off()
    bars = axes[2].barh(list(probabilities), list(probabilities.values()), color="#9ecae1")
    bars[0].set_color("#1a7f37")
    axes[2].bar_label(bars, [f"{100 * value:.1f} %" for value in probabilities.values()], fontsize=6, padding=2)
    axes[2].invert_yaxis()
    axes[2].set_xlim(0, 1.2)
    axes[2].set_xticks([])
    axes[2].tick_params(labelsize=7)
