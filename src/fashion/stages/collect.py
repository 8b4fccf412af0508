"""Labelled predictions that no batch holds yet become a batch under data/batches; the next training learns from it.

A batch is a folder: images and labels in IDX, and predictions.csv, which names each image's row in the prediction log.
That file is the memory of what was used, too: with an earlier version of data/ the later labels are new again.
"""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from fashion.adapters import tracking, versioning
from fashion.adapters.git import check_repository
from fashion.adapters.pictures import contact_sheet
from fashion.adapters.pinning import pin
from fashion.adapters.predictions import Labelled, PredictionLog
from fashion.adapters.quality import Finding
from fashion.errors import ArtifactError, DataError
from fashion.images.descriptors import describe_dataset
from fashion.images.idx import write_idx
from fashion.params import Params
from fashion.paths import Project
from fashion.settings import predictions_url
from fashion.stages.dataset import BATCH_IMAGES, BATCH_LABELS, Split, bring_back, read_raw
from fashion.stages.registry import DATA_VERSION, registry_of
from fashion.stages.validate import (
    check_batch,
    choose_quarantined,
    explain_findings,
    with_label_support,
    write_quarantine,
)
from fashion.storage import atomic_folder, keep_newest, move_folder, write_text

USED = "predictions.csv"
SHOWN = 64
KEPT = 20
"""Refused batches, and quarantines of batches, that are kept to be looked at."""


@dataclass(frozen=True)
class Collected:
    """What was new, and the batch that was made of it; none where it is too little to learn from."""

    batch: str | None
    images: int
    """In the batch, or waiting for more."""
    quarantined: Mapping[str, int] = field(default_factory=dict)
    """How many images of the batch are not learned from, by the reason."""
    pictures: str | None = None
    """The folder, below the project's, with the picture and the list of those; none where there are none."""

    @property
    def in_quarantine(self) -> int:
        return sum(self.quarantined.values())

    @property
    def reasons(self) -> list[str]:
        """Each reason with the number of its images."""
        return [f"{count:,} images: {reason}" for reason, count in self.quarantined.items()]


def collect(project: Project, params: Params, since: datetime | None = None) -> Collected:
    """Make a batch of the newest labelled predictions that no batch holds yet, and pin it in data.dvc.

    Nothing enters data/ before its suite, expectations/batch.json, has let it. A refused batch is kept in
    .state/refused with what was found, and its labels, once corrected, are tried again.

    Args:
        since: take no prediction that was made before; with its zone.

    Raises:
        DataError: the batch is not fit to learn from, or a data file is missing or damaged.
        LineageError: the project is in no git repository, or git refuses to look.
        ServiceError: the prediction log or DVC cannot be used.
        SuiteError: expectations/batch.json is missing or wrong.
    """
    check_repository(project)
    labelled = _new_ones(project, params, since)
    if len(labelled.labels) < params.collect.at_least:
        # A collection that was killed has left its batch unpinned.
        pin(project)
        return Collected(None, len(labelled.labels))
    name = _name(labelled)
    quarantine = _check(project, params, name, labelled)
    pictures = _show_quarantine(project, name, labelled, quarantine) if len(quarantine) else None
    _enter(project, name, labelled)
    pin(project)
    reasons = {str(reason): int(count) for reason, count in quarantine["reason"].value_counts().items()}
    return Collected(name, len(labelled.labels), reasons, pictures)


def is_learned(project: Project, params: Params) -> bool:
    """Whether a version in the registry was made of the data that are there.

    Raises:
        DataError: data.dvc is missing or damaged.
        ServiceError: MLflow cannot be used.
    """
    versions = tracking.list_versions(registry_of(project, params))
    return versioning.data_version(project) in {version.tags.get(DATA_VERSION) for version in versions}


def _new_ones(project: Project, params: Params, since: datetime | None) -> Labelled:
    log = PredictionLog(predictions_url(project))
    try:
        return log.read_labelled(params.data.image_size, _used(project), since, params.collect.at_most)
    finally:
        log.close()


def _used(project: Project) -> set[str]:
    """The predictions that are in a batch already."""
    found: set[str] = set()
    for path in project.batches.glob(f"*/{USED}"):
        try:
            found.update(pd.read_csv(path, dtype="str")["id"])
        except (ValueError, KeyError) as error:
            raise ArtifactError(f"{path} is damaged ({error}). {bring_back(path.parent)}") from error
    return found


def _name(labelled: Labelled) -> str:
    """The day of the newest prediction and a digest of what is learned from: the same content has the same name."""
    digest = sha256(labelled.images.tobytes() + labelled.labels.tobytes()).hexdigest()
    newest = labelled.times.max().astype("datetime64[s]").item()
    return f"{newest:%Y-%m-%dT%H%M%S}-{digest[:8]}"


def _check(project: Project, params: Params, name: str, labelled: Labelled) -> pd.DataFrame:
    """The images of a new batch that batch.json wants out, as `choose_quarantined` gives them.

    The test set is looked at, too, because its images must not be learned from.
    """
    raw = read_raw(project, params.data)
    batch = Split(labelled.images, labelled.labels)
    table = describe_dataset({name: (batch.images, batch.labels), "test": (raw["test"].images, raw["test"].labels)})
    table = with_label_support(table[table["split"] == name], batch, raw["train"])
    with tempfile.TemporaryDirectory(dir=_state(project)) as folder:
        findings = check_batch(project, table, Path(folder) / "docs")
        if any(finding.on_breach == "fail" and not finding.success for finding in findings):
            kept = _keep_refused(project, params, name, labelled, Path(folder), findings)
            raise DataError(
                f"The {len(batch.labels):,} new labels are not fit to learn from:\n{explain_findings(findings)}\n"
                f"Look at {kept}: pictures with labels, docs/index.html. Correct the labels (POST /feedback again), or "
                "leave them out: fashion collect --since TIME"
            )
    quarantine = choose_quarantined(table, findings)
    # That they are of this batch goes without saying here.
    return quarantine.assign(reason=quarantine["reason"].str.replace(f" ({name})", "", regex=False))


def _show_quarantine(project: Project, name: str, labelled: Labelled, quarantine: pd.DataFrame) -> str:
    shown = project.state / "quarantine" / name
    with atomic_folder(shown) as folder:
        write_quarantine(folder, {name: Split(labelled.images, labelled.labels)}, quarantine)
    keep_newest(shown.parent.iterdir(), KEPT)
    return shown.relative_to(project.root).as_posix()


def _keep_refused(
    project: Project, params: Params, name: str, labelled: Labelled, found: Path, findings: Sequence[Finding]
) -> Path:
    kept = project.state / "refused" / name
    with atomic_folder(kept) as folder:
        _write(folder, labelled)
        shutil.copytree(found / "docs", folder / "docs")
        write_text(folder / "summary.txt", explain_findings(findings) + "\n")
        shown = np.random.default_rng(0).permutation(len(labelled.labels))[:SHOWN]
        captions = [params.data.classes[label] for label in labelled.labels[shown]]
        contact_sheet(labelled.images[shown], captions, folder / "sample.png", f"Some of {name}, with their labels")
    keep_newest(kept.parent.iterdir(), KEPT)
    return kept


def _enter(project: Project, name: str, labelled: Labelled) -> None:
    """Written elsewhere and moved as a whole: what stands in data/batches is complete, also after a power cut."""
    with tempfile.TemporaryDirectory(dir=_state(project)) as folder:
        batch = Path(folder) / name
        batch.mkdir()
        _write(batch, labelled)
        project.batches.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(project.batches / name, ignore_errors=True)
        move_folder(batch, project.batches / name)


def _write(folder: Path, labelled: Labelled) -> None:
    (folder / BATCH_IMAGES).write_bytes(write_idx(labelled.images))
    (folder / BATCH_LABELS).write_bytes(write_idx(labelled.labels))
    times = np.datetime_as_string(labelled.times, unit="ms", timezone="UTC")
    write_text(folder / USED, pd.DataFrame({"id": labelled.ids, "time": times}).to_csv(index=False))


def _state(project: Project) -> Path:
    project.state.mkdir(exist_ok=True)
    return project.state
