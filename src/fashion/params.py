"""params.yaml: everything that changes a result, checked strictly."""

import difflib
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from fashion.errors import ParamsError
from fashion.reading import load_yaml

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0, lt=2**31)]
ClassName = Annotated[str, Field(pattern=r"^[^\p{C}\p{Zl}\p{Zp}]+$")]
"""One line that can be printed."""
Classes = Annotated[tuple[ClassName, ...], Field(min_length=2, max_length=256, strict=False)]
Edge = Annotated[int, Field(ge=8, le=1024)]
ImageSize = Annotated[tuple[Edge, Edge], Field(strict=False)]
"""Height and width in pixels. YAML has lists only, so the tuple itself is not strict."""
WindowCount = Annotated[int, Field(ge=1, le=1000)]
MOST_BYTES = 1 << 16
"""Of params.yaml."""
MOST_PROBLEMS = 10
"""That are told at once."""


class Section(BaseModel):
    """An unknown key is an error, nothing is turned into another type, and nothing changes after loading.

    DVC compares what stands in the file: a text or a truth value that passed for a number would be another value there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


class DataFile(Section):
    """One IDX file of the dataset."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class DataParams(Section):
    """The dataset: its classes, the size of its images, its four files, and where they are to be had."""

    classes: Classes
    image_size: ImageSize
    train_images: DataFile
    train_labels: DataFile
    test_images: DataFile
    test_labels: DataFile
    sources: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]

    @property
    def files(self) -> tuple[DataFile, DataFile, DataFile, DataFile]:
        return self.train_images, self.train_labels, self.test_images, self.test_labels

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes: each class name may stand there once")
        if len({file.name for file in self.files}) != len(self.files):
            raise ValueError("each data file needs a name of its own")
        return self


class ValidateParams(Section):
    max_quarantined: Share
    """Share of all images; more of them fails the run."""


class PrepareParams(Section):
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    recent_test_fraction: Annotated[float, Field(gt=0, lt=1)]
    """Share of the collected images whose label was asked for at random, that is never trained on: the recent test set.
    All others are learned from."""
    recent_copies: Positive
    """How often each collected image stands in the training set, to count beside many more old ones."""


class Recipe(Section):
    """How a network is trained."""

    epochs: Positive
    batch_size: Positive
    optimizer: Literal["adam", "muon"]
    learning_rate: Annotated[float, Field(gt=0, le=1000)]
    """The peak when there is a schedule."""
    weight_decay: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Only muon has one."""
    schedule: Literal["constant", "one_cycle"] = "constant"
    one_hot: bool = False
    """One-hot labels with categorical cross-entropy instead of sparse categorical cross-entropy."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    shift: Annotated[int, Field(ge=0, le=1024)] = 0
    """Move training images by up to so many pixels in both directions."""
    average_shifts: Annotated[int, Field(ge=0, le=4)] = 0
    """Answer with the mean of the answers for the image and for it moved by so many pixels up, down, left and right.
    Training takes no longer for it, an answer four to five times as long."""
    patience: Positive | None = None
    """Stop after so many epochs without a better validation accuracy."""

    @model_validator(mode="after")
    def _one_cycle_runs_to_its_end(self) -> Self:
        if self.patience is not None and self.schedule == "one_cycle":
            raise ValueError(
                "patience: a one_cycle schedule learns most in its last, small steps, which a training that stops "
                "early never takes; remove patience, or set schedule: constant"
            )
        return self

    @model_validator(mode="after")
    def _smoothing_needs_one_hot_labels(self) -> Self:
        if self.label_smoothing and not self.one_hot:
            raise ValueError("label_smoothing needs one_hot: true")
        return self


class TrainParams(Section):
    model: str
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    recipes: dict[Literal["baseline", "dropout", "compact"], Recipe]

    @model_validator(mode="after")
    def _model_has_a_recipe(self) -> Self:
        if self.model not in self.recipes:
            raise ValueError(f"model: {self.model!r} is none of the recipes ({', '.join(self.recipes)})")
        return self

    @property
    def recipe(self) -> Recipe:
        return dict(self.recipes)[self.model]  # type: ignore[index]


class EvaluationGates(Section):
    accuracy_at_least: Share
    recall_of_every_class_at_least: Share
    abstention_on_nonsense_at_least: Share
    """Of drawn noise and textures, the share that gets no answer."""
    expected_calibration_error_at_most: Share
    model_bytes_at_most: Positive
    latency_milliseconds_at_most: Annotated[float, Field(gt=0, le=3_600_000)]


class AbstentionParams(Section):
    """When a model should rather say nothing."""

    confidence_at_least: Share
    distance_quantile: Annotated[float, Field(gt=0, lt=1)]
    """Share of the validation images that count as known."""


class EvaluateParams(Section):
    calibration_bins: Annotated[int, Field(ge=2, le=1000)]
    abstention: AbstentionParams
    gates: EvaluationGates


class ExportGates(Section):
    saved_model_agreement_at_least: Share
    float_agreement_at_least: Share
    int8_agreement_at_least: Share


class ExportParams(Section):
    gates: ExportGates


class Margins(Section):
    """The most that a candidate may lose against the champion, as shares of the images."""

    accuracy: Share
    accuracy_for_recent: Share
    """On the frozen test set, of a candidate that is shown to be better on the recent one."""
    recall_of_a_class: Share

    @model_validator(mode="after")
    def _recent_images_allow_no_less(self) -> Self:
        if self.accuracy_for_recent < self.accuracy:
            raise ValueError("accuracy_for_recent: may not be less than accuracy")
        return self


class Objectives(Section):
    """By how much a candidate must be better for it to count; what is left out is no objective."""

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
    """When the recent test set judges; before, it is shown and nothing depends on it."""

    images_at_least: Positive = 100
    response_at_least: Share = 0.9
    """Of the labels that were asked for at random, the share that must have come: who does not answer is no chance."""


class JudgementParams(Section):
    """When a candidate takes the champion's place."""

    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    """Two-sided, of every interval; of those of the classes together."""
    recent: RecentParams = RecentParams()
    margins: Margins
    objectives: Objectives


class RegisterParams(Section):
    name: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    approval: Literal["none", "required"] = "none"
    """Whether a person must agree to a promotion that the judgement would make."""
    approval_days: Annotated[float, Field(gt=0, le=365)] = 7
    """How long there is to answer; after that the candidate stays challenger."""
    judgement: JudgementParams


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


class Params(Section):
    """All of params.yaml."""

    data: DataParams
    validate_: Annotated[ValidateParams, Field(alias="validate")]
    prepare: PrepareParams
    train: TrainParams
    evaluate: EvaluateParams
    export: ExportParams
    register_: Annotated[RegisterParams, Field(alias="register")]
    monitor: MonitorParams
    collect: CollectParams


def load_params(path: Path) -> Params:
    """The parameters in the file at `path`.

    Raises:
        ParamsError: the file is missing or not YAML, or a key is unknown, missing or impossible.
    """
    try:
        content = load_yaml(path, MOST_BYTES)
    except FileNotFoundError as error:
        raise ParamsError(f"{path} is missing; restore it with: git checkout -- {path.name}") from error
    except ValueError as error:
        raise ParamsError(f"{path} is not YAML that can be used: {error}") from error
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        problems = error.errors()
        lines = [f"  {_explain(details)}" for details in problems[:MOST_PROBLEMS]]
        if len(problems) > MOST_PROBLEMS:
            lines.append(f"  and {len(problems) - MOST_PROBLEMS} more")
        raise ParamsError("\n".join([f"{path} cannot be used:", *lines])) from error


def _explain(details: ErrorDetails) -> str:
    where = ".".join(str(part) for part in details["loc"])
    if details["type"] == "extra_forbidden":
        return f"{where}: unknown key{_suggest(details['loc'])}"
    if details["type"] == "missing":
        return f"{where}: this key is missing"
    prefix = f"{where}: " if where else ""
    return f"{prefix}{details['msg']}{_found(details['input'])}"


def _found(value: Any) -> str:
    return "" if isinstance(value, dict) else f" (found {reprlib.repr(value)})"


def _suggest(location: tuple[int | str, ...]) -> str:
    """Another key of this file that looks like the unknown one."""
    names: set[str] = set()
    for section in Section.__subclasses__():
        names.update(field.alias or name for name, field in section.model_fields.items())
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f"; did you mean {close[0]}?" if close else ""
