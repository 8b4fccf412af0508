"""Parameters of the loop: when drift raises an alarm, and what is collected for training."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from fashion.params.section import Positive, Section, Share

WindowCount = Annotated[int, Field(ge=1, le=1000)]


class AlarmParams(Section):
    """When a window of predictions counts as drifted, and when that raises an alarm."""

    false_alarm_rate: Annotated[float, Field(gt=0, le=0.1)]
    """The largest share of clean windows that may count as drifted."""
    smallest_window: Annotated[int, Field(ge=10, lt=2**31)]
    """Predictions; fewer are not judged."""
    needed: WindowCount
    of: WindowCount
    """An alarm is raised when at least `needed` of the last `of` windows drifted."""
    cool_down: Annotated[int, Field(ge=0, le=1000)]
    """Windows after an alarm without another alarm."""

    @model_validator(mode="after")
    def _needed_can_be_reached(self) -> Self:
        if self.needed > self.of:
            raise ValueError(f"needed: {self.needed} of the last {self.of} windows can never be drifted")
        return self


class MonitorParams(Section):
    largest_window: Positive
    """Predictions; if there are more, only the newest are used."""
    overconfidence_tolerated: Share = 0.02
    """How far the accuracy of labelled predictions may fall below their mean confidence without counting as drift."""
    response_at_least: Share = 0.9
    """Share of the labels requested in a window; with fewer, the labels say nothing about drift."""
    settling: Annotated[int, Field(ge=100, lt=2**31)] = 400
    """The number of first predictions that are the reference of a champion trained on collected images."""
    alarm: AlarmParams

    @model_validator(mode="after")
    def _a_window_can_be_judged(self) -> Self:
        needed = {"alarm.smallest_window": self.alarm.smallest_window, "settling": self.settling}
        for name, predictions in needed.items():
            if self.largest_window < predictions:
                raise ValueError(f"largest_window: {self.largest_window} is less than {name}, {predictions}")
        return self


class CollectParams(Section):
    at_least: Positive
    """New labelled images; fewer wait for the next time."""
    at_most: Positive
    """The most images in one batch; the newest are taken."""
    asked_share: Share = 0.02
    """Share of the predictions, drawn at random, whose labels are requested; only these are tested on."""
    at_most_from_one_source: Share = 0.5
    """Largest share of a batch whose labels came with the same key, if there are several keys; 1 is no limit."""
