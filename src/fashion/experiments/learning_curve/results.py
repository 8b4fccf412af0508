"""A learning curve: a point for each size, and what each size gained over the one before."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fashion.evaluation.estimates import CONFIDENCE, Estimate
from fashion.evaluation.paired import Difference
from fashion.evaluation.replications import accuracy_over_seeds, difference_over_seeds
from fashion.experiments.learning_curve.subject import Subject
from fashion.experiments.trial import Outcome


@dataclass(frozen=True)
class Point:
    """A size of the curve: one outcome for each seed."""

    size: int
    steps: int
    accuracies: tuple[float, ...]
    """In the order of the seeds."""
    accuracy: Estimate
    """Their mean, on the validation images."""
    seconds: float
    """Of a training, on average."""


@dataclass(frozen=True)
class Gain:
    """What more images brought, seed by seed on the same validation images."""

    smaller: int
    larger: int
    difference: Difference

    @property
    def verdict(self) -> str:
        """Return it in a sentence."""
        found, ratio = self.difference, self.larger / self.smaller
        step = "doubling" if 1.95 < ratio < 2.05 else "step"
        times = "" if step == "doubling" else f" {ratio:.2g} times as many,"
        change = f"{'gained' if found.value >= 0 else 'lost'} {abs(100 * found.value):.2f} points of accuracy"
        interval = f"{100 * CONFIDENCE:g} % interval {100 * found.low:+.2f} to {100 * found.high:+.2f}"
        return (
            f"The last {step}, from {self.smaller:,} to {self.larger:,} images,{times} {change} ({interval}): "
            f"{self.conclusion}."
        )

    @property
    def conclusion(self) -> str:
        if self.difference.low > 0:
            return "more images help"
        return "more images made it worse" if self.difference.high < 0 else "more images are not shown to help"


@dataclass(frozen=True)
class Curve:
    """What was measured."""

    subject: Subject
    points: tuple[Point, ...]
    """A point for each size, ascending."""
    gains: tuple[Gain, ...]
    """From each size to the next one."""

    @property
    def verdict(self) -> str:
        return self.gains[-1].verdict


def curve_of(subject: Subject, outcomes: Mapping[tuple[int, int], Outcome]) -> Curve:
    """Return the curve from the outcome of each size and seed."""
    right = {size: np.stack([outcomes[size, seed].right for seed in subject.seeds]) for size in subject.sizes}
    points = tuple(
        Point(
            size=size,
            steps=subject.steps_for(size).total,
            accuracies=tuple(outcomes[size, seed].accuracy for seed in subject.seeds),
            accuracy=accuracy_over_seeds(right[size], CONFIDENCE),
            seconds=float(np.mean([outcomes[size, seed].seconds for seed in subject.seeds])),
        )
        for size in subject.sizes
    )
    gains = tuple(
        Gain(smaller, larger, difference_over_seeds(right[larger], right[smaller], CONFIDENCE))
        for smaller, larger in pairwise(subject.sizes)
    )
    return Curve(subject, points, gains)
