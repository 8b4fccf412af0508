"""What the stages `evaluate` and `export` said about the absolute gates."""

from fashion.errors import ArtifactError
from fashion.evaluation.gates import Gate, gate_from_dicts
from fashion.paths import Project
from fashion.storage import file_digest, read_json


def read_gate(project: Project) -> Gate:
    """Return all absolute gates, after a look whether they were measured on this very model.

    Raises:
        ArtifactError: a file is missing, damaged, of another model, or was written before gates had intervals.
    """
    if not project.model_file.is_file():
        raise ArtifactError(f"{project.model_file} is missing; make it with: dvc repro train")
    digest = file_digest(project.model_file)
    files = {"evaluate": project.evaluation / "gate.json", "export": project.export / "report.json"}
    gates = []
    for stage, path in files.items():
        command = f"dvc repro {stage}"
        content = read_json(path, command)
        try:
            measured, gate = content.get("model_sha256"), gate_from_dicts([content])
        except (AttributeError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"{path}: expected gates with value, interval, limit and verdict, found another form, perhaps an "
                f"earlier version's; make it again with: dvc repro --force --single-item {stage}"
            ) from error
        if measured != digest:
            raise ArtifactError(f"{project.model_file} is not the model that was measured; measure it with: {command}")
        gates.append(gate)
    return Gate(tuple(check for gate in gates for check in gate.checks))
