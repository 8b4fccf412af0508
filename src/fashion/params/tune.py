"""Parameters of `fashion tune`: what it may try."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from fashion.params.section import Section

Whole = Annotated[int, Field(ge=-(10**9), le=10**9)]
Number = Whole | Annotated[float, Field(ge=-1e9, le=1e9)]


class Knob(Section):
    """The values that a key of a recipe may have: some choices, or everything between two ends."""

    choices: Annotated[tuple[bool | Number | str | None, ...], Field(min_length=1, strict=False)] | None = None
    low: Number | None = None
    high: Number | None = None
    """The ends are included. With whole numbers at both ends, only whole numbers are tried."""
    log: bool = False
    """Try small values as often as large ones: as many between 0.001 and 0.01 as between 0.01 and 0.1."""

    @property
    def extremes(self) -> tuple[Any, ...]:
        """The choices, or both ends."""
        return self.choices if self.choices is not None else (self.low, self.high)

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.choices is not None:
            if (self.low, self.high, self.log) != (None, None, False):
                raise ValueError("choices and a range exclude each other: give choices: [...], or low and high")
            return self
        if self.low is None or self.high is None:
            raise ValueError("expected low and high, or choices: [...]")
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"log: true needs a low above 0, found {self.low}")
        return self


class TuneParams(Section):
    """What `fashion tune` tries. The recipe in use (train.recipe) has every key that is not in the space."""

    space: dict[str, Knob] = Field(default_factory=dict)
    """Keys of a recipe, dotted where they are nested (augmentation.shift), and the values to try."""
    finalists: Annotated[int, Field(ge=1, le=10)] = 3
    """How many of the best are trained again, with several seeds, against the recipe in use."""
    seeds: Annotated[int, Field(ge=2, le=100)] = 5
    """With how many seeds each; other ones than the search's, which is train.seed."""
    pruned_before: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Share of its training before which no trial is stopped for being worse than half of the others."""
