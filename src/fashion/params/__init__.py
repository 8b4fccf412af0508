"""params.yaml: everything that changes a result, checked strictly."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from fashion.errors import ParamsError
from fashion.params.loop import AlarmParams, CollectParams, MonitorParams
from fashion.params.pipeline import (
    AbstentionParams,
    Classes,
    DataFile,
    DataParams,
    EvaluateParams,
    EvaluationGates,
    ExportGates,
    ExportParams,
    ImageSize,
    PicturesParams,
    PrepareParams,
    StartFrom,
    TrainParams,
    ValidateParams,
)
from fashion.params.problems import explain
from fashion.params.recipe import (
    TAKES,
    Augmentation,
    Backbone,
    BackboneName,
    Recipe,
    problem_of_size,
    recipe_with,
)
from fashion.params.registry import JudgementParams, Margins, RegisterParams
from fashion.params.section import Section
from fashion.params.tune import Knob, TuneParams
from fashion.reading import load_yaml

__all__ = [
    "TAKES",
    "AbstentionParams",
    "AlarmParams",
    "Augmentation",
    "Backbone",
    "BackboneName",
    "Classes",
    "CollectParams",
    "DataFile",
    "DataParams",
    "EvaluateParams",
    "EvaluationGates",
    "ExportGates",
    "ImageSize",
    "JudgementParams",
    "Knob",
    "Margins",
    "MonitorParams",
    "Params",
    "PicturesParams",
    "Recipe",
    "StartFrom",
    "load_params",
    "problem_of_size",
    "recipe_with",
]

MOST_BYTES = 1 << 16
"""The largest params.yaml."""


class Params(Section):
    """All of params.yaml."""

    data: DataParams
    validate_: Annotated[ValidateParams, Field(alias="validate")]
    prepare: PrepareParams
    train: TrainParams
    tune: Annotated[TuneParams, Field(default_factory=TuneParams)]
    evaluate: EvaluateParams
    export: ExportParams
    register_: Annotated[RegisterParams, Field(alias="register")]
    monitor: MonitorParams
    collect: CollectParams

    @property
    def workload(self) -> dict[str, Any]:
        """What the time of a run depends on, beside the machine: the data and the recipe."""
        return {"files": [file.sha256 for file in self.data.files], "recipe": self.train.recipe}

    @model_validator(mode="after")
    def _the_network_takes_images_of_this_size(self) -> Self:
        if problem := problem_of_size(self.train.chosen.network, self.data.image_size):
            raise ValueError(
                f"data.image_size: {problem}; write network: compact in train.recipes.{self.train.recipe}, or a larger "
                "image_size"
            )
        return self


def load_params(path: Path) -> Params:
    """Load the parameters from the file at `path`.

    Raises:
        ParamsError: the file is missing or not YAML, or a key is unknown, missing or invalid.
    """
    try:
        content = load_yaml(path, MOST_BYTES)
    except FileNotFoundError as error:
        raise ParamsError(f"{path} is missing; restore it with: git checkout -- {path.name}") from error
    except ValueError as error:
        raise ParamsError(f"{path} is not usable YAML: {error}") from error
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        lines = [f"  {line}" for line in explain(error)]
        raise ParamsError("\n".join([f"{path} cannot be used:", *lines])) from error
