"""One training on a worker of a cluster, which sees the same project folder.

Epochs are told by a file: the worker adds a line for each, and whoever waits for the training removes it to end it.
"""

import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, wait
from dataclasses import asdict
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Event

from fashion.environment import apply_environment
from fashion.errors import SetupError, TrainingError
from fashion.experiments.trial import OUT_OF_MEMORY, Job, OnEpoch, Outcome, Progress, StoppedError, train_apart
from fashion.paths import Project

POLL_SECONDS = 0.2
FOLDER = "trainings"
"""Below the project's state."""


def train_remotely(executor: Executor, job: Job, on_epoch: OnEpoch, over: Event) -> Outcome:
    """Train on a worker, with the same result as `train_apart` on such a machine.

    If the worker is killed, another one begins the training anew; `on_epoch` is called once for each epoch all the
    same.

    Args:
        over: is set when nobody wants the outcome any more.

    Raises:
        ArtifactError: the dataset is missing or damaged.
        ServiceError: the cluster went away.
        SetupError: the worker may not start processes.
        TrainingError: the training failed, or every worker that had it was killed; the message says why.
        StoppedError: `on_epoch` ended it.
        KeyboardInterrupt: it is over.
    """
    folder = Project(job.root).state / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=folder, suffix=".jsonl", delete=False) as file:
        told = Path(file.name)
    future: Future[Outcome] = executor.submit(train_told, job, told)
    try:
        return _follow(future, told, on_epoch, over)
    except BrokenExecutor as error:
        raise TrainingError(f"the workers that trained it were killed, perhaps because {OUT_OF_MEMORY}") from error
    finally:
        future.cancel()
        told.unlink(missing_ok=True)


def train_told(job: Job, told: Path) -> Outcome:
    """Train, and tell each epoch; on a worker.

    In a process of its own there, too: Keras draws its seeds from Python's random numbers, and so do Dask's threads, so
    that a training in the worker's process would have another result each time.
    """
    if multiprocessing.current_process().daemon:
        raise SetupError(
            "The worker may not start processes, as trainings need. Start it after source .venv/bin/activate in the "
            "project's folder, which sets DASK_DISTRIBUTED__WORKER__DAEMON=False"
        )
    apply_environment(Project(job.root))
    return train_apart(job, lambda progress: not _tell(told, progress))


def _tell(told: Path, progress: Progress) -> bool:
    """Add an epoch to the file; return False if it is gone, as nobody waits for the training any more."""
    try:
        descriptor = os.open(told, os.O_WRONLY | os.O_APPEND)
    except FileNotFoundError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"\n{json.dumps(asdict(progress))}\n")
    return True


def _follow(future: Future[Outcome], told: Path, on_epoch: OnEpoch, over: Event) -> Outcome:
    last = 0
    while True:
        done, _ = wait([future], POLL_SECONDS)
        for progress in _read(told):
            if progress.epoch > last:
                last = progress.epoch
                if on_epoch(progress):
                    raise StoppedError
        if done:
            return future.result()
        if over.is_set():
            raise KeyboardInterrupt


def _read(told: Path) -> Iterator[Progress]:
    for line in told.read_text(encoding="utf-8").splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue  # Empty, or half of a line: it is still being written, or its worker was killed.
        yield Progress(**content)
