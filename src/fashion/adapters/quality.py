"""Great Expectations: checks tables of descriptors against the suites in expectations/."""

import json
import logging
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import great_expectations as gx
import numpy as np
import pandas as pd
from great_expectations.core.expectation_validation_result import ExpectationValidationResult
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.datasource.fluent.interfaces import Batch
from great_expectations.exceptions.exceptions import GreatExpectationsError
from great_expectations.expectations.expectation import (
    ColumnMapExpectation,
    ColumnPairMapExpectation,
    Expectation,
    MulticolumnMapExpectation,
)
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.registry import get_expectation_impl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fashion.errors import SuiteError
from fashion.images.mix import Mix
from fashion.reading import load_json

ABOUT_ROWS = (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation)
OnBreach = Literal["quarantine", "fail", "warn"]
LARGEST_SUITE_BYTES = 1 << 20
"""In bytes."""
ROWS = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
"""Every row that breaches an expectation, without the text of a query that would find it."""
REFUSED = {"regex", "regex_list", "json_schema", "row_condition", "condition_parser"}
"""Keywords that could run forever (patterns) or run code (a condition is evaluated as Python)."""


class Verdict(BaseModel):
    """What a breach leads to, and the reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    on_breach: OnBreach
    reason: str = Field(min_length=1)
    derived: str | None = None
    """From what the limits were derived, and with what tolerance, if no person has chosen them."""


class Entry(BaseModel):
    """One expectation as it is written in a suite."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    type: str
    kwargs: dict[str, Any]
    meta: Verdict


class SuiteFile(BaseModel):
    """One file in expectations/."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    expectations: list[Entry] = Field(min_length=1)


@dataclass(frozen=True)
class Finding:
    """The result of one expectation."""

    suite: str
    part: str
    """What was checked: the suite's own part of the data, or the batch of that name."""
    expectation: str
    kwargs: dict[str, Any]
    on_breach: OnBreach
    reason: str
    success: bool
    observed: float | str | None
    """For an expectation about the whole table, its value (None: not a finite number); else the number of `rows`."""
    rows: tuple[int, ...]
    """Index labels of the rows of the table that breach it."""
    derived: str | None = None
    """From what the limits were derived, and with what tolerance, if no person has chosen them."""


def check(tables: Mapping[Path, pd.DataFrame]) -> list[Finding]:
    """Check each table against its suite.

    Args:
        tables: the table (index of integers) for each suite's file.

    Raises:
        SuiteError: a suite is missing or not JSON, or one of its expectations cannot be built or checked.
    """
    suites = {path: load_suite(path) for path in tables}
    # This module sets its own logger to INFO on import, whatever the application's settings.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("descriptors")
    findings = []
    for path, table in tables.items():
        asset = source.add_dataframe_asset(path.stem)
        batch = asset.get_batch(asset.build_batch_request({"dataframe": table}))
        findings += _check_one(path, suites[path], batch)
    return findings


def load_suite(path: Path) -> gx.ExpectationSuite:
    """Load the suite in a file.

    Raises:
        SuiteError: it is missing or not JSON, or one of its expectations is unknown or invalid.
    """
    return gx.ExpectationSuite(name=path.stem, expectations=[_build(path, entry) for entry in _read(path)])


def required_mix(path: Path) -> Mix | None:
    """Return the mix of classes that a suite requires, if any.

    Raises:
        SuiteError: it is missing or not JSON, or the mix is invalid.
    """
    for entry in _read(path):
        about = (entry.type, entry.kwargs.get("column"), entry.meta.on_breach)
        if about == ("expect_column_kl_divergence_to_be_less_than", "label", "fail"):
            try:
                partition, threshold = entry.kwargs["partition_object"], float(entry.kwargs["threshold"])
                classes, weights = np.array(partition["values"], int), np.array(partition["weights"], float)
            except (KeyError, TypeError, ValueError) as error:
                raise SuiteError(f"{path}: {entry.type} cannot be used: {error!r} in partition_object") from error
            return Mix(classes, weights / weights.sum(), threshold)
    return None


def _read(path: Path) -> list[Entry]:
    try:
        content = SuiteFile.model_validate(load_json(path, LARGEST_SUITE_BYTES))
    except FileNotFoundError as error:
        raise SuiteError(f"{path} is missing; restore it with: git checkout -- expectations/{path.name}") from error
    except ValidationError as error:
        raise SuiteError(f"{path} cannot be used:\n{_explain(error)}") from error
    except ValueError as error:
        raise SuiteError(f"{path} is not JSON: {error}") from error
    return content.expectations


def _build(path: Path, entry: Entry) -> Expectation:
    """Build one expectation: a suite built from dictionaries would leave out unknown expectations."""
    where = f"{path}: {entry.type}"
    try:
        kind = get_expectation_impl(entry.type)
    except GreatExpectationsError as error:
        raise SuiteError(f"{where} is not an expectation of Great Expectations {gx.__version__}") from error
    if entry.meta.on_breach == "quarantine" and not issubclass(kind, ABOUT_ROWS):
        raise SuiteError(f"{where} is about the whole table; expected on_breach fail or warn, found quarantine")
    if refused := REFUSED & set(entry.kwargs):
        raise SuiteError(f"{where}: {', '.join(sorted(refused))} is not allowed; use another expectation")
    try:
        return kind(**entry.kwargs, meta=entry.meta.model_dump(exclude_none=True))
    except (ValueError, TypeError, GreatExpectationsError) as error:
        raise SuiteError(f"{where} cannot be used with kwargs {json.dumps(entry.kwargs)}: {error}") from error


def _check_one(path: Path, suite: gx.ExpectationSuite, batch: Batch) -> list[Finding]:
    """Check one table, with nothing of it stored by Great Expectations: nobody would read it there."""
    try:
        outcome = batch.validate(suite, result_format=ROWS)
    except (ValueError, TypeError, KeyError, GreatExpectationsError) as error:
        raise SuiteError(f"{path} could not be checked against the data: {error}") from error
    return [_finding(path, result.expectation_config, result) for result in outcome.results]


def _finding(path: Path, config: ExpectationConfiguration | None, result: ExpectationValidationResult) -> Finding:
    if config is None:
        raise SuiteError(f"{path}: Great Expectations {gx.__version__} gave a result without its expectation")
    problems = _exceptions(result.exception_info)
    if problems:
        raise SuiteError(f"{path}: {config.type} could not be checked: {problems[0]}")
    rows = tuple(int(row) for row in result.result.get("unexpected_index_list") or ())
    return Finding(
        suite=path.stem,
        part=path.stem,
        expectation=config.type,
        kwargs={name: value for name, value in config.kwargs.items() if name != "batch_id"},
        on_breach=config.meta["on_breach"],
        reason=config.meta["reason"],
        success=bool(result.success),
        observed=_plain(result.result.get("observed_value", len(rows))),
        rows=rows,
        derived=config.meta.get("derived"),
    )


def _plain(observed: Any) -> float | str | None:
    """Return a finite number as it is, None for a number that is not finite, anything else as text."""
    if isinstance(observed, numbers.Integral):
        return int(observed)
    if isinstance(observed, numbers.Real):
        return float(observed) if isfinite(observed) else None
    return None if observed is None else str(observed)


def _exceptions(info: Mapping[str, Any]) -> list[str]:
    """Return the messages in a result's exception_info, which is one record or one for each metric."""
    records = [info] if "raised_exception" in info else list(info.values())
    return [str(record["exception_message"]) for record in records if record["raised_exception"]]


def _explain(error: ValidationError) -> str:
    return "\n".join(
        f"  {'.'.join(str(part) for part in details['loc'])}: {details['msg']}" for details in error.errors()
    )
