"""A judgement as it is kept: judgement.json, in MLflow and in .state/judgement/."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Line:
    """One row of the judgement's table."""

    figure: str
    unit: str
    candidate: float
    champion: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True)
class Judgement:
    """Whether the candidate becomes champion, why or why not, and the figures behind it, if there was a comparison."""

    promoted: bool
    reasons: tuple[str, ...]
    champion: str | None = None
    confidence: float = 0.0
    images: int = 0
    candidate_only: int = 0
    champion_only: int = 0
    mcnemar_p: float = 1.0
    recent_images: int = 0
    recent_mcnemar_p: float = 1.0
    recent_asked: int = 0
    recent_answered: int = 0
    recent_obstacle: str = ""
    """Why the recent test set does not judge; empty where it does."""
    lines: tuple[Line, ...] = ()
    unjudged: tuple[str, ...] = ()
    """What was to be judged and could not be, with the reason, in words."""
    new_classes: tuple[str, ...] = ()
    """Those that the champion does not know: only the gates judge them."""
    lost_classes: tuple[str, ...] = ()
    """Those that only the champion knows: a person has to agree."""

    @property
    def reason(self) -> str:
        return "; ".join(self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of judgement.json."""
        return asdict(self)


def judgement_from_dict(content: Mapping[str, Any]) -> Judgement:
    """Return the judgement in the content of a judgement.json."""
    lines = tuple(Line(**line) for line in content["lines"])
    # Judgements of earlier releases do not say what was not judged, nor name classes.
    names = ("unjudged", "new_classes", "lost_classes")
    tuples = {name: tuple(content.get(name, ())) for name in names}
    return Judgement(**{**content, **tuples, "reasons": tuple(content["reasons"]), "lines": lines})
