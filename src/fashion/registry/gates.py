"""The outcome of the absolute gates, as `evaluate` and `export` wrote it and as a version's tags say it."""

from pathlib import Path
from typing import Any

from fashion.adapters import tracking
from fashion.adapters.tracking.tags import GATES
from fashion.errors import ArtifactError
from fashion.evaluation.gates import PASSED, UNDECIDED, Gate, gate_from_dict
from fashion.paths import GATE, REPORT, Project
from fashion.reading import read_json
from fashion.storage import file_digest


def read_gate(project: Project) -> Gate:
    """Return all absolute gates, after checking that they were measured on this very model.

    Raises:
        ArtifactError: a file is missing, damaged, of another model, or was written before gates had intervals.
    """
    files = {"evaluate": project.evaluation / GATE, "export": project.export / REPORT}
    contents = {stage: read_json(path, f"dvc repro {stage}") for stage, path in files.items()}
    if not project.model_file.is_file():
        raise ArtifactError(f"{project.model_file} is missing; make it with: dvc repro train")
    digest = file_digest(project.model_file)
    gates = [_read(content, stage, files[stage]) for stage, content in contents.items()]
    for stage, content in contents.items():
        if content.get("model_sha256") != digest:
            raise ArtifactError(
                f"{project.model_file} is not the model that was measured; measure it with: dvc repro {stage}"
            )
    return Gate(tuple(check for gate in gates for check in gate.checks))


def _read(content: Any, stage: str, path: Path) -> Gate:
    try:
        return gate_from_dict(content)
    except (KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path}: expected gates with value, interval, limit and verdict, found another form, perhaps that of an "
            f"earlier version; make it again with: dvc repro {stage}"
        ) from error


def needs_force(version: tracking.Version) -> bool:
    """Return whether it takes `--force` to make the version champion: its gates failed, or are not known."""
    return version.tags.get(GATES) not in (PASSED, UNDECIDED)
