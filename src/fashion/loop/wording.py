"""What the loop tells people, in words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fashion.evaluation.alarm import Decision, Verdict
from fashion.params import AlarmParams, MonitorParams

if TYPE_CHECKING:
    from fashion.adapters.predictions import JudgedWindow

HIGHEST_DRAWN = 1e4
"""Where a chart draws scores beyond it: of images without noise they reach 1e32, and say nothing more."""


def explain(decision: Decision, predictions: int, policy: AlarmParams) -> str:
    """Say why a window of so many predictions got its verdict."""
    if decision.verdict is Verdict.CLEAN:
        return f"{predictions:,} predictions consistent with the reference"
    farthest = sorted(decision.scores.items(), key=lambda item: -item[1])
    beyond = ", ".join(f"{name} at {show_score(value)}" for name, value in farthest if value > 1)
    if not decision.recent:
        return f"{beyond} times the limit; selected by hand, so not counted"
    endings = {
        Verdict.DRIFTED: f" (an alarm needs {policy.needed} of {policy.of})",
        Verdict.SILENCED: f"; an alarm was already raised in the last {policy.cool_down} windows",
        Verdict.ALARM: "",
    }
    counted = f"{decision.drifted} of the last {decision.recent} windows drifted"
    return f"{beyond} times the limit; {counted}{endings[decision.verdict]}"


def show_too_few(predictions: int, policy: AlarmParams) -> str:
    """Say that so many predictions wait for more."""
    return (
        f"{predictions:,} predictions; at least {policy.smallest_window:,} are needed (monitor.alarm.smallest_window)"
    )


def show_settling(predictions: int, version: str, params: MonitorParams) -> str:
    """Say that so many predictions are still too few for the reference of a version."""
    return (
        f"{predictions:,} predictions; version {version} was trained on collected images, so its first "
        f"{params.settling:,} predictions become its reference (monitor.settling)"
    )


def show_error(windows: "Sequence[JudgedWindow]") -> str:
    """Say by how much the estimated accuracy is wrong, over all labels of these windows; there is at least one."""
    estimated = sum(window.estimated_accuracy * window.labelled for window in windows)
    error = (estimated - sum(window.correct for window in windows)) / sum(window.labelled for window in windows)
    return f"{100 * abs(error):.1f} points too {'high' if error > 0 else 'low'}"


def show_score(value: float) -> str:
    """Return a score as text: with two digits, since 1 is the limit; how far beyond 1,000 it lies says nothing more."""
    if abs(value) < 1000:
        return f"{value:.2f}"
    return "over 1,000" if value > 0 else "under -1,000"
