"""When departures of single windows become an alarm: k of the last n, then a cool-down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fashion.params import AlarmParams


class Verdict(StrEnum):
    """What is said of a window."""

    TOO_SMALL = "too small"
    CLEAN = "clean"
    DRIFTED = "drifted"
    """Beyond a threshold, but not often enough for an alarm."""
    SILENCED = "drifted, cooling down"
    """It would be an alarm, had there not been one a short while ago."""
    ALARM = "alarm"


@dataclass(frozen=True)
class Decision:
    """The verdict on a window, and why."""

    verdict: Verdict
    reason: str


def decide(earlier: Sequence[Verdict], scores: Mapping[str, float], policy: AlarmParams) -> Decision:
    """The verdict on a window.

    Args:
        earlier: the verdicts on the windows of this model before it, oldest first.
        scores: more than 1 is drift; empty for a window that is too small to judge.
    """
    if not scores:
        return Decision(Verdict.TOO_SMALL, f"fewer than {policy.smallest_window} predictions say nothing")
    judged = [one for one in earlier if one is not Verdict.TOO_SMALL]
    if not is_drifted(scores):
        return Decision(Verdict.CLEAN, "no statistic is beyond its limit")
    recent = judged[max(0, len(judged) - policy.of + 1) :]
    drifted = 1 + sum(one is not Verdict.CLEAN for one in recent)
    found = f"{name_beyond(scores)}; {drifted} of the last {len(recent) + 1} windows drifted"
    if drifted < policy.needed:
        return Decision(Verdict.DRIFTED, f"{found}, an alarm needs {policy.needed} of {policy.of}")
    if Verdict.ALARM in judged[max(0, len(judged) - policy.cool_down) :]:
        return Decision(Verdict.SILENCED, f"{found}; the last alarm is not {policy.cool_down} windows ago")
    return Decision(Verdict.ALARM, found)


def is_drifted(scores: Mapping[str, float]) -> bool:
    return any(value > 1 for value in scores.values())


def name_beyond(scores: Mapping[str, float]) -> str:
    """The statistics beyond their limit, the farthest first."""
    farthest = sorted(scores.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} at {show_score(value)}" for name, value in farthest if value > 1) + " times the limit"


def show_score(value: float) -> str:
    """Return a score as text: with two digits, since 1 is the limit; how far beyond 1,000 it lies says nothing more."""
    return f"{value:.2f}" if value < 1000 else "over 1,000"
