"""Makes a project of today's stored forms, for later code to go on from: python -m tests.upgrade.make NAME.

Run it on the code as it is before a stored form changes (registry, prediction log, windows, versions, `.state`,
artifacts), and put what it writes, `tests/upgrade/NAME.tar.xz`, under git: `test_upgrade.py` goes on from each of them.

In it: two versions, the second promoted by hand at last; both in `.state/champion`; 120 predictions with their labels,
and a window of them that was judged. Not in it: what git keeps, which comes from the tree; pictures, pages and formats
that no command reads. `0.1.0` was made by the code of commit a3a20d2.
"""

import sys
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fashion.adapters import litert
from fashion.adapters.predictions import PredictionLog, Record, new_id
from fashion.images.synthetic import draw
from fashion.loop.monitor import monitor
from fashion.params import Params
from fashion.paths import Project
from fashion.registry.champion import find_champion
from fashion.registry.promotion import promote
from fashion.registry.register import register
from fashion.settings import predictions_url
from fashion.stages.prepare import prepare
from fashion.stages.validate import validate
from tests.candidates import make_candidate
from tests.conftest import use_environment
from tests.projects import commit, copy_project, edit_params, make_quick, make_small

HERE = Path(__file__).parent
IMAGES, TEST_IMAGES, CLASSES, SIZE = 400, 120, 3, (10, 10)
"""As small as `monitor` and the gates allow."""
KEPT = ("data.dvc", "data", "artifacts", ".state")
LEFT_OUT = (".png", ".html", ".lock")
READ_BY_NOBODY = ("saved_model", "docs", "matplotlib", "dvc", "keras", "prefect", "monitoring", "model_int8.tflite")


def tiny_project(folder: Path) -> tuple[Project, Params]:
    """A copy of this project at `folder` for images so small that everything is made in seconds."""
    project = copy_project(folder)
    make_small(project, IMAGES, TEST_IMAGES, CLASSES, SIZE)
    make_quick(project)
    changes = {"prepare": {"validation_fraction": 0.3}, "train": {"recipes": {"baseline": {"epochs": 3}}}}
    return project, edit_params(project, changes)


def make(folder: Path) -> Project:
    """A project that was in use."""
    project, params = tiny_project(folder)
    commit(project.root, "A small project")
    validate(project, params)
    prepare(project, params)
    for seed in (1, 2):
        params = make_candidate(project, seed=seed)
        commit(project.root, f"Seed {seed}")
        register(project, params)
        find_champion(project, params)
    for number in ("1", "2"):
        promote(project, params, number, "to have a history")
    _use(project, params)
    return project


def _use(project: Project, params: Params) -> None:
    """Let its champion answer, label the answers, and judge them."""
    found = find_champion(project, params)
    champion = found.champion
    images, labels = draw(120, CLASSES, SIZE, seed=3)
    outputs = litert.predict(champion.model, images)
    log = PredictionLog(predictions_url(project))
    records = [
        Record(new_id(), datetime.now(UTC), champion.version, *row, None, found.version.identity)
        for row in zip(images, outputs.probabilities, outputs.embedding, strict=True)
    ]
    log.write(records)
    for record, label in zip(records, labels, strict=True):
        log.add_label(record.id, int(label), "upgrade")
    log.close()
    monitor(project, params)


def pack(project: Project, archive: Path) -> None:
    """What is kept of the project, without owners."""
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for name in KEPT:
            tar.add(project.root / name, name, filter=_kept)


def _kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    path = Path(entry.name)
    if path.suffix in LEFT_OUT or any(part in READ_BY_NOBODY for part in path.parts):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        project = Project(Path(folder).resolve() / "project")
        use_environment(project, patch)
        pack(make(project.root), HERE / f"{sys.argv[1]}.tar.xz")


if __name__ == "__main__":
    main()
