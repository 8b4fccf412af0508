"""Whether the data are fit for training: the suites in expectations/, checked against a table of descriptors."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fashion.adapters.plots import contact_sheet
from fashion.adapters.quality import Finding, check
from fashion.arrays import LabelledImages
from fashion.errors import DataError
from fashion.images.descriptors import describe_dataset
from fashion.images.labels import label_support, reduced
from fashion.params import Params
from fashion.paths import QUARANTINE, REPORT, SUMMARY, Project
from fashion.stages.raw import digests, read_batches, read_raw
from fashion.stages.restoring import is_synthetic
from fashion.stages.validation_pages import found_text, write_docs
from fashion.storage import atomic_folder, write_json, write_text
from fashion.text import markdown_table

SHEET = 64
"""The most images on the contact sheet."""


@dataclass(frozen=True)
class Examined:
    """What the suites say about a dataset; nothing is written."""

    table: pd.DataFrame
    """The descriptors of every image."""
    findings: tuple[Finding, ...]
    quarantine: pd.DataFrame
    """As returned by `choose_quarantined`."""
    batches: Mapping[str, pd.DataFrame]
    """For each batch its rows of `table`, and how well the labels agree with those of similar images."""
    summary: "Validated"


@dataclass(frozen=True)
class Validated:
    """What validation found: the beginning of report.json."""

    success: bool
    images: int
    """In all splits, batches of collected images included."""
    quarantined: int
    """Training images and collected ones, left out."""
    reported_in_test: int
    """Test images with the same faults. They are kept: the published test set stays complete."""
    max_quarantined: float
    """Share of all images; if more are bad, in both splits together, validation fails."""
    synthetic: bool


def validate(project: Project, params: Params) -> Validated:
    """Describe every image, check the descriptors against the suites, and write the findings to artifacts/validation.

    Raises:
        DataError: a data file is missing or damaged, or the data are unfit; in the latter case the report is written.
        SuiteError: a suite is missing, not JSON, or has an expectation that cannot be checked.
    """
    splits, batches = read_raw(project, params.data), read_batches(project, params.data)
    with atomic_folder(project.validation) as folder:
        found = examine(project, params, splits, batches)
        found.table.to_parquet(folder / "descriptors.parquet", index=False)
        write_quarantine(folder, splits | batches, found.quarantine)
        files = digests(project, params.data)
        write_json(folder / REPORT, _report(found.summary, files, found.findings))
        write_text(folder / SUMMARY, _markdown(found.summary, found.quarantine, found.findings))
        write_docs(folder / "docs", _counts(found.summary), found.findings, found.summary.success)
    if not found.summary.success:
        raise DataError(
            f"The data in {project.data} are not fit to learn from:\n{explain(found)}\n"
            f"Look at {project.validation}: summary.md, quarantine.csv, quarantine.png, docs/index.html"
        )
    return found.summary


def examine(
    project: Project,
    params: Params,
    splits: Mapping[str, LabelledImages],
    batches: Mapping[str, LabelledImages],
) -> Examined:
    """Check the published splits and the batches of collected images against the suites.

    Raises:
        SuiteError: as `validate`.
    """
    table = describe_dataset({**splits, **batches})
    findings = check(_tables(project, table[~table["split"].isin(batches)]))
    train = splits["train"]
    known = LabelledImages(reduced(train.images) if batches else train.images, train.labels)
    described = {
        name: _with_label_support(table[table["split"] == name], batch, known) for name, batch in batches.items()
    }
    for rows in described.values():
        findings += check_batch(project, rows)
    quarantine = choose_quarantined(table, findings)
    summary = _summarise(project, params, table, quarantine, findings)
    return Examined(table, tuple(findings), quarantine, described, summary)


def check_batch(project: Project, table: pd.DataFrame) -> list[Finding]:
    """Check the descriptors of one batch of collected images against batch.json; reasons name the batch.

    Args:
        table: as in `Examined.batches`.
    """
    name = str(table["split"].iloc[0])
    findings = check({project.expectations / "batch.json": table})
    return [replace(finding, part=name, reason=f"{finding.reason} ({name})") for finding in findings]


def _with_label_support(table: pd.DataFrame, batch: LabelledImages, train: LabelledImages) -> pd.DataFrame:
    """Return the descriptors of a batch, and how well its labels agree with those of similar images."""
    support = label_support(batch.images, batch.labels, train.images, train.labels)
    return table.join(support.set_index(table.index))


def _tables(project: Project, table: pd.DataFrame) -> dict[Path, pd.DataFrame]:
    """Return the table for each suite: every published image for images.json, one split for each of the others."""
    parts = {"images": table, **{str(name): part for name, part in table.groupby("split", sort=False)}}
    return {project.expectations / f"{name}.json": part for name, part in parts.items()}


def choose_quarantined(table: pd.DataFrame, findings: Sequence[Finding]) -> pd.DataFrame:
    """Return split, index, label and reason of the images that a suite puts into quarantine, one row per image."""
    reasons: dict[int, list[str]] = {}
    for finding in findings:
        for row in finding.rows if finding.on_breach == "quarantine" else ():
            reasons.setdefault(row, []).append(finding.reason)
    rows = sorted(reasons)
    quarantine = table.loc[rows, ["split", "index", "label"]]
    quarantine["reason"] = pd.Series(["; ".join(dict.fromkeys(reasons[row])) for row in rows], rows, dtype="str")
    return quarantine


def _summarise(
    project: Project, params: Params, table: pd.DataFrame, quarantine: pd.DataFrame, findings: Sequence[Finding]
) -> Validated:
    limit = params.validate_.max_quarantined
    in_test = int((quarantine["split"] == "test").sum())
    return Validated(
        success=not failures(findings) and len(quarantine) <= limit * len(table),
        images=len(table),
        quarantined=len(quarantine) - in_test,
        reported_in_test=in_test,
        max_quarantined=limit,
        synthetic=is_synthetic(project),
    )


def write_quarantine(folder: Path, splits: Mapping[str, LabelledImages], quarantine: pd.DataFrame) -> None:
    """Write quarantine.csv, and quarantine.png with the first of the images, into the existing `folder`."""
    write_text(folder / QUARANTINE, quarantine.to_csv(index=False))
    shown = quarantine.head(SHEET)
    shape = next(iter(splits.values())).images.shape[1:]
    images = [splits[split].images[index] for split, index in zip(shown["split"], shown["index"], strict=True)]
    captions = [f"{split} {index}, label {label}\n{reason[:36]}" for split, index, label, reason in shown.to_numpy()]
    title = f"Quarantined images, {len(shown)} of {len(quarantine)}" if len(quarantine) else "Quarantined images"
    contact_sheet(np.array(images, np.uint8).reshape(-1, *shape), captions, folder / "quarantine.png", title)


def _report(summary: Validated, files: dict[str, str], findings: Sequence[Finding]) -> dict[str, Any]:
    expectations = [{**asdict(finding), "rows": len(finding.rows)} for finding in findings]
    return {**asdict(summary), "files": files, "expectations": expectations}


def _markdown(summary: Validated, quarantine: pd.DataFrame, findings: Sequence[Finding]) -> str:
    breaches = [finding for finding in findings if not finding.success]
    lines = [
        f"# Validation: the data are {'fit' if summary.success else 'not fit'}",
        "",
        _counts(summary),
        f"{len(findings) - len(breaches)} of {len(findings)} expectations hold.",
    ]
    if summary.synthetic:
        lines += ["", "**These are drawn images, not real data.**"]
    if breaches:
        lines += ["", markdown_table([_breach(finding) for finding in breaches])]
    if len(quarantine):
        counts = quarantine.value_counts(["split", "reason"], sort=True)
        rows = [{"split": split, "reason": reason, "images": f"{count:,}"} for (split, reason), count in counts.items()]
        lines += ["", markdown_table(rows)]
    return "\n".join(lines) + "\n"


def _breach(finding: Finding) -> dict[str, str]:
    return {
        "suite": finding.suite,
        "breach": finding.reason,
        "found": found_text(finding),
        "then": finding.on_breach,
    }


def _counts(summary: Validated) -> str:
    return (
        f"{summary.images:,} images, {summary.quarantined:,} of them quarantined and "
        f"{summary.reported_in_test:,} more reported in the test set "
        f"({_share(summary):.2%}, at most {summary.max_quarantined:.2%})."
    )


def _share(summary: Validated) -> float:
    return (summary.quarantined + summary.reported_in_test) / summary.images


def explain(found: Examined) -> str:
    """Return what failed, what was expected and what was found."""
    lines = []
    for finding in failures(found.findings):
        lines += [
            f"  expectations/{finding.suite}.json, {finding.expectation}: {finding.reason}",
            f"    expected {_expected(finding)}, found {found_text(finding)}",
        ]
    if _share(found.summary) > found.summary.max_quarantined:
        lines.append(f"  too many bad images (validate.max_quarantined in params.yaml): {_counts(found.summary)}")
        common = [finding for finding in found.findings if finding.on_breach == "quarantine" and finding.rows]
        lines += [f"    {len(finding.rows):,} images: {finding.reason}" for finding in common]
    return "\n".join(lines)


def failures(findings: Sequence[Finding]) -> list[Finding]:
    """Return the failed expectations that make the data unfit."""
    return [finding for finding in findings if finding.on_breach == "fail" and not finding.success]


def _expected(finding: Finding) -> str:
    return ", ".join(f"{name} {value}" for name, value in finding.kwargs.items())
