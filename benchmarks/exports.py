"""Which format for what: size, time and agreement of every form in which the model is exported.

Run with `python -m benchmarks.exports` after `make run`; it takes a minute and writes benchmarks/exports.json and
benchmarks/exports.md. Nothing else should run meanwhile.
"""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import ROOT, machine, measured_on, paragraphs, save, table, take_no_arguments
from fashion.environment import apply_environment
from fashion.params import load_params
from fashion.paths import KERAS, Project
from fashion.storage import files_below

if TYPE_CHECKING:
    import keras

    from fashion.stages.export import Format

KINDS = {
    "keras": ("Keras", "training on, and MLflow's own server"),
    "saved_model": ("SavedModel", "TensorFlow Serving, and programs that have TensorFlow"),
    "float": ("LiteRT", "`fashion serve`, `fashion predict`, phones and small computers"),
    "int8": ("LiteRT, int8", "devices with little memory, or with arithmetic for integers alone"),
    "onnx": ("ONNX", "other languages and runtimes, by ONNX Runtime"),
}
"""What each form is called, and what to take it for."""
CALLS, WARM_UP = 200, 20


def main() -> None:
    take_no_arguments(__doc__)
    load_before = os.getloadavg()[0]
    project = Project(ROOT)
    apply_environment(project)  # Before the stages import what looks at it.
    from fashion.evaluation.metrics import agreement
    from fashion.model.networks import answer
    from fashion.stages.classifier import load_classifier
    from fashion.stages.dataset import load_split
    from fashion.stages.export import formats_of

    model, test = load_classifier(project.model_file), load_split(project, "test")
    expected = answer(model, test.images).probabilities
    with TemporaryDirectory() as folder:
        forms = {"keras": _keras()} | dict(formats_of(project, load_params(project.params).export.gates))
        found = {name: _measure(form, model, Path(folder), test.images) for name, form in forms.items()}
    for figures in found.values():
        probabilities = figures.pop("probabilities")
        figures["agreement"] = agreement(probabilities, expected)
        figures["accuracy"] = float((probabilities.argmax(axis=1) == test.labels).mean())
    results = {"machine": machine(load_before), "images": len(test.images), "formats": found}
    save(__file__, results, _render(results))


def _keras() -> "Format":
    """Return the model that `train` saved, asked as the others are; it has no gate."""
    from fashion.stages.export import Format

    return Format(KERAS, lambda model, path: model.save(path), _run_keras, _time_keras, 0.0)


def _run_keras(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    from fashion.model.networks import answer
    from fashion.stages.classifier import load_classifier

    return answer(load_classifier(path), images).probabilities


def _time_keras(path: Path, image: NDArray[np.uint8]) -> float:
    from fashion.stages.classifier import load_classifier

    ask = partial(load_classifier(path).predict_on_batch, image)
    return 1000 * float(np.median([_seconds(ask) for _ in range(CALLS + WARM_UP)][WARM_UP:]))


def _measure(form: "Format", model: "keras.Model", folder: Path, images: NDArray[np.uint8]) -> dict[str, Any]:
    path, answers = folder / form.place, []
    writing = _seconds(lambda: form.write(model, path))
    asking = _seconds(lambda: answers.append(form.predict(path, images)))
    return {
        "bytes": sum(file.stat().st_size for file in (files_below(path) if path.is_dir() else [path])),
        "milliseconds": form.latency(path, images[:1]),
        "seconds_to_write": writing,
        "seconds_for_all_images": asking,
        "probabilities": answers[0],
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _render(results: dict[str, Any]) -> str:
    heads = ["format", "bytes", "ms for one image", f"{results['images']:,} images, s", "agrees with Keras", "accuracy"]
    return paragraphs(
        f"{measured_on(results['machine'])}.",
        table([*heads, "writing it, s", "take it for"], _rows(results["formats"])),
    )


def _rows(formats: dict[str, dict[str, float]]) -> Iterator[list[str]]:
    for name, found in formats.items():
        kind, purpose = KINDS[name]
        yield [
            kind,
            f"{found['bytes']:,}",
            f"{found['milliseconds']:.2f}",
            f"{found['seconds_for_all_images']:.1f}",
            f"{found['agreement']:.2%}",
            f"{found['accuracy']:.2%}",
            f"{found['seconds_to_write']:.1f}",
            purpose,
        ]


if __name__ == "__main__":
    main()
