"""A model's answer for one image, in the same form everywhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fashion.evaluation.abstention import EXPLANATIONS


@dataclass(frozen=True)
class Answer:
    """The probability of every class, and why the model should not be relied on, if it should not."""

    probabilities: Mapping[str, float]
    """In the order of the classes, at least two."""
    reason: str | None
    """`cluttered`, `unsure` or `unlike`, see `fashion.evaluation.abstention`; None if the answer can be relied on."""

    @property
    def ranking(self) -> tuple[tuple[str, float], ...]:
        """Classes and probabilities, the most probable first."""
        return tuple(sorted(self.probabilities.items(), key=lambda pair: -pair[1]))

    @property
    def explanation(self) -> str | None:
        return None if self.reason is None else EXPLANATIONS[self.reason]

    def to_dict(self) -> dict[str, Any]:
        predicted, confidence = self.ranking[0]
        return {
            "predicted": predicted,
            "confidence": confidence,
            "probabilities": dict(self.probabilities),
            "abstain": self.reason is not None,
            "reason": self.reason,
            "explanation": self.explanation,
        }
