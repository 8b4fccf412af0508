"""What is left to read about a window of predictions: a page of our own, its pictures, and Evidently's report."""

import base64
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion.adapters import plots, reports
from fashion.adapters.predictions import JudgedWindow, Window
from fashion.evaluation.drift import DESCRIPTORS
from fashion.evaluation.estimates import proportion_of
from fashion.evaluation.neighbours import nearest
from fashion.loop.wording import show_score
from fashion.stages.reference import Examples, Known
from fashion.storage import write_text

PAGE, TREND = "index.html", "trend.png"
SHOWN = 8
"""The strangest images of a window, each beside `NEIGHBOURS`."""
NEIGHBOURS = 3
NAVIGATION = re.compile(r"<nav>.*?</nav>")
STYLE = """
:root { --ink: #1f2328; --ground: #fff; --card: #f6f8fa; --line: #d0d7de; --link: #0969da;
  --good: #1a7f37; --doubt: #9a6700; --bad: #cf222e; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --ground: #0d1117; --card: #161b22; --line: #3d444d;
  --link: #58a6ff; --good: #3fb950; --doubt: #d29922; --bad: #ff7b72; } }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 1rem auto; padding: 0 1rem;
  color: var(--ink); background: var(--ground); overflow-wrap: anywhere; }
a { color: var(--link); }
nav a { display: inline-block; padding: .5rem .75rem .5rem 0; }
.table { overflow-x: auto; }
table { border-collapse: collapse; }
td, th { padding: .3rem .8rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); overflow-wrap: normal; }
td:first-child, th:first-child { text-align: left; } td:not(:first-child) { white-space: nowrap; }
.verdict { padding: .6rem 1rem; border-left: .4rem solid var(--good); background: var(--card); }
.drifted .verdict { border-color: var(--doubt); } .alarm .verdict { border-color: var(--bad); }
.beyond { color: var(--bad); font-weight: bold; }
.trend { max-width: 100%; }
.strange { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
.row { display: grid; grid-template-columns: repeat(4, 1fr); gap: .5rem; align-items: start; }
figure { margin: 0; } figcaption { font-size: .875rem; line-height: 1.3; }
figure img { width: 100%; image-rendering: pixelated; border: 3px solid var(--line); box-sizing: border-box; }
.strange figure:first-child img { border-color: var(--bad); }
"""


def write_page(
    folder: Path,
    window: Window,
    windows: Sequence[JudgedWindow],
    known: Known,
    trend: Path | None,
) -> None:
    """Write everything about a window into the existing `folder`.

    Args:
        windows: this one at the end, after those before it, the oldest first.
        known: what came with the model.
        trend: Evidently's workspace, where the window belongs to the history; None where it was chosen by hand.
    """
    judged = windows[-1]
    classes = judged.classes or ()
    plots.window_trend(_columns(windows), folder / TREND)
    reports.write_report(folder, _described(window, classes), _described_reference(known, classes), judged.end, trend)
    strangest = _strangest(window, known.examples, classes)
    content = _render(folder, judged, windows, classes, strangest, window.unknown_labels, recorded=trend is not None)
    (folder / PAGE).write_text(content, encoding="utf-8")


def write_index(folder: Path, windows: Sequence[JudgedWindow]) -> None:
    """Write a list of the windows into `folder`, and link the pages in it, each with the one before and after it.

    Args:
        folder: holds the page of each window in a folder of its number; of some windows there may be none.
        windows: the oldest first.
    """
    numbers = sorted(int(page.parent.name) for page in folder.glob(f"*/{PAGE}") if page.parent.name.isdecimal())
    for number, before, after in zip(numbers, [None, *numbers], [*numbers[1:], None], strict=False):
        _replace_navigation(folder / str(number) / PAGE, _navigation(before, after))
    rows = [_index_row(window, window.number in numbers) for window in reversed(windows)]
    head = "".join(
        f"<th>{name}</th>" for name in ("window", "verdict", "until (UTC)", "version", "predictions", "live")
    )
    content = _document(
        "Windows of predictions",
        "",
        f"{_table(head, rows)}<p>The newest first. Live: the accuracy of "
        "those predictions whose label was asked for at random and had come at the last look.</p>",
    )
    write_text(folder / PAGE, content)


def _replace_navigation(page: Path, navigation: str) -> None:
    found = page.read_text(encoding="utf-8")
    linked = NAVIGATION.sub(navigation, found, count=1)
    if linked != found:
        write_text(page, linked)


def _navigation(before: int | None = None, after: int | None = None) -> str:
    links = [f'<a href="../{PAGE}">All windows</a>']
    links += [f'<a href="../{before}/{PAGE}" rel="prev">Previous: window {before}</a>'] if before else []
    links += [f'<a href="../{after}/{PAGE}" rel="next">Next: window {after}</a>'] if after else []
    return f"<nav>{' '.join(links)}</nav>"


def _index_row(window: JudgedWindow, has_page: bool) -> str:
    name = f'<a href="{window.number}/{PAGE}">{window.number}</a>' if has_page else str(window.number)
    live = window.accuracy
    cells = (
        f"{window.end:%Y-%m-%d %H:%M}",
        escape(window.model_version),
        f"{window.predictions:,}",
        f"{live.value:.1%} of {live.n:,}" if live else "no label",
    )
    verdict = f"<td{' class=beyond' if window.drifted else ''}>{window.verdict.value}</td>"
    return f"<td>{name}</td>{verdict}{''.join(f'<td>{cell}</td>' for cell in cells)}"


def _columns(windows: Sequence[JudgedWindow]) -> dict[str, list[Any]]:
    live = [window.accuracy for window in windows]
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


def _strangest(window: Window, examples: Examples, classes: tuple[str, ...]) -> str:
    """Each of the images that are farthest from all training images, followed by those that are nearest to it."""
    rows, distances = nearest(examples.embeddings, window.embeddings, NEIGHBOURS)
    return "".join(
        '<div class="row">'
        + _figure(window.images[one], f"{classes[window.predicted[one]]} {window.probabilities[one].max():.0%}")
        + "".join(
            _figure(examples.images[row], f"{classes[examples.labels[row]]} at {distance:.3f}")
            for row, distance in zip(rows[one], distances[one], strict=True)
        )
        + "</div>"
        for one in np.argsort(-distances[:, 0], kind="stable")[:SHOWN]
    )


def _figure(image: NDArray[np.uint8], caption: str) -> str:
    picture = f'<img alt="" src="{_address(plots.encode(image))}">'
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def _described(window: Window, classes: tuple[str, ...]) -> reports.Described:
    numbers = window.descriptors[list(DESCRIPTORS)].assign(confidence=window.probabilities.max(axis=1))
    return reports.Described(numbers, np.array(classes)[window.predicted], window.embeddings)


def _described_reference(known: Known, classes: tuple[str, ...]) -> reports.Described:
    reference = known.reference
    numbers = known.descriptors[list(DESCRIPTORS)].assign(confidence=reference.probabilities.max(axis=1))
    return reports.Described(numbers, np.array(classes)[reference.predicted], reference.embeddings)


def _render(
    folder: Path,
    judged: JudgedWindow,
    windows: Sequence[JudgedWindow],
    classes: tuple[str, ...],
    strangest: str,
    unknown_labels: int,
    recorded: bool,
) -> str:
    title = f"Window {judged.number}" if recorded else "A window chosen by hand"
    verdict = judged.verdict.value.capitalize()
    state = "alarm" if judged.alarm else "drifted" if judged.drifted else "clean"
    trend = _address((folder / TREND).read_bytes())
    unknown = f" {unknown_labels:,} labels are none of its classes, and are left out." if unknown_labels else ""
    return _document(
        title,
        state,
        f"""<p class="verdict"><b>{verdict}.</b> {escape(judged.because)}</p>
<p>{judged.predictions:,} predictions of version {escape(judged.model_version)}, from {judged.start:%Y-%m-%d %H:%M:%S}
to {judged.end:%Y-%m-%d %H:%M:%S} UTC; {judged.labelled:,} labels that were asked for at random have come.{unknown}</p>
<h2>Is it like the reference?</h2>
{_scores(judged)}
<p>0 is typical of clean windows of this size; above 1 is drift. <a href="{reports.HTML}">Evidently's report</a> shows
each descriptor beside the reference; its own verdicts raise no alarm.</p>
<h2>Is it right?</h2>
{_accuracy(judged, windows)}
{_classes(judged, classes)}
<h2>The last windows</h2>
<img class="trend" alt="Highest score, alarms, estimated and live accuracy over the last windows" src="{trend}">
<h2>The strangest images</h2>
<p>Framed in red: the images of this window that are farthest from those the model was trained on, what it took them for
and how sure it was. Beside each: the {NEIGHBOURS} nearest training images, with their distance in the model's own
space.</p>
<div class="strange">{strangest}</div>""",
        _navigation(),
    )


def _document(title: str, state: str, body: str, navigation: str = "") -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body class="{state}">
{navigation}
<h1>{title}</h1>
{body}
</body>
</html>
"""


def _table(head: str, rows: Sequence[str]) -> str:
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="table"><table><tr>{head}</tr>{body}</table></div>'


def _scores(judged: JudgedWindow) -> str:
    rows = [
        f"<td>{name}</td><td{' class=beyond' if score > 1 else ''}>{show_score(score)}</td><td>1</td>"
        for name, score in judged.scores.items()
    ]
    return _table("<th>statistic</th><th>score</th><th>limit</th>", rows)


def _accuracy(judged: JudgedWindow, windows: Sequence[JudgedWindow]) -> str:
    told = [f"Estimated from the calibrated confidences: <b>{judged.estimated_accuracy:.1%}</b>."]
    if live := judged.accuracy:
        interval = (
            f"95 % interval {live.low:.1%} to {live.high:.1%}, of {live.n:,} labels that were asked for at random"
        )
        told.append(f"Live: <b>{live.value:.1%}</b>, {interval}; the estimate is {_error([judged])}.")
    else:
        told.append("Live: no label that was asked for has come yet.")
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
                f"<td>{escape(name)}</td><td>{labelled:,}</td><td>{share.value:.0%}</td>"
                f"<td>{share.low:.0%} to {share.high:.0%}</td>"
            )
    head = "<th>true class</th><th>labels</th><th>right</th><th>95 % interval</th>"
    return _table(head, rows) if rows else ""


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
