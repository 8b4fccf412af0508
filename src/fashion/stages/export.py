"""Stage `export`: the model in the formats that servers and devices run, each compared with the Keras model."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from fashion.adapters import exports, litert
from fashion.evaluation.estimates import exact
from fashion.evaluation.gates import Gate, at_least
from fashion.evaluation.metrics import agreement
from fashion.model.networks import answer
from fashion.params import Params
from fashion.paths import CLASSES, KERAS, LITERT, REPORT, Project
from fashion.stages.classifier import load_classifier
from fashion.stages.dataset import load_split
from fashion.storage import atomic_folder, file_digest, files_below, write_json

INT8 = "model_int8.tflite"
REPRESENTATIVE = 500
"""Training images from which the ranges of the int8 model are measured."""


@dataclass(frozen=True)
class Export:
    """Sizes in bytes, median single-image latencies in milliseconds, and the gate of the agreements."""

    sizes: dict[str, int]
    latencies: dict[str, float]
    gate: Gate


def export(project: Project, params: Params) -> Export:
    """Write artifacts/export/ and measure every export on the whole test set.

    Raises:
        ArtifactError: the model or the prepared dataset is missing or damaged.
    """
    with atomic_folder(project.export) as folder:
        _write_formats(folder, project)
        summary = _measure(folder, project, params)
        data = params.data
        contract = {"classes": data.classes, "image_size": data.image_size, "pictures": data.pictures.model_dump()}
        write_json(folder / CLASSES, contract)
        write_json(
            folder / REPORT,
            {"model_sha256": file_digest(project.model_file)}
            | summary.gate.to_dict()
            | {"bytes": summary.sizes, "latency_milliseconds": summary.latencies},
        )
    return summary


def _write_formats(folder: Path, project: Project) -> None:
    model = load_classifier(project.model_file)
    exports.export_saved_model(model, folder / "saved_model" / "1")
    exports.export_litert(model, folder / LITERT)
    representative = load_split(project, "train").images[:REPRESENTATIVE]
    exports.export_litert_int8(model, folder / INT8, representative)
    shutil.copyfile(project.model_file, folder / KERAS)


def _measure(folder: Path, project: Project, params: Params) -> Export:
    test = load_split(project, "test").images
    expected = answer(load_classifier(project.model_file), test).probabilities
    limits = params.export.gates
    answers = {
        "saved_model": (
            exports.run_saved_model(folder / "saved_model" / "1", test),
            limits.saved_model_agreement_at_least,
        ),
        "float": (litert.predict(folder / LITERT, test).probabilities, limits.float_agreement_at_least),
        "int8": (litert.predict(folder / INT8, test).probabilities, limits.int8_agreement_at_least),
    }
    gate = Gate(
        tuple(
            at_least(f"{name}_agreement", exact(agreement(found, expected)), limit)
            for name, (found, limit) in answers.items()
        )
    )
    latencies = {
        "saved_model": exports.saved_model_latency(folder / "saved_model" / "1", test[:1]),
        "float": litert.latency(folder / LITERT, test[:1]),
        "int8": litert.latency(folder / INT8, test[:1]),
    }
    return Export(_sizes(folder), latencies, gate)


def _sizes(folder: Path) -> dict[str, int]:
    saved_model = sum(path.stat().st_size for path in files_below(folder / "saved_model"))
    singles = {"keras": KERAS, "float": LITERT, "int8": INT8}
    return {"saved_model": saved_model} | {name: (folder / file).stat().st_size for name, file in singles.items()}
