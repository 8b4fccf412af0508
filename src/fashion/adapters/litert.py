"""LiteRT (TensorFlow Lite): runs an exported model in milliseconds, without TensorFlow."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, SignatureRunner
from numpy.typing import NDArray

from fashion.arrays import Bytes, Shape
from fashion.errors import ArtifactError
from fashion.evaluation.outputs import Outputs
from fashion.quiet import quiet_standard_error
from fashion.storage import file_digest

SIGNATURE = "serving_default"
IMAGE, PROBABILITIES, EMBEDDING = "image", "probabilities", "embedding"
WARM_UP = 20
"""Calls before timing starts: the first ones allocate memory and wake the threads."""
THREADS = 2
"""Of a model that answers or is timed alone."""
PATIENCE_SECONDS = 60.0
_ANSWERED: set[tuple[str, Shape]] = set()
"""SHA-256 and image shape of the models that have answered in a separate process."""


class Session:
    """An opened model. One thread may use it at a time.

    Raises:
        ArtifactError: the file is missing or damaged, or the model has other inputs or outputs.
    """

    def __init__(self, model: Path, shape: Shape, threads: int) -> None:
        _try_once(model, shape)
        self._runner = _load(model, shape, threads)
        self._input = self._runner.get_input_details()[IMAGE]
        self._outputs = self._runner.get_output_details()

    def run(self, images: Bytes) -> Outputs:
        """Run the model on images (n, height, width, channels), n at least 1."""
        answers = self._runner(image=_quantised(_as_taken(images, self._input), self._input))
        values = {name: _dequantised(answer, self._outputs[name]) for name, answer in answers.items()}
        nothing = np.empty((len(images), 0), np.float32)
        return Outputs(nothing, values[PROBABILITIES], values.get(EMBEDDING, nothing))


def predict(model: Path, images: Bytes, batch_size: int = 256) -> Outputs:
    """Run a LiteRT model on images (n, height, width, channels) uint8, n at least 1.

    A quantised model's outputs are dequantised.

    Raises:
        ArtifactError: the file is missing or damaged, or the model has other inputs or outputs.
    """
    session = Session(model, images.shape[1:], THREADS)
    batches = [session.run(images[start : start + batch_size]) for start in range(0, len(images), batch_size)]
    names = ("logits", "probabilities", "embedding")
    return Outputs(**{name: np.concatenate([getattr(batch, name) for batch in batches]) for name in names})


def check_classes(model: Path, probabilities: NDArray[np.float32], classes: Sequence[str], version: str) -> None:
    """Check that the local model of a version gives one probability for each class; `probabilities` are (n, classes).

    Raises:
        ArtifactError: it gives more or fewer.
    """
    found = probabilities.shape[1]
    if found != len(classes):
        raise ArtifactError(
            f"{model} gives {found} probabilities for {len(classes)} classes; remove {model.parent.parent} to fetch "
            f"version {version} again"
        )


def latency(model: Path, image: Bytes, repeats: int = 200) -> float:
    """Return the median time of one call in milliseconds, for one image (1, height, width, channels) uint8, without
    loading it.

    Raises:
        ArtifactError: as `predict`.
    """
    return float(np.median(latencies([model], image, repeats)))


def latencies(models: Sequence[Path], image: Bytes, repeats: int = 200) -> NDArray[np.float64]:
    """Return times of single calls in milliseconds, (models, repeats); models take turns, so slow moments affect all.

    Raises:
        ArtifactError: as `predict`.
    """
    sessions = [Session(model, image.shape[1:], THREADS) for model in models]
    for session in sessions * WARM_UP:
        session.run(image)
    rounds = [[_seconds(session, image) for session in sessions] for _ in range(repeats)]
    return 1000 * np.array(rounds).T


def _seconds(session: Session, image: Bytes) -> float:
    start = time.perf_counter()
    session.run(image)
    return time.perf_counter() - start


def _try_once(model: Path, shape: Shape) -> None:
    """Try the model in a separate process, unless one with the same content has answered there before."""
    try:
        content = file_digest(model), shape
    except OSError as error:
        raise ArtifactError(f"{model} cannot be read: {error.strerror}; export it again") from error
    if content not in _ANSWERED:
        _try_elsewhere(model, shape)
        _ANSWERED.add(content)


def _try_elsewhere(model: Path, shape: Shape) -> None:
    """Try the model in a separate process: some damaged files crash the process that opens them, with signal 11."""
    command = [sys.executable, "-m", __name__, str(model), *map(str, shape)]
    try:
        tried = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ArtifactError(f"{model} did not answer within {PATIENCE_SECONDS:g} seconds; export it again") from error
    if tried.returncode < 0:
        raise ArtifactError(f"{model} is damaged: LiteRT crashes on it, signal {-tried.returncode}; export it again")
    if tried.returncode:
        raise ArtifactError(tried.stdout.strip() or f"{model} cannot be tried out: {tried.stderr.strip()}")


def _try_out(model: Path, shape: Shape) -> None:
    """Raise ArtifactError if the model does not answer images of that shape, one or two at a time."""
    try:
        runner = _load(model, shape, threads=1)
        details = runner.get_input_details()[IMAGE]
        blanks = [_quantised(_as_taken(np.zeros((count, *shape), np.uint8), details), details) for count in (1, 2)]
        shapes = [runner(image=blank)[PROBABILITIES].shape for blank in blanks]
    except (ValueError, RuntimeError, TypeError, KeyError, MemoryError) as error:
        raise ArtifactError(
            f"{model} cannot be run by LiteRT ({' '.join(str(error).split())}); export it again"
        ) from error
    if shapes != [(1, shapes[0][-1]), (2, shapes[0][-1])]:
        raise ArtifactError(f"{model}: expected probabilities (images, classes), found {shapes[1]} for two images")


def _load(model: Path, shape: Shape, threads: int) -> SignatureRunner:
    interpreter = Interpreter(str(model), num_threads=threads)
    # LiteRT's delegate announces itself here, once per process, and no option stops it.
    with quiet_standard_error():
        interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner(SIGNATURE)
    _check_contract(runner, model, shape)
    return runner


def _check_contract(runner: SignatureRunner, model: Path, shape: Shape) -> None:
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    if list(inputs) != [IMAGE] or PROBABILITIES not in outputs:
        raise ArtifactError(
            f"{model}: expected the input {IMAGE} and the output {PROBABILITIES}, "
            f"found {', '.join(inputs)} and {', '.join(outputs)}"
        )
    expected = tuple(int(length) for length in inputs[IMAGE]["shape"][1:])
    if (*expected, 1)[:3] != shape:
        raise ArtifactError(f"{model}: expected images of {expected} (height, width, channels), found {shape}")


def _as_taken(images: Bytes, details: Mapping[str, Any]) -> Bytes:
    """Return images in the shape that the model takes: models of earlier releases take grey images without channels."""
    return images.reshape(len(images), *details["shape"][1:])


def _quantised(images: Bytes, details: Mapping[str, Any]) -> NDArray[Any]:
    """Convert images to the model's input: value = scale * (stored - zero point) if it is quantised."""
    scale, zero_point = details["quantization"]
    if not scale:
        return images.astype(details["dtype"], copy=False)
    limits = np.iinfo(details["dtype"])
    stored: NDArray[Any] = np.rint(images / np.float32(scale)) + zero_point
    return stored.clip(limits.min, limits.max).astype(details["dtype"])


def _dequantised(stored: NDArray[Any], details: Mapping[str, Any]) -> NDArray[np.float32]:
    scale, zero_point = details["quantization"]
    values = stored.astype(np.float32, copy=False)
    return (values - np.float32(zero_point)) * np.float32(scale) if scale else values


if __name__ == "__main__":
    try:
        height, width, channels = map(int, sys.argv[2:])
        _try_out(Path(sys.argv[1]), (height, width, channels))
    except ArtifactError as error:
        sys.stdout.write(str(error))
        sys.exit(1)
