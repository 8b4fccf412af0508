"""Pictures (matplotlib), drawn off screen and written completely or not at all."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from textwrap import fill
from typing import Any
from warnings import catch_warnings, filterwarnings

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.text import Text
from numpy.typing import NDArray

from fashion.arrays import Bytes
from fashion.storage import atomic_file

COLUMNS = 8
CELL_WIDTH, CELL_HEIGHT, HEAD, IMAGE, MARGIN = 1.5, 1.85, 0.45, 1.35, 0.06
"""Sizes on a contact sheet, in inches: an image with its caption, the title, an image's longer side, the gap."""
FONT = "DejaVu Sans"
"""It comes with matplotlib, so that pictures are the same everywhere; it has no Chinese, Japanese or Korean."""
CORRECT, WRONG = "#1a7f37", "#cf222e"
OTHERS = "#9ecae1"
DOTS_PER_INCH = 110
MOST_ROWS = 24
"""Images on a prediction sheet; nobody reads a longer page."""


def legible(classes: Sequence[str]) -> list[str]:
    """Return what to call each class in a picture: its name, or its number where the font lacks a character of it."""
    characters = get_font(findfont(FONT)).get_charmap()
    return [
        name if all(ord(letter) in characters for letter in name) else f"class {number}"
        for number, name in enumerate(classes)
    ]


def contact_sheet(
    images: Bytes,
    captions: Sequence[str],
    path: Path,
    title: str,
    colours: Sequence[str] | None = None,
) -> None:
    """Draw a grid of images with a caption above each; without images, a page that says so."""
    rows = max(1, -(-len(images) // COLUMNS))
    width, height = CELL_WIDTH * COLUMNS, CELL_HEIGHT * rows + HEAD
    figure = Figure(figsize=(width, height))
    # One axes in inches for all: separate axes for each image take three times as long.
    axis = figure.add_axes((0, 0, 1, 1))
    axis.text(width / 2, HEAD / 2, title if len(images) else f"{title}: none", fontsize=12, ha="center", va="center")
    scale = IMAGE / max(images.shape[1:3])
    shown = zip(images, captions, colours or ["black"] * len(images), strict=True)
    for place, (image, caption, colour) in enumerate(shown):
        row, column = divmod(place, COLUMNS)
        middle, bottom = (column + 0.5) * CELL_WIDTH, HEAD + (row + 1) * CELL_HEIGHT - MARGIN
        half, top = image.shape[1] * scale / 2, bottom - image.shape[0] * scale
        sides = (middle - half, middle + half, bottom, top)
        axis.imshow(image, cmap="gray", vmin=0, vmax=255, extent=sides, aspect="auto")
        axis.text(middle, top - MARGIN, caption, fontsize=7, color=colour, ha="center", va="bottom")
    axis.set(xlim=(0, width), ylim=(height, 0))
    axis.set_axis_off()
    _save(figure, path)


def training_curves(history: Mapping[str, Sequence[float]], path: Path) -> None:
    """Plot loss and accuracy of training and validation by epoch, from the columns of history.csv."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axis, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axis.plot(history["epoch"], history[quantity], marker="o", label="training")
        axis.plot(history["epoch"], history[f"validation_{quantity}"], marker="o", label="validation")
        axis.set(xlabel="epoch", ylabel=quantity, title=quantity.capitalize())
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend()
    _save(figure, path)


def compared_curves(histories: Mapping[str, Any]) -> bytes:
    """Draw validation loss and accuracy by epoch of several trainings on one axis each; return a PNG file.

    Args:
        histories: by name, a frame with the columns of history.csv.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axis, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        # Markers, too, since colours alone do not tell lines apart for everybody.
        for (name, history), marker in zip(histories.items(), cycle("osD^vP*X")):
            axis.plot(history["epoch"], history[f"validation_{quantity}"], marker=marker, label=name)
        axis.set(xlabel="epoch", ylabel=quantity, title=f"Validation {quantity}")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    figure.axes[0].legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DOTS_PER_INCH)
    return content.getvalue()


def confusion_matrix(counts: NDArray[np.int64], classes: Sequence[str], path: Path) -> None:
    """Draw the counts (actual, predicted), coloured by the share of each actual class."""
    side = 3.5 + 0.55 * len(classes)
    figure = Figure(figsize=(side, side), layout="constrained")
    axis = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    axis.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axis.set_yticks(range(len(classes)), classes)
    axis.set(xlabel="predicted", ylabel="actual", title="Confusion matrix, images of the test set")
    _save(figure, path)


def reliability(
    before: Mapping[str, NDArray[np.float64]], after: Mapping[str, NDArray[np.float64]], path: Path
) -> None:
    """Plot accuracy against confidence in bins, before and after temperature scaling (columns confidence, accuracy)."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfect")
    for name, bins in (("before temperature scaling", before), ("after", after)):
        axis.plot(bins["confidence"], bins["accuracy"], marker="o", label=name)
    axis.set(xlabel="confidence", ylabel="accuracy", title="Calibration on the test set", xlim=(0, 1), ylim=(0, 1))
    axis.grid(alpha=0.3)
    axis.legend()
    _save(figure, path)


def window_trend(windows: Mapping[str, Sequence[Any]], path: Path) -> None:
    """Plot scores, alarms and accuracies over windows of predictions, from the oldest to the newest.

    Args:
        windows: number; version; score, the highest one; alarm; estimated, accuracy; live, low, high, accuracy with its
            interval, NaN where there is no label.
    """
    # Narrow enough for a phone, which scales these 530 pixels to 330: the letters are still 10 pixels high.
    figure = Figure(figsize=(4.8, 6.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    numbers, scores = np.array(windows["number"]), np.array(windows["score"])
    alarms = np.array(windows["alarm"], dtype=bool)
    above.plot(numbers, scores, color="grey", marker="o", markersize=4, label="highest score")
    above.plot(numbers[alarms], scores[alarms], color=WRONG, marker="v", linestyle="", markersize=10, label="alarm")
    above.axhline(1, color=WRONG, linestyle="--", linewidth=1, label="limit")
    # Clean windows lie below 1, and an inverted image far above 1,000.
    above.set_yscale("symlog", linthresh=2)
    above.yaxis.set_major_formatter("{x:,.0f}")
    above.set(ylabel="score", title="Drift", ylim=(min(-1, scores.min()) - 0.5, 2 * max(2, scores.max())))
    live, low, high = (np.array(windows[name], dtype=float) for name in ("live", "low", "high"))
    below.plot(numbers, windows["estimated"], color="grey", marker="o", markersize=4, label="estimated")
    below.errorbar(
        numbers, live, (live - low, high - live), fmt="o", color=CORRECT, capsize=3, label="live, 95 % interval"
    )
    below.set(xlabel="window", ylabel="accuracy", title="Accuracy", ylim=(0, 1.02))
    below.set_xlim(numbers[0] - 0.6, numbers[-1] + 0.6)
    below.xaxis.get_major_locator().set_params(integer=True)
    for axis in (above, below):
        for before, number, version in zip(windows["version"], numbers[1:], windows["version"][1:], strict=False):
            if version != before:
                axis.axvline(number - 0.5, color="black", linestyle=":", linewidth=1)
                axis.text(number - 0.45, axis.get_ylim()[1], f"version {version}", va="top")
        axis.grid(alpha=0.3)
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    _save(figure, path)


@dataclass(frozen=True)
class Shown:
    """A row of the sheet of predictions."""

    source: str
    given: Bytes
    """The user's picture: grey (h, w), RGB (h, w, 3) or RGBA (h, w, 4), of any size."""
    seen: Bytes
    """What the model saw: (height, width, channels)."""
    probabilities: Mapping[str, float]
    """By class, the most probable first."""
    doubt: str | None
    """Why the answer should not be relied on; None if it can be."""


def prediction_sheet(predictions: Sequence[Shown], path: Path, title: str) -> None:
    """Draw one row per image, at most 24: the user's picture, what the model saw, and a bar for each class."""
    count, rows = len(predictions), min(len(predictions), MOST_ROWS)
    figure = Figure(figsize=(9, 2.4 * max(rows, 1) + 0.6), layout="constrained")
    said = "no image" if not rows else f"{rows} of {count} images" if rows < count else ""
    figure.suptitle(f"{title}: {said}" if said else title)
    if rows:
        axes = figure.subplots(rows, 3, squeeze=False, width_ratios=[1, 1, 1.4])
        for row, prediction in zip(axes, predictions, strict=False):
            _prediction_row(row, prediction)
    _save(figure, path)


def _prediction_row(axes: Sequence[Axes], shown: Shown) -> None:
    captions = (Path(shown.source).name, "what the model saw")
    for axis, image, caption in zip(axes, (shown.given, shown.seen), captions, strict=False):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
        axis.set_title(caption[-40:], fontsize=8)
        axis.set_axis_off()
    bars = axes[2].barh(list(shown.probabilities), list(shown.probabilities.values()), color=OTHERS)
    bars[0].set_color(WRONG if shown.doubt else CORRECT)
    if shown.doubt:
        axes[2].set_title(fill(f"Do not rely on it: {shown.doubt}", 44), fontsize=8, color=WRONG, parse_math=False)
    axes[2].bar_label(bars, [f"{100 * value:.1f} %" for value in shown.probabilities.values()], fontsize=6, padding=2)
    axes[2].invert_yaxis()
    axes[2].set_xlim(0, 1.2)
    axes[2].set_xticks([])
    axes[2].tick_params(labelsize=7)


def _save(figure: Figure, path: Path) -> None:
    # Class names are text: a pair of dollar signs is not a formula.
    with (
        atomic_file(path) as temporary,
        rc_context({"font.family": FONT, "text.parse_math": False}),
        catch_warnings(),
    ):
        filterwarnings("ignore", "Glyph .* missing from font")  # Of a file or a model; classes are made legible.
        for text in figure.findobj(Text):
            text.set_parse_math(False)
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)
