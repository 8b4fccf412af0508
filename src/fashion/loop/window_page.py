"""What people can read about a window of predictions: a page of our own, its pictures, and Evidently's report."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fashion.adapters import plots, reports
from fashion.adapters.documents import render
from fashion.adapters.predictions import JudgedWindow, Window
from fashion.arrays import Bytes
from fashion.evaluation.estimates import Estimate, proportion_of
from fashion.evaluation.neighbours import nearest
from fashion.images.descriptors import watched
from fashion.loop.wording import HIGHEST_DRAWN, show_error, show_score
from fashion.stages.reference import Examples, Known, Reference
from fashion.storage import write_text

PAGE, TREND = "index.html", "trend.png"
ROOM = "fashion.loop"
SHOWN = 8
"""The strangest images of a window, each beside `NEIGHBOURS`."""
NEIGHBOURS = 3
NAVIGATION = re.compile(r"<nav>.*?</nav>")


def write_page(folder: Path, window: Window, windows: Sequence[JudgedWindow], known: Known, trend: Path | None) -> None:
    """Write everything about a window into the existing `folder`.

    Args:
        windows: this one at the end, after those before it, the oldest first.
        known: what came with the model.
        trend: Evidently's workspace, where the window belongs to the history; None where it was chosen by hand.
    """
    judged = windows[-1]
    classes = judged.classes or ()
    plots.window_trend(_columns(windows), folder / TREND)
    found = _described(window, window.descriptors, classes)
    reports.write_report(folder, found, _described(known.reference, known.descriptors, classes), judged.end, trend)
    content = render(
        ROOM,
        "window.html",
        title=f"Window {judged.number}" if trend else "A window selected by hand",
        judged=judged,
        unknown_labels=window.unknown_labels,
        report=reports.HTML,
        labelled=[one for one in windows if one.labelled],
        by_class=_by_class(judged, classes),
        trend=(folder / TREND).read_bytes(),
        neighbours=NEIGHBOURS,
        strangest=_strangest(window, known.examples, classes),
        before=None,
        after=None,
        page=PAGE,
        show_score=show_score,
        show_error=show_error,
    )
    (folder / PAGE).write_text(content, encoding="utf-8")


def write_index(folder: Path, windows: Sequence[JudgedWindow]) -> None:
    """Write a list of the windows into `folder`, and link the pages in it, each with the one before and after it.

    Args:
        folder: holds the page of each window in a folder of its number; some windows may have none.
        windows: the oldest first.
    """
    numbers = sorted(int(page.parent.name) for page in folder.glob(f"*/{PAGE}") if page.parent.name.isdecimal())
    for number, before, after in zip(numbers, [None, *numbers], [*numbers[1:], None], strict=False):
        page = folder / str(number) / PAGE
        found = page.read_text(encoding="utf-8")
        linked = NAVIGATION.sub(render(ROOM, "navigation.html", before=before, after=after, page=PAGE), found, count=1)
        if linked != found:
            write_text(page, linked)
    content = render(
        ROOM, "windows.html", title="Prediction windows", windows=windows[::-1], numbers=numbers, page=PAGE
    )
    write_text(folder / PAGE, content)


def _columns(windows: Sequence[JudgedWindow]) -> dict[str, list[Any]]:
    nothing = Estimate(np.nan, np.nan, np.nan)
    live = [window.accuracy or nothing for window in windows]
    return {
        "number": [window.number for window in windows],
        "version": [window.model_version for window in windows],
        "score": [min(HIGHEST_DRAWN, max(window.scores.values())) for window in windows],
        "alarm": [window.alarm for window in windows],
        "estimated": [window.estimated_accuracy for window in windows],
        "live": [one.value for one in live],
        "low": [one.low for one in live],
        "high": [one.high for one in live],
    }


def _strangest(window: Window, examples: Examples, classes: tuple[str, ...]) -> Iterator[list[tuple[Bytes, str]]]:
    """Yield the images that are farthest from all training images, each followed by those that are nearest to it."""
    rows, distances = nearest(examples.embeddings, window.embeddings, NEIGHBOURS)
    for one in np.argsort(-distances[:, 0], kind="stable")[:SHOWN]:
        taken_for = f"{classes[window.predicted[one]]} {window.probabilities[one].max():.0%}"
        near = zip(rows[one], distances[one], strict=True)
        beside = [
            (examples.images[row], f"{classes[examples.labels[row]]} at {distance:.3f}") for row, distance in near
        ]
        yield [(window.images[one], taken_for), *beside]


def _by_class(judged: JudgedWindow, classes: tuple[str, ...]) -> list[tuple[str, Estimate]]:
    """Return the share of correct predictions for each true class that has labels."""
    counts = [(name, judged.by_class.get(str(number))) for number, name in enumerate(classes)]
    return [(name, proportion_of(count[1], count[0])) for name, count in counts if count]


def _described(seen: Window | Reference, descriptors: pd.DataFrame, classes: tuple[str, ...]) -> reports.Described:
    numbers = descriptors[watched(descriptors)].assign(confidence=seen.probabilities.max(axis=1))
    return reports.Described(numbers, np.array(classes)[seen.predicted], seen.embeddings)
