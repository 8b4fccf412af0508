"""ONNX: the model in a file for runtimes of other languages, and ONNX Runtime, which runs it here."""

import time
import warnings
from pathlib import Path

import keras
import numpy as np
import onnx
from numpy.typing import NDArray

from fashion.arrays import Bytes, Shape
from fashion.errors import ArtifactError
from fashion.importing import cache_that_goes
from fashion.quiet import quiet_standard_error
from fashion.storage import atomic_file

with cache_that_goes():  # A number for this machine, and events to be sent.
    import onnxruntime
    import tf2onnx  # noqa: F401 - Keras converts with it, and says nothing useful where it is missing
onnxruntime.disable_telemetry_events()  # From 1.32 on it has some, and they are on.

IMAGE, PROBABILITIES = "image", "probabilities"
THREADS = 2
"""As LiteRT has, so that times can be compared."""
WARM_UP = 20
FATAL = 4
"""Of ONNX Runtime's log: what is wrong comes as an error, too."""


def export_onnx(model: keras.Model, path: Path) -> None:
    """Write the model as ONNX, the same bytes from the same weights; it takes the same uint8 images."""
    # Keras converts no model that has never been called, and loading one does not call it.
    model(np.zeros((1, *model.input_shape[1:]), np.uint8), training=False)
    with atomic_file(path) as temporary:
        with quiet_standard_error(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
            model.export(str(temporary), format="onnx", verbose=False)
        exported = onnx.load(temporary)
        _rename(exported.graph, model.name)
        temporary.write_bytes(exported.SerializeToString(deterministic=True))


def predict(path: Path, images: Bytes, batch_size: int = 256) -> NDArray[np.float32]:
    """Return probabilities (n, classes) for images (n, height, width, channels) uint8, n at least 1.

    Raises:
        ArtifactError: the file is missing or damaged, or the model has other inputs or outputs.
    """
    session = _open(path, images.shape[1:])
    starts = range(0, len(images), batch_size)
    return np.concatenate([_run(session, path, images[start : start + batch_size]) for start in starts])


def latency(path: Path, image: Bytes, repeats: int = 200) -> float:
    """Return the median milliseconds for one image (1, height, width, channels) uint8, without loading the model.

    Raises:
        ArtifactError: as `predict`.
    """
    session = _open(path, image.shape[1:])
    times = []
    for _ in range(WARM_UP + repeats):
        start = time.perf_counter()
        _run(session, path, image)
        times.append(time.perf_counter() - start)
    return float(np.median(times[WARM_UP:]) * 1000)


def _open(path: Path, shape: Shape) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = THREADS, FATAL
    try:
        with quiet_standard_error():
            session = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"], enable_fallback=False
            )
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}; export it again") from error
    except Exception as error:  # ONNX Runtime raises a kind of its own for each way in which a file is damaged.
        raise _damaged(path, error) from error
    _check_contract(session, path, shape)
    return session


def _run(session: onnxruntime.InferenceSession, path: Path, images: Bytes) -> NDArray[np.float32]:
    try:
        probabilities: NDArray[np.float32] = session.run([PROBABILITIES], {IMAGE: images})[0]
    except Exception as error:
        raise _damaged(path, error) from error
    return probabilities


def _damaged(path: Path, error: Exception) -> ArtifactError:
    return ArtifactError(f"{path} cannot be run by ONNX Runtime ({' '.join(str(error).split())}); export it again")


def _check_contract(session: onnxruntime.InferenceSession, path: Path, shape: Shape) -> None:
    inputs, outputs = session.get_inputs(), [output.name for output in session.get_outputs()]
    if [one.name for one in inputs] != [IMAGE] or PROBABILITIES not in outputs:
        found = f"{', '.join(one.name for one in inputs)} and {', '.join(outputs)}"
        raise ArtifactError(f"{path}: expected the input {IMAGE} and the output {PROBABILITIES}, found {found}")
    expected = tuple(inputs[0].shape[1:])
    if expected != shape or inputs[0].type != "tensor(uint8)":
        raise ArtifactError(
            f"{path}: expected images of {expected} (height, width, channels), {inputs[0].type}, found {shape}, uint8"
        )


def _rename(graph: onnx.GraphProto, name: str) -> None:
    """Give everything in the graph a name and a place that only its structure decides.

    The converter numbers names by what this process has converted before, and its order is that of a set of strings,
    which Python changes from one process to the next. Names of inputs and outputs are the contract; they stay.
    """
    nodes = _in_order(graph)
    if any(attribute.HasField("g") for node in nodes for attribute in node.attribute):
        return  # A loop or a branch has a graph of its own, which refers to this one by the names that it has.
    names = {"": ""} | {one.name: one.name for one in (*graph.input, *graph.output)}
    for number, node in enumerate(nodes):
        node.name = f"{node.op_type}_{number}"
        for kind, ends in (("input", node.input), ("output", node.output)):
            for place, end in enumerate(ends):
                ends[place] = names.setdefault(end, f"{node.name}_{kind}_{place}")
    constants = {one.name: one for one in graph.initializer}
    used = [constants[end] for end in names if end in constants]
    for one in used:
        one.name = names[one.name]
    graph.CopyFrom(onnx.helper.make_graph(nodes, name, list(graph.input), list(graph.output), used))
    for one in (*graph.input, *graph.output):
        one.type.tensor_type.shape.dim[0].dim_param = "images"


def _in_order(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes that the outputs need, each after those that it needs itself."""
    made_by = {end: node for node in graph.node for end in node.output}
    ordered: dict[str, onnx.NodeProto] = {}
    waiting = [made_by[one.name] for one in graph.output]
    while waiting:
        node = waiting[-1]
        needed = [made_by[end] for end in node.input if end in made_by and made_by[end].output[0] not in ordered]
        if needed:
            waiting.extend(reversed(needed))
        else:
            ordered.setdefault(waiting.pop().output[0], node)
    return list(ordered.values())
