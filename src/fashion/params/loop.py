"""Parameters of the loop: when drift is an alarm, and what is learned from."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from fashion.params.section import Positive, Section, Share

WindowCount = Annotated[int, Field(ge=1, le=1000)]


class AlarmParams(Section):
    """When a window of predictions counts as drifted, and when that is an alarm."""

    false_alarm_rate: Annotated[float, Field(gt=0, le=0.1)]
    """The most, of clean windows, that may count as drifted."""
    smallest_window: Annotated[int, Field(ge=10, lt=2**31)]
    """Predictions; fewer are not judged."""
    needed: WindowCount
    of: WindowCount
    """An alarm is raised when so many (`needed`) of the last windows (`of`) drifted."""
    cool_down: Annotated[int, Field(ge=0, le=1000)]
    """Windows after an alarm in which no other is raised."""

    @model_validator(mode="after")
    def _needed_can_be_reached(self) -> Self:
        if self.needed > self.of:
            raise ValueError(f"needed: {self.needed} of the last {self.of} windows can never be drifted")
        return self


class MonitorParams(Section):
    largest_window: Positive
    """Predictions; of more the newest are looked at."""
    overconfidence_tolerated: Share = 0.02
    """By how much the accuracy of labelled predictions may fall short of their mean confidence without being drift."""
    response_at_least: Share = 0.9
    """Of the labels that were asked for in a window; with fewer, the labels say nothing about drift."""
    settling: Annotated[int, Field(ge=100, lt=2**31)] = 400
    """So many first predictions of a champion that learned from collected images are its reference."""
    alarm: AlarmParams

    @model_validator(mode="after")
    def _a_window_can_be_judged(self) -> Self:
        if self.largest_window < self.alarm.smallest_window:
            raise ValueError(f"largest_window: {self.largest_window} is less than alarm.smallest_window")
        return self


class CollectParams(Section):
    at_least: Positive
    """New labelled images; fewer are left for the next time."""
    at_most: Positive
    """Of the newest ones, in one batch."""
    asked_share: Share = 0.02
    """Of the predictions, drawn at random: their labels are asked for, and they alone are tested on."""
    at_most_from_one_source: Share = 0.5
    """Share of a batch whose labels came with the same key, where there are several; 1 is no limit."""
