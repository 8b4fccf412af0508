"""The pages about a validation: every suite with its expectations, what was found, and why each is expected.

They take the place of Great Expectations' Data Docs, which load their styles from nine hosts and do not show reasons;
docs/decisions/0042 says more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from fashion.adapters.documents import render
from fashion.adapters.quality import Finding
from fashion.storage import write_text

ROOM, INDEX = "fashion.stages.validation_pages", "index.html"
LISTED = 20
"""Values of a long list that are shown; a set of 256 classes would fill a page."""
MEANING = {
    "quarantine": "the image is left out",
    "fail": "the data are not fit to learn from",
    "warn": "it is reported",
}


@dataclass(frozen=True)
class Part:
    """A part of the data, and what its suite says about it."""

    name: str
    suite: str
    page: str
    """Its path in the folder of the pages; a batch has a folder of its own, since its name may be any folder's."""
    findings: tuple[Finding, ...]
    """Those that are breached first."""

    @property
    def breached(self) -> int:
        return sum(not finding.success for finding in self.findings)


def write_docs(folder: Path, counts: str, findings: Sequence[Finding], fit: bool) -> None:
    """Write `index.html`, a list of the parts of the data, and a page for each part.

    Args:
        folder: is made; the list links the pictures of quarantined images that lie beside it.
        counts: a sentence about the images.
        findings: those about one part stand together.
    """
    parts = [_part(name, tuple(group)) for name, group in groupby(findings, key=lambda finding: finding.part)]
    about = {"words": expectation_words, "limits": limits_text, "found": found_text, "meaning": MEANING}
    for part in parts:
        back = "../" * part.page.count("/") + INDEX
        content = render(ROOM, "suite.html", title=f"Expectations: {part.name}", part=part, back=back, **about)
        path = folder / part.page
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, content)
    title = f"Validation: the data are {'fit' if fit else 'not fit'}"
    write_text(folder / INDEX, render(ROOM, "validation.html", title=title, counts=counts, parts=parts, fit=fit))


def _part(name: str, findings: tuple[Finding, ...]) -> Part:
    suite = findings[0].suite
    page = f"{suite}.html" if name == suite else f"batches/{name}/{INDEX}"
    return Part(name, suite, page, tuple(sorted(findings, key=lambda finding: finding.success)))


def expectation_words(finding: Finding) -> str:
    """Return what is expected, in the words of Great Expectations."""
    return finding.expectation.removeprefix("expect_").replace("_", " ")


def limits_text(kwargs: Mapping[str, Any]) -> str:
    """Return the limits of an expectation; of a long list its first values, and how many there are."""
    return "; ".join(f"{name.strip('_').replace('_', ' ')} {_value(value)}" for name, value in kwargs.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return f"({limits_text(value)})"
    if isinstance(value, (list, tuple)):
        shown = ", ".join(map(_value, value[:LISTED]))
        return shown if len(value) <= LISTED else f"{shown} ... ({len(value):,} in all)"
    return str(value)


def found_text(finding: Finding) -> str:
    """Return what was found: the number of images that breach the expectation, or what was observed."""
    if finding.rows:
        return f"{len(finding.rows):,} images"
    if finding.observed == 0 and "values_to_be" in finding.expectation:
        return "no image"
    if isinstance(finding.observed, float):
        return f"{finding.observed:.6g}"
    return "no finite number" if finding.observed is None else str(finding.observed)
