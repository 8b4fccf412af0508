"""Stage `export`: the model in the formats that servers and devices run, each compared with the Keras model."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from fashion.adapters import exports, litert
from fashion.arrays import Bytes
from fashion.errors import SetupError
from fashion.evaluation.estimates import exact
from fashion.evaluation.gates import Gate, at_least
from fashion.evaluation.metrics import agreement
from fashion.images.parts import sample
from fashion.model.networks import answer
from fashion.params import ExportGates, Params
from fashion.paths import CLASSES, KERAS, LITERT, REPORT, Project
from fashion.stages.classifier import load_classifier
from fashion.stages.dataset import load_split
from fashion.storage import atomic_folder, file_digest, files_below, write_json

SAVED_MODEL, INT8, ONNX = "saved_model", "model_int8.tflite", "model.onnx"
VERSION = f"{SAVED_MODEL}/1"
"""TensorFlow Serving looks for versions, in folders with a number for a name."""
REPRESENTATIVE = 500
"""Training images from which the ranges of the int8 model are measured."""


@dataclass(frozen=True)
class Export:
    """Sizes in bytes, median single-image latencies in milliseconds, and the gate of the agreements."""

    sizes: dict[str, int]
    latencies: dict[str, float]
    gate: Gate


@dataclass(frozen=True)
class Format:
    """A form of the model: the place in artifacts/export/, how it is written, asked and timed, and its gate."""

    place: str
    write: Callable[[keras.Model, Path], None]
    predict: Callable[[Path, Bytes], NDArray[np.float32]]
    """From images to probabilities."""
    latency: Callable[[Path, Bytes], float]
    agreement_at_least: float


def export(project: Project, params: Params) -> Export:
    """Write artifacts/export/ and measure every export on the whole test set.

    Raises:
        ArtifactError: the model or the prepared dataset is missing or damaged.
        SetupError: ONNX is wanted, and one of its packages cannot be imported.
    """
    formats = formats_of(project, params.export.gates)
    with atomic_folder(project.export) as folder:
        model = load_classifier(project.model_file)
        for one in formats.values():
            one.write(model, folder / one.place)
        shutil.copyfile(project.model_file, folder / KERAS)
        summary = _measure(folder, formats, model, load_split(project, "test").images)
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


def formats_of(project: Project, limits: ExportGates) -> Mapping[str, Format]:
    """Return the formats that these limits ask for, by the names that they have in the report.

    Raises:
        SetupError: ONNX is among them, and one of its packages cannot be imported.
    """
    write_int8 = partial(_write_int8, project)
    formats = {
        "saved_model": Format(
            VERSION,
            exports.export_saved_model,
            exports.run_saved_model,
            exports.saved_model_latency,
            limits.saved_model_agreement_at_least,
        ),
        "float": Format(LITERT, exports.export_litert, _run_litert, litert.latency, limits.float_agreement_at_least),
        "int8": Format(INT8, write_int8, _run_litert, litert.latency, limits.int8_agreement_at_least),
    }
    if limits.onnx_agreement_at_least is not None:
        formats["onnx"] = _onnx(limits.onnx_agreement_at_least)
    return formats


def _onnx(agreement_at_least: float) -> Format:
    """Return the format whose packages are imported only if it is asked for."""
    try:
        from fashion.adapters import onnx  # noqa: PLC0415
    except ImportError as error:
        raise SetupError(
            f"ONNX is among the exports (export.gates.onnx_agreement_at_least in params.yaml), but a package that it "
            f"needs cannot be imported: {error}. Install what requirements.lock lists with: make setup; or remove that "
            f"line from params.yaml, and there will be no ONNX file"
        ) from error
    return Format(ONNX, onnx.export_onnx, onnx.predict, onnx.latency, agreement_at_least)


def _write_int8(project: Project, model: keras.Model, path: Path) -> None:
    images = load_split(project, "train").images
    # At random: an imported dataset has its classes one after the other.
    exports.export_litert_int8(model, path, images[sample(len(images), REPRESENTATIVE)])


def _run_litert(path: Path, images: Bytes) -> NDArray[np.float32]:
    return litert.predict(path, images).probabilities


def _measure(folder: Path, formats: Mapping[str, Format], model: keras.Model, images: Bytes) -> Export:
    expected = answer(model, images).probabilities
    checks = [
        at_least(
            f"{name}_agreement",
            exact(agreement(one.predict(folder / one.place, images), expected)),
            one.agreement_at_least,
        )
        for name, one in formats.items()
    ]
    latencies = {name: one.latency(folder / one.place, images[:1]) for name, one in formats.items()}
    return Export(_sizes(folder, formats), latencies, Gate(tuple(checks)))


def _sizes(folder: Path, formats: Mapping[str, Format]) -> dict[str, int]:
    places = {"keras": KERAS} | {name: one.place for name, one in formats.items()}
    return {name: _size(folder / place) for name, place in places.items()}


def _size(path: Path) -> int:
    files = files_below(path) if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)
