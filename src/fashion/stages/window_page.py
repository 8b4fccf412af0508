"""What is left to read about a window of predictions: a page of our own, its pictures, and Evidently's report."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from fashion.adapters import pictures, reports
from fashion.adapters.predictions import JudgedWindow, Window
from fashion.evaluation.alarm import show_score
from fashion.evaluation.drift import DESCRIPTORS
from fashion.evaluation.estimates import Estimate, proportion_of
from fashion.evaluation.neighbours import nearest
from fashion.stages.reference import Examples, Known

PAGE, TREND, STRANGEST = "index.html", "trend.png", "strangest.png"
SHOWN = 8
"""The strangest images of a window, each beside `NEIGHBOURS`: a row of the sheet holds two."""
NEIGHBOURS = 3
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1f2328; }
table { border-collapse: collapse; }
td, th { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #d0d7de; }
td:first-child, th:first-child { text-align: left; } img { max-width: 100%; }
.verdict { padding: .6rem 1rem; border-left: .4rem solid #1a7f37; background: #f6f8fa; }
.drifted .verdict { border-color: #bf8700; } .alarm .verdict { border-color: #cf222e; }
.beyond { color: #cf222e; font-weight: bold; }
"""


def write_page(
    folder: Path,
    window: Window,
    judged: JudgedWindow,
    past: Sequence[JudgedWindow],
    known: Known,
    classes: tuple[str, ...],
    trend: Path | None,
) -> None:
    """Write everything about a window into the existing `folder`.

    Args:
        past: the windows before it, the oldest first.
        known: what came with the model.
        classes: their names.
        trend: Evidently's workspace, where the window belongs to the history; None where it was chosen by hand.
    """
    windows = [*past, judged]
    pictures.window_trend(_columns(windows), folder / TREND)
    _draw_strangest(folder / STRANGEST, window, known.examples, classes)
    reports.write_report(folder, _described(window, classes), _described_reference(known, classes), judged.end, trend)
    content = _render(folder, judged, windows, classes, recorded=trend is not None)
    (folder / PAGE).write_text(content, encoding="utf-8")


def _live(window: JudgedWindow) -> Estimate | None:
    return proportion_of(window.correct, window.labelled) if window.labelled else None


def _columns(windows: Sequence[JudgedWindow]) -> dict[str, list[Any]]:
    live = [_live(window) for window in windows]
    return {
        "number": [window.number for window in windows],
        "version": [window.model_version for window in windows],
        "score": [max(window.scores.values()) for window in windows],
        "alarm": [window.alarm for window in windows],
        "estimated": [window.estimated_accuracy for window in windows],
        "live": [one.value if one else np.nan for one in live],
        "low": [one.low if one else np.nan for one in live],
        "high": [one.high if one else np.nan for one in live],
    }


def _draw_strangest(path: Path, window: Window, examples: Examples, classes: tuple[str, ...]) -> None:
    """Each of the images that are farthest from all training images, followed by those that are nearest to it."""
    rows, distances = nearest(examples.embeddings, window.embeddings, NEIGHBOURS)
    images, captions, colours = [], [], []
    for one in np.argsort(-distances[:, 0], kind="stable")[:SHOWN]:
        images += [window.images[one], *examples.images[rows[one]]]
        captions.append(f"{classes[window.predicted[one]]} {window.probabilities[one].max():.0%}")
        captions += [
            f"{classes[examples.labels[row]]}\nat {distance:.3f}"
            for row, distance in zip(rows[one], distances[one], strict=True)
        ]
        colours += [pictures.WRONG, *["black"] * len(rows[one])]
    pictures.contact_sheet(
        np.stack(images), captions, path, "Red: of this window. Black: the nearest it learned", colours
    )


def _described(window: Window, classes: tuple[str, ...]) -> reports.Described:
    numbers = window.descriptors[list(DESCRIPTORS)].assign(confidence=window.probabilities.max(axis=1))
    return reports.Described(numbers, np.array(classes)[window.predicted], window.embeddings)


def _described_reference(known: Known, classes: tuple[str, ...]) -> reports.Described:
    reference = known.reference
    numbers = known.descriptors[list(DESCRIPTORS)].assign(confidence=reference.probabilities.max(axis=1))
    return reports.Described(numbers, np.array(classes)[reference.predicted], reference.embeddings)


def _render(
    folder: Path, judged: JudgedWindow, windows: Sequence[JudgedWindow], classes: tuple[str, ...], recorded: bool
) -> str:
    title = f"Window {judged.number}" if recorded else "A window chosen by hand"
    verdict = judged.verdict.value.capitalize()
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}: {verdict}</title>
<style>{STYLE}</style>
<body class="{"alarm" if judged.alarm else "drifted" if judged.drifted else "clean"}">
<h1>{title}</h1>
<p class="verdict"><b>{verdict}.</b> {escape(judged.because)}</p>
<p>{judged.predictions:,} predictions of version {escape(judged.model_version)}, from {judged.start:%Y-%m-%d %H:%M:%S}
to {judged.end:%Y-%m-%d %H:%M:%S} UTC; {judged.labelled:,} of them are labelled.</p>
<h2>Is it like the reference?</h2>
{_scores(judged)}
<p>0 is typical of clean windows of this size; above 1 is drift. <a href="{reports.HTML}">Evidently's report</a> shows
each descriptor beside the reference; its own verdicts raise no alarm.</p>
<h2>Is it right?</h2>
{_accuracy(judged, windows)}
{_classes(judged, classes)}
<h2>The last windows</h2>
{_picture(folder / TREND, "Highest score, alarms, estimated and live accuracy over the last windows")}
<h2>The strangest images</h2>
<p>Red: the images of this window that are farthest from those the model was trained on, what it took them for and how
sure it was. Black: the {NEIGHBOURS} nearest training images, with their distance in the model's own space.</p>
{_picture(folder / STRANGEST, "Strange images beside training images")}
</body>
</html>
"""


def _scores(judged: JudgedWindow) -> str:
    rows = [
        f"<tr><td>{name}</td><td{' class=beyond' if score > 1 else ''}>{show_score(score)}</td><td>1</td></tr>"
        for name, score in judged.scores.items()
    ]
    return f"<table><tr><th>statistic</th><th>score</th><th>limit</th></tr>{''.join(rows)}</table>"


def _accuracy(judged: JudgedWindow, windows: Sequence[JudgedWindow]) -> str:
    told = [f"Estimated from the calibrated confidences: <b>{judged.estimated_accuracy:.1%}</b>."]
    if live := _live(judged):
        interval = f"95 % interval {live.low:.1%} to {live.high:.1%}, {live.n:,} labels"
        told.append(f"Live: <b>{live.value:.1%}</b>, {interval}; the estimate is {_error([judged])}.")
    else:
        told.append("Live: no label has come yet.")
    labelled = [window for window in windows if window.labelled]
    if len(labelled) > 1:
        told.append(
            f"Over the labels of the last {len(labelled)} windows that have any the estimate is {_error(labelled)}."
        )
    return f"<p>{' '.join(told)}</p>"


def _error(windows: Sequence[JudgedWindow]) -> str:
    """Of the estimate, over all labels of these windows; there is at least one."""
    estimated = sum(window.estimated_accuracy * window.labelled for window in windows)
    error = (estimated - sum(window.correct for window in windows)) / sum(window.labelled for window in windows)
    return f"{100 * abs(error):.1f} points too {'high' if error > 0 else 'low'}"


def _classes(judged: JudgedWindow, classes: tuple[str, ...]) -> str:
    rows = []
    for number, name in enumerate(classes):
        labelled, correct = judged.by_class.get(str(number), (0, 0))
        if labelled:
            share = proportion_of(correct, labelled)
            rows.append(
                f"<tr><td>{escape(name)}</td><td>{labelled:,}</td><td>{share.value:.0%}</td>"
                f"<td>{share.low:.0%} to {share.high:.0%}</td></tr>"
            )
    head = "<tr><th>true class</th><th>labels</th><th>right</th><th>95 % interval</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>" if rows else ""


def _picture(path: Path, description: str) -> str:
    content = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{description}" src="data:image/png;base64,{content}">'
