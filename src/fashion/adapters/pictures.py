"""Pictures (matplotlib), drawn off screen and written whole or not at all."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fashion.storage import atomic_file

COLUMNS = 8
CORRECT, WRONG = "#1a7f37", "#cf222e"
DOTS_PER_INCH = 110


def contact_sheet(
    images: NDArray[np.uint8],
    captions: Sequence[str],
    path: Path,
    title: str,
    colours: Sequence[str] | None = None,
) -> None:
    """A grid of grey images (n, height, width) with a caption over each; with no image, a page that says so."""
    rows = max(1, -(-len(images) // COLUMNS))
    figure = Figure(figsize=(1.5 * COLUMNS, 1.85 * rows + 0.6), layout="constrained")
    figure.suptitle(title if len(images) else f"{title}: none")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, image, caption, colour in zip(axes, images, captions, colours or ["black"] * len(images), strict=False):
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
        axis.set_title(caption, fontsize=7, color=colour)
    _save(figure, path)


def training_curves(history: Mapping[str, Sequence[float]], path: Path) -> None:
    """Loss and accuracy of training and validation by epoch, from the columns of history.csv."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axis, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axis.plot(history["epoch"], history[quantity], marker="o", label="training")
        axis.plot(history["epoch"], history[f"validation_{quantity}"], marker="o", label="validation")
        axis.set(xlabel="epoch", ylabel=quantity, title=quantity.capitalize())
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend()
    _save(figure, path)


def confusion_matrix(counts: NDArray[np.int64], classes: Sequence[str], path: Path) -> None:
    """Counts (actual, predicted), coloured by the share of each actual class."""
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
    """Accuracy against confidence in bins, before and after temperature scaling (columns confidence, accuracy)."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="grey", linestyle="--", label="perfect")
    for name, bins in (("before temperature scaling", before), ("after", after)):
        axis.plot(bins["confidence"], bins["accuracy"], marker="o", label=name)
    axis.set(xlabel="confidence", ylabel="accuracy", title="Calibration on the test set", xlim=(0, 1), ylim=(0, 1))
    axis.grid(alpha=0.3)
    axis.legend()
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    with atomic_file(path) as temporary, rc_context({"font.family": "DejaVu Sans"}):
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)
