"""The last windows as two small charts: where each line and mark stands."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fashion.adapters.predictions import JudgedWindow
from fashion.loop.wording import HIGHEST_DRAWN, show_score

WIDTH, HEIGHT = 340.0, 130.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 8.0, 8.0, 20.0
"""Room for the numbers beside the chart; the letters of 12 units can be read on a phone."""


@dataclass(frozen=True)
class Mark:
    """A window in a chart, in units of the drawing, from its upper left corner."""

    x: float
    y: float
    title: str
    alarm: bool = False
    low: float | None = None
    """The ends of the interval."""
    high: float | None = None


@dataclass(frozen=True)
class Chart:
    """A line of one figure over the windows, and the marks of another."""

    line: str
    """The points of a polyline."""
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]
    """Where the lines across lie, and what is written at them."""
    summary: str
    """For those who do not see it."""


def draw_drift(windows: Sequence[JudgedWindow]) -> Chart:
    """Return the highest score of each window: linear up to the limit of 1, logarithmic beyond it."""
    scores = [max(window.scores.values(), default=0.0) for window in windows]
    top = max(1.5, *(1.3 * _level(score) for score in scores))
    marks = tuple(
        Mark(
            _across(place, len(windows)),
            _down(_level(score) / top),
            f"window {window.number}: {show_score(score)}",
            window.alarm,
        )
        for place, (window, score) in enumerate(zip(windows, scores, strict=True))
    )
    powers = [power for power in (10.0, 1e3) if _level(power) < top]
    ticks = tuple((_down(_level(value) / top), f"{value:,.0f}") for value in (0.0, 1.0, *powers))
    drifted, alarms = sum(window.drifted for window in windows), sum(window.alarm for window in windows)
    last = show_score(scores[-1])
    summary = f"Drift score of the last {len(windows)} windows: {drifted} drifted, {alarms} alarms, last {last}"
    return Chart(_line(marks), marks, ticks, summary)


def draw_accuracy(windows: Sequence[JudgedWindow]) -> Chart:
    """Return the estimated accuracy as a line, and the live one with its interval where there are labels."""
    count = len(windows)
    estimated = [Mark(_across(place, count), _down(one.estimated_accuracy), "") for place, one in enumerate(windows)]
    marks = tuple(
        Mark(
            _across(place, count),
            _down(live.value),
            f"window {window.number}: {live.value:.1%}, {live.low:.1%} to {live.high:.1%}, of {live.n} labels",
            low=_down(live.low),
            high=_down(live.high),
        )
        for place, window in enumerate(windows)
        if (live := window.accuracy)
    )
    ticks = tuple((_down(value), f"{value:.0%}") for value in (0.0, 0.5, 1.0))
    last = next((window.accuracy for window in windows[::-1] if window.accuracy), None)
    said = f"live {last.value:.1%}" if last else "no labels yet"
    summary = f"Accuracy of the last {count} windows: estimated {windows[-1].estimated_accuracy:.1%}, {said}"
    return Chart(_line(estimated), marks, ticks, summary)


def _level(score: float) -> float:
    """Return a score up to 1 as it is, at least 0; beyond that its power of ten further up, of the highest drawn."""
    return 1 + math.log10(min(score, HIGHEST_DRAWN)) if score > 1 else max(0.0, score)


def _across(place: int, count: int) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * (place + 0.5) / count, 1)


def _down(share: float) -> float:
    return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - share), 1)


def _line(marks: Sequence[Mark]) -> str:
    return " ".join(f"{mark.x},{mark.y}" for mark in marks)
