"""Parameters of the registry: when a candidate takes the champion's place."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fashion.params.section import Positive, Section, Share


class Margins(Section):
    """The most that a candidate may lose against the champion, as shares of the images."""

    accuracy: Share
    accuracy_for_recent: Share
    """On the frozen test set, for a candidate that is shown to be better on the recent one."""
    recall_of_a_class: Share
    corrupted_accuracy: Share = 0.02
    """Of the mean over all corruptions and severities."""
    accuracy_of_a_slice: Share = 0.02

    @model_validator(mode="after")
    def _recent_images_allow_no_less(self) -> Self:
        if self.accuracy_for_recent < self.accuracy:
            raise ValueError("accuracy_for_recent: must not be less than accuracy")
        return self


class Objectives(Section):
    """How much better a candidate must be for it to count; an objective that is left out does not count."""

    accuracy: Share | None = None
    """Share of the images."""
    calibration_error: Share | None = None
    size: Share | None = None
    """Share of the champion's bytes."""
    latency: Share | None = None
    """Share of the champion's time."""

    @model_validator(mode="after")
    def _there_is_one(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError("at least one objective must be declared, or no candidate could ever be promoted")
        return self


class RecentParams(Section):
    """When the recent test set is part of the judgement; until then it is shown for information only."""

    images_at_least: Positive = 100
    response_at_least: Share = 0.9
    """Share of the labels requested at random that must have arrived: which ones are missing is not random."""


SliceName = Literal["dark", "low_contrast", "blurred", "small", "pale", "rare_class"]


class JudgementParams(Section):
    """When a candidate takes the champion's place."""

    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    """Two-sided, of every interval; jointly for those of the classes, and for those of the slices."""
    recent: RecentParams = RecentParams()
    margins: Margins
    slices: Annotated[tuple[SliceName, ...], Field(strict=False)] = (
        "dark",
        "low_contrast",
        "blurred",
        "small",
        "pale",
        "rare_class",
    )
    """Kinds of images on which a candidate must not be certainly worse; those that a dataset cannot have are named."""
    objectives: Objectives


class RegisterParams(Section):
    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    approval: Literal["none", "required"] = "none"
    """Whether a person must approve a promotion that the judgement would make."""
    approval_days: Annotated[float, Field(gt=0, le=365)] = 7
    """How many days there are to answer; after that the candidate stays challenger."""
    judgement: JudgementParams
