"""From which data the page about the dataset was made, so that it is made again only when they have changed."""

from importlib.metadata import version
from typing import Any

from fashion.pages.links import FIGURES, PAGE
from fashion.pages.prepared import find_digest
from fashion.params import Params
from fashion.paths import QUARANTINE, Project
from fashion.reading import LARGEST_ARTIFACT_BYTES, load_json
from fashion.stages.raw import digests
from fashion.storage import file_digest


def made_from(project: Project, params: Params) -> dict[str, Any]:
    """Return everything that the page about the dataset depends on.

    Raises:
        ArtifactError: what `prepare` wrote is damaged.
        DataError: a data file is missing or damaged.
    """
    quarantine, files = project.validation / QUARANTINE, digests(project, params.data)
    return {
        "files": files,
        "form": params.data.model_dump(mode="json", include={"classes", "image_size", "pictures"}),
        "quarantine": file_digest(quarantine) if quarantine.exists() else None,
        "prepared": find_digest(project, files),
        "release": version("fashion"),
    }


def is_current(project: Project, params: Params) -> bool:
    """Return whether the page about the dataset is there, and made from the data as they are."""
    folder = project.exploration
    if not (folder / PAGE).exists():
        return False
    try:
        made: Any = load_json(folder / FIGURES, LARGEST_ARTIFACT_BYTES)
    except (OSError, ValueError):  # It is made again, whatever became of it.
        return False
    return isinstance(made, dict) and made.get("made_from") == made_from(project, params)
