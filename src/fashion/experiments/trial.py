"""One training of a search, in a process of its own: what it does to memory, or to itself, does not end the search."""

import base64
import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from fashion.adapters.machine import as_computed_here
from fashion.arrays import Booleans, LabelledImages
from fashion.errors import FashionError, TrainingError
from fashion.images.subsets import repeated_part
from fashion.params import Recipe, StartFrom
from fashion.paths import Project
from fashion.stages.dataset import load_split
from fashion.stages.formats.maps import map_rows

PRELOADED = ["fashion.experiments.preloaded"]
"""Imported once, in the process from which those of the trials are forked."""
PATIENCE_SECONDS = 5.0
EPOCH, DONE, FAILED = "epoch", "done", "failed"
OUT_OF_MEMORY = "there is not enough memory for it; narrow batch_size or width"


@dataclass(frozen=True)
class Job:
    """What is trained."""

    root: Path
    """The project's folder."""
    recipe: Recipe
    classes: int
    seed: int
    images: int | None = None
    """How many of the training images, drawn by the seed and repeated as often as they go into all; None: all."""
    start_from: StartFrom | None = None


@dataclass(frozen=True)
class Outcome:
    """What a training came to, on the validation images."""

    right: Booleans
    """Which image the model gets right, (n,)."""
    seconds: float

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


def pack(right: Booleans) -> str:
    """Return which images are right as text, eight images in a byte."""
    return base64.b64encode(np.packbits(right).tobytes()).decode()


def unpack(text: str, count: int) -> Booleans:
    """Return which of so many images are right, from what `pack` has made.

    Raises:
        ValueError: it was made of another number of images, or is damaged.
    """
    packed = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    if not 0 < count <= 8 * len(packed) < count + 8:
        raise ValueError(f"expected answers to {count} images, found {8 * len(packed)} bits")
    return np.unpackbits(packed, count=count).astype(bool)


@dataclass(frozen=True)
class Progress:
    """A training after an epoch."""

    epoch: int
    epochs: int
    figures: dict[str, float]
    """As MLflow shows them, by name."""

    @property
    def accuracy(self) -> float:
        return self.figures["validation_accuracy"]


OnEpoch = Callable[[Progress], bool]
"""Is called after each epoch; ends the training by returning True."""


class StoppedError(Exception):
    """A training was ended by whoever watched it."""


def train_apart(job: Job, on_epoch: OnEpoch) -> Outcome:
    """Train in a process of its own, with the same result as `fashion train`.

    Args:
        on_epoch: called after each epoch; ends the training by returning True.

    Raises:
        ArtifactError: the dataset is missing or damaged.
        TrainingError: the training failed, or its process was killed; the message says why.
        StoppedError: `on_epoch` ended it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(job, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        return _follow(ours, process, on_epoch)
    finally:
        _end(process)
        ours.close()


def _follow(connection: Connection, process: BaseProcess, on_epoch: OnEpoch) -> Outcome:
    while True:
        try:
            kind, content = connection.recv()
        except (EOFError, ConnectionResetError) as error:
            process.join()
            raise TrainingError(_cause_of_death(process.exitcode)) from error
        if kind == DONE:
            outcome: Outcome = content
            return outcome
        if kind == FAILED:
            raise content
        if on_epoch(content):
            raise StoppedError


def _cause_of_death(status: int | None) -> str:
    if status is None or status >= 0:
        return f"its process ended with status {status}"
    name = signal.Signals(-status).name
    killer = f"; the system kills so when memory runs out: {OUT_OF_MEMORY}" if -status == signal.SIGKILL else ""
    return f"its process was ended by {name}{killer}"


def _end(process: BaseProcess) -> None:
    process.terminate()
    process.join(PATIENCE_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()


def _work(job: Job, connection: Connection) -> None:
    """Train, and report; in the child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; whoever watches ends this process.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        connection.send((DONE, _train(job, lambda progress: connection.send((EPOCH, progress)))))
    except BrokenPipeError:
        return  # Nobody waits for the trial any more.
    except FashionError as error:
        connection.send((FAILED, error))
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        connection.send((FAILED, TrainingError(OUT_OF_MEMORY)))


def _is_out_of_memory(error: Exception) -> bool:
    """Return whether NumPy or TensorFlow ran out of memory."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


def images_of(project: Project, job: Job) -> LabelledImages:
    """Return the training images of a job, memory-mapped.

    Raises:
        ArtifactError: the dataset is missing or damaged.
        DiskError: the disk is full.
    """
    training = load_split(project, "train")
    if job.images in (None, len(training.labels)):
        return training
    rows = repeated_part(training.labels, job.images, job.seed)
    return LabelledImages(map_rows(project.state, training.images, rows), training.labels[rows])


def _train(job: Job, report: Callable[[Progress], Any]) -> Outcome:
    # Here, because whoever waits for the trial needs no TensorFlow.
    from fashion.model.history import State  # noqa: PLC0415
    from fashion.model.networks import logits_model, predict_logits  # noqa: PLC0415
    from fashion.model.training import Plan, Watch, train  # noqa: PLC0415
    from fashion.stages.backbone import load_backbone  # noqa: PLC0415
    from fashion.stages.start import load_start  # noqa: PLC0415

    project = Project(job.root)
    training, validation = images_of(project, job), load_split(project, "validation")

    def on_epoch(state: State) -> None:
        epoch = state.history[-1]
        figures = {name: value for name, value in vars(epoch).items() if name not in ("epoch", "epochs")}
        report(Progress(epoch.epoch, epoch.epochs, figures))

    start = time.perf_counter()
    starts = load_start(project, job.start_from), load_backbone(project, job.recipe)
    plan = Plan(as_computed_here(job.recipe), training, validation, job.classes, job.seed, *starts)
    trained = train(plan, Watch(on_epoch, lambda _, __: None))
    seconds = time.perf_counter() - start
    logits = predict_logits(logits_model(trained.model), validation.images)
    right = np.asarray(logits.argmax(axis=1) == validation.labels)
    return Outcome(right, seconds)
