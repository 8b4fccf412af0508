"""Candidates for the registry, trained by the stages of this process; the same candidate is made once."""

import shutil
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fashion.params import Params
from fashion.paths import Project
from fashion.stages.evaluate import evaluate
from fashion.stages.export import export
from fashion.stages.train import train
from fashion.storage import folder_digest
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
    kept = Path(_storage().name, folder.name, sha256(inputs.encode()).hexdigest())
    if kept.exists():
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
    else:
        stage()
        shutil.copytree(folder, kept)


@cache
def _storage() -> TemporaryDirectory[str]:
    """Gone when this process ends."""
    return TemporaryDirectory(prefix="fashion-candidates-")
