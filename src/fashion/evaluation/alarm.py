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
    beyond = [name for name, value in scores.items() if value > 1]
    if not beyond:
        return Decision(Verdict.CLEAN, "no statistic is beyond its threshold")
    recent = judged[max(0, len(judged) - policy.of + 1) :]
    drifted = 1 + sum(one is not Verdict.CLEAN for one in recent)
    found = f"{', '.join(beyond)} beyond the threshold; {drifted} of the last {len(recent) + 1} windows drifted"
    if drifted < policy.needed:
        return Decision(Verdict.DRIFTED, f"{found}, an alarm needs {policy.needed} of {policy.of}")
    if Verdict.ALARM in judged[max(0, len(judged) - policy.cool_down) :]:
        return Decision(Verdict.SILENCED, f"{found}; the last alarm is not {policy.cool_down} windows ago")
    return Decision(Verdict.ALARM, found)
