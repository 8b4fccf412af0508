"""Checkpoints: a training is saved after every epoch until it is done, so that it can resume if it is stopped.

One file per training, .state/training/KEY.npz: 3.3 MB for `compact`, written in some 30 ms after an epoch of ten
seconds, flushed and renamed, so that kill -9 leaves the file of this epoch or of the one before.
"""

import json
import logging
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from fashion.adapters.machine import describe_machine
from fashion.model.head import Head
from fashion.model.history import Epoch, State
from fashion.params import Params
from fashion.paths import Project
from fashion.reading import DAMAGE
from fashion.storage import atomic_file, file_digest, folder_digest

UNREADABLE = (*DAMAGE, zlib.error)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A training after an epoch, and the MLflow run that records it."""

    state: State
    run_id: str


class Checkpoints:
    """The checkpoint of one training: with these data, parameters and code, on a machine like this one."""

    def __init__(self, project: Project, params: Params) -> None:
        self._origin = _origin(project, params)
        self._path = project.training / f"{_digest(self._origin)[:16]}.npz"

    @property
    def dataset(self) -> str:
        """The digest of the training data."""
        return self._origin["data"]

    def load(self) -> Checkpoint | None:
        """Return the saved checkpoint, if any. If there is only one that does not match, the log says why."""
        try:
            return _read(self._path)[0]
        except FileNotFoundError:
            self._mention_others()
        except UNREADABLE as error:
            logger.warning("Starting from epoch 1: the checkpoint %s is damaged (%s)", self._path, error)
        return None

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the previous checkpoint. Of other trainings only the newest checkpoint is kept.

        Raises:
            DiskError: the disk is full.
        """
        for left in self._others()[1:]:
            left.unlink(missing_ok=True)
        state = checkpoint.state
        about = {
            "origin": self._origin,
            "run_id": checkpoint.run_id,
            "history": [asdict(epoch) for epoch in state.history],
            "generator": state.generator,
            "head": asdict(state.head) if state.head else None,
        }
        arrays: dict[str, Any] = _named("variable", state.variables) | _named("best", state.best_weights)
        with atomic_file(self._path) as temporary, temporary.open("wb") as file:
            np.savez(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)

    def _mention_others(self) -> None:
        for path in self._others()[:1]:
            try:
                other, origin = _read(path)
            except UNREADABLE:
                return  # It would not have been used.
            changed = [name for name in self._origin if origin.get(name) != self._origin[name]]
            last = other.state.history[-1]
            logger.info(
                "Starting from epoch 1, because these have changed since a training stopped after epoch %d of %d: %s",
                *(last.epoch, last.epochs, ", ".join(changed)),
            )

    def _others(self) -> list[Path]:
        """Return the checkpoints of other trainings, the newest first."""
        found = [path for path in self._path.parent.glob("[!.]*.npz") if path != self._path]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def _origin(project: Project, params: Params) -> dict[str, str]:
    """Return a digest of everything that the weights depend on."""
    code = Path(__file__).parents[1]
    recipe = params.train.chosen.model_dump(mode="json")
    parameters = {"classes": params.data.classes, "seed": params.train.seed} | recipe
    if start := params.train.start_from:
        parameters["start"] = start.sha256
    return {
        "data": folder_digest(project.dataset),
        "parameters": _digest(parameters),
        "code": _digest({str(path.relative_to(code)): file_digest(path) for path in sorted(code.rglob("*.py"))}),
        "machine or libraries": _digest(asdict(describe_machine())),
    }


def _digest(content: Mapping[str, Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _named(kind: str, arrays: Iterable[np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    return {f"{kind}_{number:04d}": array for number, array in enumerate(arrays)}


def _read(path: Path) -> tuple[Checkpoint, dict[str, str]]:
    """Read a checkpoint and its origin, after verifying the checksum of every byte."""
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
    with np.load(path, allow_pickle=False) as content:
        about = json.loads(content["about"].tobytes())
        arrays = {
            kind: tuple(content[name] for name in sorted(content.files) if name.startswith(f"{kind}_"))
            for kind in ("variable", "best")
        }
    history = tuple(Epoch(**epoch) for epoch in about["history"])
    head = Head(**about["head"]) if about["head"] else None
    state = State(history, arrays["variable"], arrays["best"], about["generator"], head)
    return Checkpoint(state, about["run_id"]), about["origin"]
