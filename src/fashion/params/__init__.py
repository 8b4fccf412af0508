"""params.yaml: everything that changes a result, checked strictly."""

import difflib
import reprlib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from fashion.errors import ParamsError
from fashion.params.loop import AlarmParams, CollectParams, MonitorParams
from fashion.params.pipeline import (
    AbstentionParams,
    Augmentation,
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
    Recipe,
    TrainParams,
    ValidateParams,
)
from fashion.params.registry import JudgementParams, Margins, Objectives, RecentParams, RegisterParams
from fashion.params.section import Section
from fashion.params.tune import Knob, TuneParams
from fashion.reading import load_yaml

__all__ = [
    "AbstentionParams",
    "AlarmParams",
    "Augmentation",
    "Classes",
    "CollectParams",
    "DataFile",
    "DataParams",
    "EvaluateParams",
    "EvaluationGates",
    "ExportGates",
    "ExportParams",
    "ImageSize",
    "JudgementParams",
    "Knob",
    "Margins",
    "MonitorParams",
    "Objectives",
    "Params",
    "PicturesParams",
    "PrepareParams",
    "RecentParams",
    "Recipe",
    "RegisterParams",
    "Section",
    "TrainParams",
    "TuneParams",
    "ValidateParams",
    "load_params",
]

MOST_BYTES = 1 << 16
"""The largest params.yaml."""
MOST_PROBLEMS = 10
"""The most problems reported at once."""


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
    """Suggest another key of this file that looks like the unknown one."""
    names: set[str] = set()
    for section in Section.__subclasses__():
        names.update(field.alias or name for name, field in section.model_fields.items())
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f"; did you mean {close[0]}?" if close else ""
