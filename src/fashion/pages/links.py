"""The pages and pictures that other commands have left: which there are, and where the service shows them."""

from dataclasses import dataclass
from pathlib import Path

from fashion.params import Params
from fashion.paths import Project
from fashion.reading import LARGEST_ARTIFACT_BYTES, load_json
from fashion.stages.restoring import is_synthetic

WITH_SCRIPTS = ("evidently.html",)
"""They stay closed without their scripts, and those run in no page of the service."""
MOST_REPORTS = 10
PAGE = "index.html"
FIGURES = "exploration.json"
"""Beside the page about the data: what was measured, and from what."""
DOCS = "docs"
"""The folder of the pages about a validation."""


@dataclass(frozen=True)
class Link:
    """A page or a picture that exists."""

    title: str
    path: str
    """Below the project's folder."""
    address: str | None
    """At the service; None where it does not show this file."""


def report_of(project: Project, model: str, version: str) -> Path:
    """Return where the report of a version of a model is kept."""
    return project.reports / model / f"{version}.html"


def find_links(project: Project, params: Params) -> tuple[Link, ...]:
    """Return what there is to read; no reports of another model, nor the data explored of another dataset."""
    folder = project.reports / params.register_.name
    reports = sorted(folder.glob("*.html"), key=lambda path: path.stat().st_mtime, reverse=True)
    found = [
        *([("The data explored", project.exploration / PAGE)] if _is_explored(project, params) else []),
        ("All windows of predictions", project.monitoring / PAGE),
        ("The window selected by hand last", project.monitoring / "by-hand" / PAGE),
        *((f"Report {path.stem}", path) for path in reports[:MOST_REPORTS]),
        ("What was validated", project.validation / DOCS / PAGE),
        *((_title(path), path) for path in sorted(project.evaluation.glob("*.png"))),
    ]
    return tuple(
        Link(title, path.relative_to(project.root).as_posix(), address_of(project, path))
        for title, path in found
        if path.is_file()
    )


def _is_explored(project: Project, params: Params) -> bool:
    """Return whether the page about the data was made from the files that params.yaml names.

    params.yaml does not know the digests of drawn images: a page about those has the same names with other digests.
    """
    named = {file.name: file.sha256 for file in params.data.files}
    try:
        files = load_json(project.exploration / FIGURES, LARGEST_ARTIFACT_BYTES)["made_from"]["files"]
        found = {name: files[name] for name in named}
    except (OSError, ValueError, LookupError, TypeError):  # Nothing says from what it was made.
        return False
    return (found == named) != is_synthetic(project)


def _served(project: Project) -> dict[str, tuple[Path, str]]:
    """Return the folder whose files the service shows at /status/NAME/, and their ending, by name."""
    return {
        "exploration": (project.exploration, ".html"),
        "reports": (project.reports, ".html"),
        "validation": (project.validation / DOCS, ".html"),
        "windows": (project.monitoring, ".html"),
        "evaluation": (project.evaluation, ".png"),
    }


def find_windows(project: Project) -> tuple[int, ...]:
    """Return the numbers of the windows of which there is a page."""
    folders = (page.parent.name for page in project.monitoring.glob(f"*/{PAGE}"))
    return tuple(sorted(int(name) for name in folders if name.isdecimal()))


def address_of(project: Project, path: Path) -> str | None:
    """Return where the service shows a file; None where it does not."""
    for name, (kept, ending) in _served(project).items():
        if path.is_relative_to(kept) and path.suffix == ending and path.name not in WITH_SCRIPTS:
            return f"/status/{name}/{path.relative_to(kept).as_posix()}"
    return None


def find_served(project: Project, name: str, path: str) -> Path | None:
    """Return the file at /status/NAME/PATH; None if there is none that may be shown, as outside its folder."""
    served = _served(project)
    if name not in served:
        return None
    folder, ending = served[name]
    kept = folder.resolve()
    try:
        found = (kept / path).resolve()
        is_there = found.is_file()
    except (OSError, ValueError):  # A name that no file can have.
        return None
    allowed = found.is_relative_to(kept) and found.suffix == ending and found.name not in WITH_SCRIPTS
    return found if allowed and is_there else None


def _title(path: Path) -> str:
    return path.stem.replace("_", " ").capitalize()
