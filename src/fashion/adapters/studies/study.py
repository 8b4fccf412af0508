"""A search and its trials."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from fashion.params import Knob

TENTHS = 10
"""Curves are compared at tenths of a training, as trials may have different numbers of epochs."""
COMPLETE, PRUNED, FAILED, RUNNING = "complete", "stopped early", "failed", "running"
STATES = {
    TrialState.COMPLETE: COMPLETE,
    TrialState.PRUNED: PRUNED,
    TrialState.FAIL: FAILED,
    TrialState.RUNNING: RUNNING,
}
ABOUT, REASON, SECONDS = "about", "reason", "seconds"
STOPPED = "its process was stopped"


@dataclass(frozen=True)
class Trial:
    """A training with values from the space."""

    number: int
    values: Mapping[str, Any]
    state: str
    accuracy: float | None
    """On the validation images, at its end; None unless it is complete."""
    seconds: float
    reason: str = ""
    """Why it failed or was stopped."""

    @property
    def has_failed(self) -> bool:
        """Whether it could not be trained; one whose process was stopped from outside might have been."""
        return self.state == FAILED and self.reason != STOPPED


class Study:
    """A search for the recipe with the best validation accuracy, which this process alone goes on with."""

    def __init__(self, study: optuna.Study) -> None:
        self.optuna = study
        self._open: dict[int, optuna.Trial] = {}
        self._begun: dict[int, float] = {}
        self._reported: dict[int, int] = {}

    @property
    def about(self) -> Any:
        """What the study was begun with; None if it is new."""
        return self.optuna.user_attrs.get(ABOUT)

    def note(self, name: str, value: Any) -> None:
        """Keep a value, which must be JSON, under a name."""
        self.optuna.set_user_attr(name, value)

    @property
    def notes(self) -> Mapping[str, Any]:
        return self.optuna.user_attrs

    @property
    def trials(self) -> list[Trial]:
        """All that have begun, in their order."""
        found = self.optuna.get_trials(deepcopy=False, states=tuple(STATES))
        return [_trial(trial) for trial in found]

    def suggest_first(self, values: Mapping[str, Any]) -> None:
        """Let the next trial have these values."""
        self.optuna.enqueue_trial(dict(values))

    def ask(self, space: Mapping[str, Knob]) -> Trial:
        """Begin a trial."""
        trial = self.optuna.ask({key: _distribution(knob) for key, knob in space.items()})
        self._open[trial.number] = trial
        self._begun[trial.number] = time.monotonic()
        return Trial(trial.number, dict(trial.params), RUNNING, None, 0.0)

    def report(self, number: int, done: float, accuracy: float) -> bool:
        """Record the validation accuracy after a share of the training; return whether to stop it there."""
        self._open[number].set_user_attr(SECONDS, time.monotonic() - self._begun[number])
        if (tenth := int(done * TENTHS)) != self._reported.get(number):  # Optuna warns of a second one, and ignores it.
            self._open[number].report(accuracy, tenth)
            self._reported[number] = tenth
        return bool(self._open[number].should_prune())

    def complete(self, number: int, accuracy: float) -> None:
        self.optuna.tell(number, accuracy)

    def prune(self, number: int, reason: str) -> None:
        self._open[number].set_user_attr(REASON, reason)
        self.optuna.tell(number, state=TrialState.PRUNED)

    def fail(self, number: int, reason: str) -> None:
        self._open[number].set_user_attr(REASON, reason)
        self.optuna.tell(number, state=TrialState.FAIL)

    def restart_stopped(self) -> None:
        """Close trials whose process is gone, and let their values be tried again: these did not cause it."""
        for trial in self.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.optuna.tell(trial.number, state=TrialState.FAIL)
            self.optuna.enqueue_trial(trial.params)


def _trial(trial: FrozenTrial) -> Trial:
    reason = str(trial.user_attrs.get(REASON, STOPPED if trial.state == TrialState.FAIL else ""))
    # One that was stopped was closed by whoever went on with the search, hours or days later.
    seconds = trial.user_attrs.get(SECONDS, 0.0) if reason == STOPPED else _duration(trial)
    return Trial(
        number=trial.number,
        values=dict(trial.params),
        state=STATES[trial.state],
        accuracy=trial.value if trial.state == TrialState.COMPLETE else None,
        seconds=seconds,
        reason=reason,
    )


def _duration(trial: FrozenTrial) -> float:
    return trial.duration.total_seconds() if trial.duration else 0.0


def _distribution(knob: Knob) -> BaseDistribution:
    if knob.choices is not None:
        return CategoricalDistribution(knob.choices)
    if isinstance(knob.low, int) and isinstance(knob.high, int):
        return IntDistribution(knob.low, knob.high, log=knob.log)
    return FloatDistribution(float(knob.low or 0), float(knob.high or 0), log=knob.log)
