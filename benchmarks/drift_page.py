"""What `benchmarks.drift` has measured, as the tables and the picture that the documents show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import paragraphs, table
from fashion.images.corruptions import SEVERITIES
from fashion.params import AlarmParams

SIZES = (100, 300, 1_000)
AIM_SIZE, AIM_SEVERITY, AIM = 300, 3, 0.95


@dataclass(frozen=True)
class Clean:
    """Of clean windows of one size."""

    size: int
    labelled: bool
    windows: int
    drifted: int
    low: float
    high: float
    """Exact 95 % interval of the rate, Clopper and Pearson's."""
    alarms: int
    by_statistic: Mapping[str, int]


@dataclass(frozen=True)
class Settled:
    """Of clean windows of one size that were compared with a champion's own first predictions."""

    size: int
    references: int
    """Each of other predictions, with as many windows."""
    windows: int
    drifted: int
    alarmed: int
    """References with which there was a false alarm."""
    low: float
    high: float
    """Exact 95 % interval of the share of such references, Clopper and Pearson's."""


@dataclass(frozen=True)
class Detection:
    """Share of the windows of one corruption, severity and size that count as drifted."""

    corruption: str
    severity: int
    size: int
    rate: float
    by_statistic: Mapping[str, float]


def render(
    alarm: AlarmParams, windows: int, clean: list[Clean], settled: list[Settled], detections: list[Detection]
) -> str:
    """Return the figures as the tables that the documents quote."""
    aimed = {one.corruption: one.rate for one in detections if (one.size, one.severity) == (AIM_SIZE, AIM_SEVERITY)}
    numbers = list(dict.fromkeys(one.windows for one in clean))
    missed = [f"{name} ({rate:.1%})" for name, rate in aimed.items() if rate < AIM]
    return paragraphs(
        f"Clean windows that count as drifted, at most {alarm.false_alarm_rate:.0%} allowed, and alarms "
        f"({alarm.needed} of the last {alarm.of} windows):",
        _clean_table(clean),
        "The same for champions that are compared with their own first predictions (`monitor.settling`):",
        _settled_table(settled),
        f"Windows that count as drifted, {windows:,} a figure, by size and severity (1 to 5):",
        _detection_table(detections),
        *(
            _false_aim([one for one in clean if one.windows == number], alarm, f", by {number:,} windows")
            for number in numbers
        ),
        _false_aim(settled, alarm, " beside a champion's own first predictions"),
        f"Aim, {AIM:.0%} of windows of {AIM_SIZE} at severity {AIM_SEVERITY}: "
        f"{'not met for ' + ', '.join(missed) if missed else 'met for every corruption'}; "
        f"the lowest rate is {min(aimed.values()):.1%}.",
    )


def _false_aim(found: Sequence[Clean | Settled], alarm: AlarmParams, where: str) -> str:
    most = max(one.drifted / one.windows for one in found)
    verdict = "met" if most <= alarm.false_alarm_rate else "not met"
    return f"Aim, at most {alarm.false_alarm_rate:.0%} false{where}: {verdict}; the highest rate is {most:.2%}."


def _settled_table(settled: list[Settled]) -> str:
    rows = (
        [
            f"{one.size:,}",
            f"{one.references:,}",
            f"{one.windows:,}",
            f"{one.drifted} ({one.drifted / one.windows:.2%})",
            f"{one.alarmed} ({one.low:.1%} to {one.high:.1%})",
        ]
        for one in settled
    )
    return table(
        ["images in a window", "champions", "windows", "drifted", "champions with a false alarm, exact 95 % interval"],
        rows,
    )


def _clean_table(clean: list[Clean]) -> str:
    rows = (
        [
            f"{one.size:,}",
            "all" if one.labelled else "none",
            f"{one.windows:,}",
            str(one.drifted),
            f"{one.drifted / one.windows:.2%} ({one.low:.2%} to {one.high:.2%})",
            str(one.alarms),
        ]
        for one in clean
    )
    return table(["images in a window", "labels", "windows", "drifted", "rate, exact 95 % interval", "alarms"], rows)


def _detection_table(detections: list[Detection]) -> str:
    columns = [(size, severity) for size in SIZES for severity in SEVERITIES]
    rates = {(one.corruption, one.size, one.severity): one.rate for one in detections}
    names = dict.fromkeys(one.corruption for one in detections)
    rows = ([name, *(_percent(rates[name, *column]) for column in columns)] for name in names)
    return table(["corruption", *(f"{size:,}: {severity}" for size, severity in columns)], rows)


def _percent(rate: float) -> str:
    """Return a rate of which none that is less is called 100 %."""
    return "100%" if rate == 1 else f"{100 * rate:.1f}%"


def draw(detections: list[Detection], path: Path) -> None:
    """Draw a curve of each size over severity, a panel a corruption."""
    from benchmarks.pictures import svg_figure

    names = list(dict.fromkeys(one.corruption for one in detections))
    with svg_figure(path, (11, 7), letters="path") as figure:
        panels = figure.subplots(3, 4, sharex=True, sharey=True).ravel()
        for panel, name in zip(panels, names, strict=True):
            for size, colour in zip(SIZES, ("#9ecae1", "#4292c6", "#08306b"), strict=True):
                chosen = [one for one in detections if one.corruption == name and one.size == size]
                rates = [100 * one.rate for one in chosen]
                panel.plot([one.severity for one in chosen], rates, marker="o", color=colour, label=f"{size:,} images")
            panel.axhline(100 * AIM, color="grey", linestyle="--", linewidth=0.8)
            panel.set(title=name, xticks=SEVERITIES, ylim=(-3, 103))
            panel.grid(alpha=0.3)
        panels[0].legend(loc="lower right")
        figure.supxlabel("severity")
        figure.supylabel("windows that count as drifted, %")
