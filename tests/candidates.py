"""Candidates for the registry, trained by the stages of this process; the same candidate is made once."""

import os
import shutil
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from filelock import FileLock

from fashion.params import Params
from fashion.paths import Project
from fashion.stages.evaluate import evaluate
from fashion.stages.export import export
from fashion.stages.train import train
from fashion.storage import folder_digest
from tests.conftest import CANDIDATES
from tests.projects import edit_params


def make_candidate(project: Project, **training: Any) -> Params:
    """Train, measure and export a model, or take the one that was made of the same data and parameters."""
    params = edit_params(project, {"train": training})
    known = f"{folder_digest(project.dataset)} {params.data!r} {params.train!r}"
    _make(project.model, known, lambda: train(project, params, on_step=lambda done, total: None))
    _make(project.evaluation, f"{known} {params.evaluate!r}", lambda: evaluate(project, params))
    _make(project.export, f"{known} {params.export!r}", lambda: export(project, params))
    return params


def measure(project: Project, params: Params) -> None:
    """Measure the model that is there, or take what the same model gave on the same data by the same parameters."""
    known = f"{folder_digest(project.dataset)} {folder_digest(project.model)} {params.data!r} {params.evaluate!r}"
    _make(project.evaluation, known, lambda: evaluate(project, params))


def _make(folder: Path, inputs: str, stage: Callable[[], object]) -> None:
    kept = _storage() / folder.name / sha256(inputs.encode()).hexdigest()
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{kept}.lock"):
        if kept.exists():
            shutil.rmtree(folder)
            shutil.copytree(kept, folder)
            return
        stage()
        shutil.copytree(folder, f"{kept}.part", dirs_exist_ok=True)
        Path(f"{kept}.part").rename(kept)


def _storage() -> Path:
    """A folder for all workers of these tests, which pytest removes; elsewhere one that is gone with this process."""
    return Path(os.environ[CANDIDATES]) if CANDIDATES in os.environ else Path(_own_storage().name)


@cache
def _own_storage() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="fashion-candidates-")
