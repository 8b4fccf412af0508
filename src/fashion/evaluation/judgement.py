"""Candidate against champion on the same images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest


@dataclass(frozen=True)
class Comparison:
    """Two models on the same n images."""

    n: int
    candidate_accuracy: float
    champion_accuracy: float
    only_candidate_right: int
    only_champion_right: int
    p_value: float

    @property
    def champion_is_better(self) -> bool:
        return self.only_champion_right > self.only_candidate_right

    def __str__(self) -> str:
        return (
            f"accuracy {self.candidate_accuracy:.2%} against the champion's {self.champion_accuracy:.2%} on the same "
            f"{self.n:,} images (right where the other is wrong: {self.only_candidate_right} against "
            f"{self.only_champion_right}, McNemar p = {self.p_value:.3f})"
        )


@dataclass(frozen=True)
class Judgement:
    """Whether the candidate becomes champion, and why or why not, in words for a person."""

    promoted: bool
    reason: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    """What it rests on, for the history; JSON can hold it."""


def compare(candidate_correct: NDArray[np.bool_], champion_correct: NDArray[np.bool_]) -> Comparison:
    """Both arrays (n,) tell, image by image, whether the model named the right class.

    The p value is McNemar's exact, two-sided: of the images on which just one model is right, is either right more
    often than a fair coin? Source: Q. McNemar, "Note on the sampling error of the difference between correlated
    proportions", Psychometrika 12 (1947).
    """
    candidate_only = int(np.sum(candidate_correct & ~champion_correct))
    champion_only = int(np.sum(champion_correct & ~candidate_correct))
    discordant = candidate_only + champion_only
    return Comparison(
        n=len(candidate_correct),
        candidate_accuracy=float(candidate_correct.mean()),
        champion_accuracy=float(champion_correct.mean()),
        only_candidate_right=candidate_only,
        only_champion_right=champion_only,
        p_value=float(binomtest(candidate_only, discordant).pvalue) if discordant else 1.0,
    )
