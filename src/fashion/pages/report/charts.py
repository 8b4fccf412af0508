"""Charts as lines and marks in the coordinates of an SVG that the template draws: sharp on paper and on any screen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 340, 240
"""Units of the drawing; on a phone one is about a pixel, so that its letters can be read there."""
LEFT, RIGHT, TOP, BOTTOM = 44, 332, 10, 204
"""The edges of the plot in it."""
TICKS = 5
"""About so many on an axis."""


@dataclass(frozen=True)
class Line:
    """A line with a mark at each point, and a bar through it where it has an interval."""

    name: str
    points: tuple[tuple[float, float], ...]
    bars: tuple[tuple[float, float, float], ...] = ()
    """x, and y of the lower and the upper end."""


@dataclass(frozen=True)
class Chart:
    """A chart ready to be drawn."""

    title: str
    """Also what is read out instead of it."""
    across: str
    up: str
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    diagonal: tuple[float, float, float, float] | None = None
    """The ends of the line on which both axes are equal, if that means something."""


@dataclass(frozen=True)
class Series:
    """What a line shows, in its own units."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Axis:
    """An axis from the first to the last of the values it has to show."""

    name: str
    low: float
    high: float
    step_at_least: float = 0.0
    """Between ticks: 1 for what is counted."""

    def place(self, value: float, start: float, end: float) -> float:
        """Return where a value is between the ends of the plot."""
        span = self.high - self.low
        return round(start + (end - start) * ((value - self.low) / span if span else 0.5), 1)

    def ticks(self) -> list[float]:
        """Return round values on the axis."""
        span = self.high - self.low
        if not span:
            return [self.low]
        rough = span / TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = max(self.step_at_least, next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def axis_around(name: str, values: Sequence[float]) -> Axis:
    """Return an axis for the values, with a little room."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    room = 0.05 * (max(finite) - min(finite))
    return Axis(name, min(finite) - room, max(finite) + room)


def draw(title: str, across: Axis, up: Axis, series: Sequence[Series], *, diagonal: bool = False) -> Chart:
    """Return a chart of the series; values that are not finite are left out."""
    ends = (max(across.low, up.low), min(across.high, up.high))
    return Chart(
        title=title,
        across=across.name,
        up=up.name,
        lines=tuple(_line(one, across, up) for one in series),
        x_ticks=tuple((_x(across, tick), f"{tick:g}") for tick in across.ticks()),
        y_ticks=tuple((_y(up, tick), f"{tick:g}") for tick in up.ticks()),
        diagonal=(_x(across, ends[0]), _y(up, ends[0]), _x(across, ends[1]), _y(up, ends[1])) if diagonal else None,
    )


def _line(series: Series, across: Axis, up: Axis) -> Line:
    points = [(_x(across, x), _y(up, y)) for x, y in zip(series.x, series.y, strict=True) if math.isfinite(y)]
    bars = zip(series.x, series.low, series.high, strict=False)
    return Line(series.name, tuple(points), tuple((_x(across, x), _y(up, low), _y(up, high)) for x, low, high in bars))


def _x(axis: Axis, value: float) -> float:
    return axis.place(value, LEFT, RIGHT)


def _y(axis: Axis, value: float) -> float:
    return axis.place(value, BOTTOM, TOP)
