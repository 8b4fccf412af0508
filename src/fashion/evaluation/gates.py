"""Absolute gates: each has an estimate with its interval, a limit and a verdict."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fashion.evaluation.estimates import Estimate

PASSED, FAILED, UNDECIDED = "passed", "failed", "undecided"


@dataclass(frozen=True)
class Check:
    """One gate. A limit is met when it is reached, from above or from below.

    The gate is passed if the whole interval meets the limit, failed if the whole interval misses it, and otherwise
    undecided, which lets the candidate through. An exact figure is an interval without width, so it is never undecided.
    """

    name: str
    value: float
    low: float
    high: float
    limit: float
    verdict: str
    n: int | None
    """The number of images or calls; None for an exact figure."""
    unit: str
    needed: int | None
    """The n that would decide if the value stayed the same; None if it is decided, or if no n would suffice or can be
    had."""

    def __str__(self) -> str:
        brackets = f" ({self.interval})" if self.interval else ""
        return f"{self.name} is {self._number(self.value)}{brackets}, limit {self._number(self.limit)}"

    @property
    def outcome(self) -> str:
        """The verdict, and how large n would have to be if it is undecided."""
        return f"{self.verdict}: about {self.needed:,} {self.unit} would decide" if self.needed else self.verdict

    @property
    def interval(self) -> str:
        """Empty for an exact figure."""
        return "" if self.low == self.high else f"{self._number(self.low)} to {self._number(self.high)}"

    @property
    def title(self) -> str:
        """The name in words. What is no identifier has the name of a class in it, which stays as it is."""
        return self.name.replace("_", " ") if self.name.isidentifier() else self.name

    def row(self) -> dict[str, str]:
        """Return the check as a row of a table."""
        return {
            "gate": self.title[:1].upper() + self.title[1:],
            "value": self._number(self.value),
            "interval": self.interval,
            "limit": self._number(self.limit),
            "verdict": self.outcome,
        }

    def _number(self, value: float) -> str:
        if abs(value) >= 1000:
            return f"{value:,.0f}"
        return f"{value:.6g}" if self.low == self.high else f"{value:.4g}"


@dataclass(frozen=True)
class Gate:
    """All checks of a stage, or of several."""

    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        """Failed if any check is, else undecided if any is."""
        found = {check.verdict for check in self.checks}
        return next((verdict for verdict in (FAILED, UNDECIDED) if verdict in found), PASSED)

    @property
    def failures(self) -> list[str]:
        return [str(check) for check in self.checks if check.verdict == FAILED]

    @property
    def summary(self) -> str:
        """The result of the gates in one line, with the figures of those that were not passed."""
        if self.failures:
            return f"gates failed: {'; '.join(self.failures)}"
        undecided = [str(check) for check in self.checks if check.verdict == UNDECIDED]
        return (
            f"no gate failed, {len(undecided)} undecided: {'; '.join(undecided)}" if undecided else "all gates passed"
        )

    @property
    def count(self) -> str:
        """How many gates have each verdict."""
        counts = Counter(check.verdict for check in self.checks)
        if counts[PASSED] == len(self.checks):
            return f"All {len(self.checks)} gates passed"
        told = [FAILED, *(verdict for verdict in (UNDECIDED, PASSED) if verdict in counts)]
        return f"{len(self.checks)} gates: {', '.join(f'{counts[verdict]} {verdict}' for verdict in told)}"

    def to_dict(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "checks": [asdict(check) for check in self.checks]}


def at_least(name: str, estimate: Estimate, limit: float) -> Check:
    return _check(name, estimate, limit, whole=estimate.low >= limit, part=estimate.high >= limit)


def at_most(name: str, estimate: Estimate, limit: float) -> Check:
    return _check(name, estimate, limit, whole=estimate.high <= limit, part=estimate.low <= limit)


def _check(name: str, estimate: Estimate, limit: float, *, whole: bool, part: bool) -> Check:
    """Compare an estimate with its limit. NaN meets no limit, not even in part: it fails."""
    verdict = PASSED if whole else UNDECIDED if part else FAILED
    needed = estimate.needed(limit) if verdict == UNDECIDED else None
    return Check(name, estimate.value, estimate.low, estimate.high, limit, verdict, estimate.n, estimate.unit, needed)


def gate_from_dict(content: Mapping[str, Any]) -> Gate:
    """Return the gate in the content of a gate file. Raises TypeError or KeyError if it is malformed."""
    return Gate(tuple(Check(**check) for check in content["checks"]))
