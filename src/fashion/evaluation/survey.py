"""Labels requested at random: only they show how good a model is on incoming images.

People correct mistakes and rarely confirm, so unsolicited labels are selected by the errors of the champion: any other
model looks better on them. Labels requested at random have that bias, too, if only people who saw a mistake answer;
hence the response rate. W. Cochran, "Sampling techniques", Wiley 1977, chapter 13.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Survey:
    """How many predictions had their label requested at random, and how many of them have one."""

    asked: int
    answered: int

    @property
    def response(self) -> float:
        """The share that was answered; 0 if nothing was requested."""
        return self.answered / self.asked if self.asked else 0.0

    def __str__(self) -> str:
        return f"{self.answered:,} of {self.asked:,} labels requested at random ({self.response:.0%})"


NOBODY_ASKED = Survey(0, 0)
