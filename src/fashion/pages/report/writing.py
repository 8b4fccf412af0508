"""Writing the report of a version, and keeping it with the version."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fashion.adapters import tracking
from fashion.adapters.documents import render
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.tracking.tags import VERDICT
from fashion.errors import ServiceError
from fashion.evaluation.estimates import percentage, proportion
from fashion.images.photos import Form
from fashion.pages.links import report_of
from fashion.pages.report.content import fill
from fashion.pages.report.kept import Kept, fetch_kept
from fashion.params import Params
from fashion.paths import Project
from fashion.registry.card import describe_model, model_card
from fashion.storage import write_text

ROOM = "fashion.pages"
KEPT_AS = "report.html"

logger = logging.getLogger(__name__)


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
    described: bool
    """Whether the version lacked its model card in MLflow, and has it now."""


def write_report(project: Project, params: Params, which: str | None = None) -> Report:
    """Write the report of a version into artifacts/reports/MODEL/; one that has no model card in MLflow gets it.

    Versions that were registered before there were cards have none. Where MLflow does not take it, that is a warning.

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
    path = report_of(project, kept.lineage.name, version.number)
    write_text(path, show(kept))
    try:
        described = _describe(project, params, kept)
    except (ServiceError, ValueError) as error:  # Also where its classes.json is damaged.
        logger.warning("Version %s has no model card in MLflow, and gets none: %s", version.number, error)
        described = False
    return Report(kept.lineage.name, version, kept.chosen, path, headline_of(kept), described)


def _describe(project: Project, params: Params, kept: Kept) -> bool:
    if kept.contract is None:  # What it takes is not known, which the report says.
        return False
    contract, lineage = tracking.Contract.model_validate(kept.contract), kept.lineage
    form = Form(contract.image_size, contract.pictures)
    card = model_card(lineage.origin, contract.classes, form, kept.gate)
    description = describe_model(contract.classes, form)
    return tracking.describe_version(registry_of(project, params), lineage.version.number, card, description)


def show(kept: Kept) -> str:
    """Return the page about what is kept with a version."""
    return render(ROOM, "report.html", headline=headline_of(kept), **fill(kept))


def keep_report(project: Project, params: Params, report: Report) -> str:
    """Put the report beside the version's other artifacts; return its page, as behind the address of MLflow's server.

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
