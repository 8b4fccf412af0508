"""What came of one change in `benchmarks.demo`: its figures, its row in the table, its picture."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.results import measured_on, paragraphs, table
from fashion.adapters.predictions import JudgedWindow, PredictionLog
from fashion.evaluation.estimates import Estimate, proportion
from fashion.params import load_params
from fashion.paths import Project
from fashion.reading import read_json
from fashion.settings import predictions_url

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_SCORE = 0.1
"""That is shown; one that is typical is 0."""


def summarise(
    project: Project, drift: str, severity: str, versions: tuple[str, str], moments: tuple[datetime, datetime]
) -> dict[str, Any]:
    """Return the accuracies of the predictions themselves, by the version that made them, with their true labels."""
    from fashion.loop.monitor import read_history

    log = PredictionLog(predictions_url(project))
    before = accuracy_of(log, versions[0], until=moments[0])
    during = accuracy_of(log, versions[0], since=moments[0])
    after = accuracy_of(log, versions[1], since=moments[1])
    log.close()
    judgement = read_json(project.judgement / "judgement.json", "make demo")
    frozen = next(line for line in judgement["lines"] if line["figure"] == "accuracy")
    windows = read_history(project, load_params(project.params))
    alarm = next(window for window in windows if window.alarm)
    return {
        "drift": drift,
        "severity": severity,
        "before": vars(before),
        "during": vars(during),
        "after": vars(after),
        "recovered": (after.value - during.value) / (before.value - during.value),
        "frozen": frozen,
        "windows_until_alarm": sum(moments[0] < window.end and window.number <= alarm.number for window in windows),
        "changed": moments[0].isoformat(),
        "swapped": moments[1].isoformat(),
        "windows": [shown(window) for window in windows],
    }


def accuracy_of(
    log: PredictionLog, version: str, since: datetime | None = None, until: datetime | None = None
) -> Estimate:
    window = log.read_window(since=since, until=until)
    labelled = (window.versions == version) & (window.labels >= 0)
    return proportion((window.predicted == window.labels)[labelled])


def shown(window: JudgedWindow) -> dict[str, Any]:
    accuracy = window.accuracy
    return {
        "end": window.end.isoformat(),
        "version": window.model_version,
        "predictions": window.predictions,
        "accuracy": vars(accuracy) if accuracy else None,
        "estimated_accuracy": window.estimated_accuracy,
        "score": max(window.scores.values()),
        "alarm": window.alarm,
    }


def render(results: dict[str, Any]) -> str:
    heads = ["change", "live accuracy before", "during", "after", "loss recovered", "frozen test set"]
    heads += ["windows until alarm", "minutes from change to swap"]
    return paragraphs(
        f"{measured_on(results['machine'])}; {results['minutes']:.1f} minutes for all changes below.",
        table(heads, map(cells, results["stories"])),
    )


def cells(story: dict[str, Any]) -> list[str]:
    frozen = story["frozen"]
    change = 100 * (frozen["candidate"] - frozen["champion"])
    return [
        f"{story['drift']}, severity {story['severity']}",
        *(percent(story[when]) for when in ("before", "during", "after")),
        f"{story['recovered']:.0%}",
        f"{change:+.2f} points ({100 * frozen['low']:+.2f} to {100 * frozen['high']:+.2f})",
        str(story["windows_until_alarm"]),
        f"{minutes_since(story['changed'], story['swapped']):.1f}",
    ]


def percent(accuracy: dict[str, Any]) -> str:
    return f"{accuracy['value']:.1%} ({accuracy['low']:.1%} to {accuracy['high']:.1%}, n = {accuracy['n']:,})"


def draw(story: dict[str, Any], path: Path) -> None:
    """Draw accuracy above, drift score below, over the minutes since the change."""
    from benchmarks.pictures import svg_figure

    moments = [minutes_since(story["changed"], window["end"]) for window in story["windows"]]
    alarms = [moment for moment, window in zip(moments, story["windows"], strict=True) if window["alarm"]]
    events = [(0.0, f"{story['drift']} sets in", "#9a6700")]
    events += [(alarm, "alarm\n ", "#cf222e") for alarm in alarms]
    swapped = minutes_since(story["changed"], story["swapped"])
    events += [(swapped, "new champion", "#1a7f37")]
    with svg_figure(path, (9, 5.2)) as figure:
        above, below = figure.subplots(2, sharex=True, height_ratios=(3, 2))
        draw_accuracy(above, story["windows"], moments)
        if max(moments) < swapped:  # Its first predictions are its reference, and in no window.
            draw_accuracies(above, [swapped], [story["after"]], "live, new champion", "#1a7f37")
        above.legend(loc="best", frameon=False)
        scores = np.maximum([window["score"] for window in story["windows"]], LEAST_SCORE)
        below.plot(moments, scores, "o-", color="#57606a", markersize=4)
        below.axhline(1, color="#cf222e", linewidth=1, linestyle="--")
        below.set_yscale("log")
        below.set_ylabel("drift score\n(above 1: drifted)")
        below.set_xlabel("minutes since the change")
        for axes in (above, below):
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", color="#d0d7de", linewidth=0.6)
            for moment, _, colour in events:
                axes.axvline(moment, color=colour, linewidth=1.2)
        for moment, name, colour in events:
            above.text(moment, 1.02, f" {name}", color=colour, transform=above.get_xaxis_transform())


def minutes_since(start: str, moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.fromisoformat(start)).total_seconds() / 60


def draw_accuracy(axes: "Axes", windows: Sequence[dict[str, Any]], moments: Sequence[float]) -> None:
    labelled = [(moment, window) for moment, window in zip(moments, windows, strict=True) if window["accuracy"]]
    versions = sorted({window["version"] for _, window in labelled}, key=int)
    for version, colour in zip(versions, ("#0969da", "#1a7f37", "#8250df"), strict=False):
        chosen = [(moment, window["accuracy"]) for moment, window in labelled if window["version"] == version]
        times, accuracies = zip(*chosen, strict=True)
        draw_accuracies(axes, times, accuracies, f"live, version {version}", colour)
    estimated = [window["estimated_accuracy"] for window in windows]
    axes.plot(moments, estimated, color="#8c959f", linestyle=":", label="estimated without labels")
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.set_ylabel("accuracy, 95 % intervals")


def draw_accuracies(
    axes: "Axes", moments: Sequence[float], accuracies: Sequence[dict[str, Any]], label: str, colour: str
) -> None:
    values, lows, highs = (np.array([one[key] for one in accuracies]) for key in ("value", "low", "high"))
    spread = [values - lows, highs - values]
    axes.errorbar(moments, values, spread, label=label, fmt="o", color=colour, capsize=3, markersize=5)
