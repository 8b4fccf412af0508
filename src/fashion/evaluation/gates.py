"""Absolute gates: a value, a limit and a verdict each."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """One gate. `limit` is met when it is reached, from above or from below."""

    name: str
    value: float
    limit: float
    passed: bool


@dataclass(frozen=True)
class Gate:
    """All checks of a stage."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> list[str]:
        return [
            f"{check.name} is {check.value:.6g}, limit {check.limit:.6g}" for check in self.checks if not check.passed
        ]

    def to_dict(self) -> dict[str, Any]:
        return {"passed": self.passed, "checks": [asdict(check) for check in self.checks]}


def at_least(name: str, value: float, limit: float) -> Check:
    return Check(name, value, limit, value >= limit)


def at_most(name: str, value: float, limit: float) -> Check:
    return Check(name, value, limit, value <= limit)


def gate_from_dicts(contents: Iterable[dict[str, Any]]) -> Gate:
    """One gate out of the contents of several gate files."""
    return Gate(tuple(Check(**check) for content in contents for check in content["checks"]))
