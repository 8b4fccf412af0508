"""When departures of single windows become an alarm: k of the last n, then a cool-down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fashion.params import AlarmParams


class Verdict(StrEnum):
    """The verdict on a window."""

    CLEAN = "clean"
    DRIFTED = "drifted"
    """Beyond a threshold, but not often enough for an alarm."""
    SILENCED = "drifted, cooling down"
    """It would be an alarm, had there not been one a short while ago."""
    ALARM = "alarm"


@dataclass(frozen=True)
class Decision:
    """The verdict on a window, and what it rests on."""

    scores: Mapping[str, float]
    """By statistic; more than 1 is drift."""
    verdict: Verdict
    drifted: int = 0
    """How many of the `recent` windows drifted, this one included."""
    recent: int = 0
    """0 for a window that was judged on its own."""


def decide(earlier: Sequence[Verdict], scores: Mapping[str, float], policy: AlarmParams) -> Decision:
    """Return the verdict on a window.

    Args:
        earlier: the verdicts on the windows of this model before it, oldest first.
        scores: more than 1 is drift.
    """
    recent = earlier[max(0, len(earlier) - policy.of + 1) :]
    verdict = decide_alone(scores).verdict
    windows = [*recent, verdict]
    drifted = sum(one is not Verdict.CLEAN for one in windows)
    if verdict is Verdict.DRIFTED and drifted >= policy.needed:
        cooling_down = Verdict.ALARM in earlier[max(0, len(earlier) - policy.cool_down) :]
        verdict = Verdict.SILENCED if cooling_down else Verdict.ALARM
    return Decision(scores, verdict, drifted, len(windows))


def decide_alone(scores: Mapping[str, float]) -> Decision:
    """Return the verdict on a window that counts in no alarm."""
    drifted = any(value > 1 for value in scores.values())
    return Decision(scores, Verdict.DRIFTED if drifted else Verdict.CLEAN)
