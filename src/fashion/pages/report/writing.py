"""Writing the report of a version, and keeping it with the version."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fashion.adapters import tracking
from fashion.adapters.documents import render
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.tracking.tags import VERDICT
from fashion.evaluation.estimates import percentage, proportion
from fashion.pages.report.content import fill
from fashion.pages.report.kept import Kept, fetch_kept
from fashion.params import Params
from fashion.paths import Project
from fashion.storage import write_text

ROOM = "fashion.pages"
KEPT_AS = "report.html"


@dataclass(frozen=True)
class Report:
    """A report that was written."""

    name: str
    version: tracking.Version
    chosen: str
    """Why it is of this version, where nobody named one; empty where somebody did."""
    path: Path
    headline: str
    """Its main figures, in a sentence."""


def write_report(project: Project, params: Params, which: str | None = None) -> Report:
    """Write the report of a version into artifacts/reports/.

    Args:
        which: the version's number, or an alias; None: the champion, or the newest if there is none.

    Raises:
        ArtifactError: the version's figures or its predictions are gone.
        DiskError: the disk is full.
        LineageError: there is no such version, or its lineage is gone.
        ServiceError: MLflow is away.
    """
    with TemporaryDirectory() as folder:
        kept = fetch_kept(project, params, which, Path(folder))
    version = kept.lineage.version
    path = project.reports / f"{version.number}.html"
    write_text(path, show(kept))
    return Report(kept.lineage.name, version, kept.chosen, path, headline_of(kept))


def show(kept: Kept) -> str:
    """Return the page about what is kept with a version."""
    return render(ROOM, "report.html", headline=headline_of(kept), **fill(kept))


def keep_report(project: Project, params: Params, report: Report) -> str | None:
    """Put the report beside the version's other artifacts; return the address of its page, if MLflow has pages.

    Raises:
        ServiceError: MLflow is away or refused.
    """
    registry = registry_of(project, params)
    # A run may be registered more than once: each version has a report of its own, as it has a judgement.
    folder = f"report/{registry.name}/{report.version.number}"
    with TemporaryDirectory() as place:
        shutil.copyfile(report.path, Path(place) / KEPT_AS)
        tracking.log_folder(registry, report.version, Path(place), folder)
    return tracking.artifact_page(registry, report.version, f"{folder}/{KEPT_AS}")


def headline_of(kept: Kept) -> str:
    """Say in a sentence how good the version is, and what became of it."""
    accuracy = percentage(proportion(kept.predictions.correct))
    gates = f"; {kept.gate.count[:1].lower()}{kept.gate.count[1:]}" if kept.gate else ""
    verdict = kept.lineage.version.tags.get(VERDICT, "not judged yet")
    return f"Right in {accuracy} of the images of the test set{gates}; {verdict}."
