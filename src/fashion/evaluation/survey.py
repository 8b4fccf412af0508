"""Labels that were asked for at random: they alone say how good a model is on what comes in.

People correct mistakes and seldom confirm, so the labels that come by themselves are chosen by the errors of the
champion: on them any other model looks better. What was asked for at random has that bias, too, as long as only those
answer who saw a mistake; hence the response rate. W. Cochran, "Sampling techniques", Wiley 1977, chapter 13.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Survey:
    """Predictions whose label was asked for at random, and how many of them have one."""

    asked: int
    answered: int

    @property
    def response(self) -> float:
        """The share that was answered; 0 where nothing was asked."""
        return self.answered / self.asked if self.asked else 0.0

    def __str__(self) -> str:
        return f"{self.answered:,} of {self.asked:,} labels that were asked for at random ({self.response:.0%})"


NOBODY_ASKED = Survey(0, 0)
