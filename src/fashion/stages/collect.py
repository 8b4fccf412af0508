"""Labelled predictions that no batch holds yet become a batch under data/batches; the next training learns from it.

A batch is a folder: images and labels in IDX, and predictions.csv, which names each image's row in the prediction log
and says when its label came. What was used is known by the images themselves: with an earlier version of data/ later
labels are new again, as long as the log holds them, and a label that was corrected after its batch was made comes
again, in another batch. The log is told what was collected, since it keeps the rest for longer.
"""

import secrets
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from fashion.adapters import tracking, versioning
from fashion.adapters.git import check_repository
from fashion.adapters.pictures import contact_sheet
from fashion.adapters.pinning import changing_data, pin
from fashion.adapters.predictions import NO_LABEL, Labelled, Model, ModelVersion, PredictionLog
from fashion.errors import DataError
from fashion.images.descriptors import content_hashes
from fashion.images.idx import write_idx
from fashion.images.sources import within_shares
from fashion.params import CollectParams, Params
from fashion.paths import Project
from fashion.settings import predictions_url
from fashion.stages.batches import USED, read_labels
from fashion.stages.dataset import BATCH_IMAGES, BATCH_LABELS, SALT, SALT_BYTES, Split, read_batches, read_raw
from fashion.stages.registry import DATA_VERSION, registry_of
from fashion.stages.validate import examine, explain, write_quarantine
from fashion.storage import atomic_folder, keep_newest, move_folder, write_text

SHOWN = 64
IN_TEST, IN_TRAIN = "the same image stands in the test set", "the same image stands in the training set"
COPY = "the same image was labelled again later"
UNKNOWN = "the label is none of this project's classes (data.classes)"
TICK = np.timedelta64(1, "us")
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
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many labelled images are in no batch, by the reason: copies, from which nothing more can be learned, and what
    one source gave beyond its share."""

    @property
    def in_quarantine(self) -> int:
        return sum(self.quarantined.values())

    @property
    def reasons(self) -> list[str]:
        """Each reason with the number of its images."""
        return [f"{count:,} images: {reason}" for reason, count in self.quarantined.items()]

    @property
    def omissions(self) -> list[str]:
        """Each reason to leave images out with their number."""
        return [f"{count:,} left out: {reason}" for reason, count in self.left_out.items()]


def collect(project: Project, params: Params, since: datetime | None = None) -> Collected:
    """Make a batch of the newest labels that no batch holds yet, and pin it in data.dvc.

    Every image enters once, by its last label: copies of images of the dataset or of a batch are left out, unless their
    label is a later and another one. Where labels came with several keys, none fills more than its share of a batch;
    what goes beyond waits for labels by others. Nothing enters data/ before old and new together have passed what
    `validate` asks of them. A refused batch is kept in .state/refused with what was found, and its labels, once
    corrected, are tried again.

    Within the training slot: no training may be at work on data/.

    Args:
        since: take no prediction that was made before; with its zone.

    Raises:
        ArtifactError: the list of predictions of a batch is damaged.
        DataError: the batch is not fit to learn from, or a data file is missing or damaged.
        LineageError: the project is in no git repository, or git refuses to look.
        ServiceError: the prediction log or DVC cannot be used.
        SuiteError: a suite is missing or wrong.
    """
    check_repository(project)
    with closing(PredictionLog(predictions_url(project))) as log:
        return _collect(project, params, log, since)


def is_learned(project: Project, params: Params) -> bool:
    """Whether a version in the registry was made of the data that are there.

    Raises:
        DataError: data.dvc is missing or damaged.
        ServiceError: MLflow cannot be used.
    """
    versions = tracking.list_versions(registry_of(project, params))
    return versioning.data_version(project) in {version.tags.get(DATA_VERSION) for version in versions}


def _collect(project: Project, params: Params, log: PredictionLog, since: datetime | None) -> Collected:
    raw, batches = read_raw(project, params.data), read_batches(project, params.data)
    size = params.data.image_size
    labels = log.read_labels(size, since, _model(project, params, log))
    wanted, left_out = _choose(labels, raw, read_labels(project, batches))
    taken, waiting = _share_out(params.collect, wanted, labels["labelled_by"].nunique())
    labelled, left_out = log.read_labelled(taken, size), left_out | waiting
    if len(labelled.labels) < params.collect.at_least:
        # A collection that was killed has left its batch unpinned.
        pin(project)
        log.mark_collected(_settled(labels, wanted))
        return Collected(None, len(labelled.labels), left_out=left_out)
    name = _name(labelled)
    quarantine = _check(project, params, raw, batches, name, labelled)
    pictures = _show_quarantine(project, name, labelled, quarantine) if len(quarantine) else None
    _enter(project, name, labelled)
    log.mark_collected(_settled(labels, wanted[~wanted["id"].isin(labelled.ids)]))
    reasons = {str(reason): int(count) for reason, count in quarantine["reason"].value_counts().items()}
    return Collected(name, len(labelled.labels), reasons, pictures, left_out)


def _model(project: Project, params: Params, log: PredictionLog) -> Model:
    """Whose labels are collected. The registry is asked only where earlier code has not written down whose they are."""
    name, classes = params.register_.name, params.data.classes
    if not log.has_unnamed_labels():
        return Model(name, classes)
    versions = tracking.list_versions(registry_of(project, params))
    known = (ModelVersion(one.number, one.identity, datetime.fromisoformat(one.created)) for one in versions)
    return Model(name, classes, tuple(known))


def _settled(labels: pd.DataFrame, wanted: pd.DataFrame) -> pd.DataFrame:
    """The labels of which nothing more is wanted: they are in a batch, or no use in one. Others may be, one day."""
    return labels[~labels["id"].isin(wanted["id"]) & (labels["label"] != NO_LABEL)]


def _choose(labels: pd.DataFrame, raw: Mapping[str, Split], known: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows of `read_labels` of the log that say something new, and how many say nothing.

    Args:
        known: the labels that the batches hold, as `batches.read_labels` gives them.
    """
    unknown = int((labels["label"] == NO_LABEL).sum())
    labels = labels[labels["label"] != NO_LABEL]
    newest = _with_known(labels.drop_duplicates("content_hash", keep="last"), known)
    # A label of the same prediction is later than the one in the batch, whatever the clocks say.
    is_later = (newest["id"] == newest["known_id"]) | ~(newest["labelled"] <= newest["known_labelled"])
    fresh = newest[newest["known_label"].isna() | ((newest["label"] != newest["known_label"]) & is_later)]
    in_test, in_train = (fresh["content_hash"].isin(content_hashes(raw[name].images)) for name in ("test", "train"))
    wanted = fresh[~in_test & ~in_train]
    copies = int(labels["content_hash"].isin(wanted["content_hash"]).sum()) - len(wanted)
    counts = {
        IN_TEST: int(in_test.sum()),
        IN_TRAIN: int((in_train & ~in_test).sum()),
        COPY: copies,
        UNKNOWN: unknown,
    }
    return _in_order(wanted), {reason: count for reason, count in counts.items() if count}


def _share_out(params: CollectParams, wanted: pd.DataFrame, sources: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows that a batch may take, and how many of one source wait, by the reason."""
    share, most = params.at_most_from_one_source, params.at_most
    taken = within_shares(wanted["labelled_by"].to_numpy(np.str_), sources, share, most)
    if taken.sum() == min(len(wanted), most):
        return wanted[taken], {}
    waiting = wanted.loc[~taken, "labelled_by"].value_counts(sort=False)
    beyond = f"gave more than {share:.0%} of a batch (collect.at_most_from_one_source); they wait for labels by others"
    return wanted[taken], {f"{source} {beyond}": int(count) for source, count in waiting.items()}


def _with_known(labels: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Beside each label of the log what the batches say of the same image, if they hold it."""
    counting = known[known["counts"]].drop_duplicates("content_hash").set_index("content_hash")
    return labels.join(counting[["id", "label", "labelled"]].add_prefix("known_"), on="content_hash")


def _in_order(wanted: pd.DataFrame) -> pd.DataFrame:
    """A label comes after the one that it replaces, even if a clock went back."""
    after = wanted["known_labelled"] + TICK
    return wanted.assign(labelled=wanted["labelled"].where(~(wanted["labelled"] < after), after))


def _name(labelled: Labelled) -> str:
    """The day of the newest prediction and a digest of what is learned from: the same content has the same name."""
    digest = sha256(labelled.images.tobytes() + labelled.labels.tobytes()).hexdigest()
    newest = labelled.times.max().astype("datetime64[s]").item()
    return f"{newest:%Y-%m-%dT%H%M%S}-{digest[:8]}"


def _check(
    project: Project,
    params: Params,
    raw: Mapping[str, Split],
    batches: Mapping[str, Split],
    name: str,
    labelled: Labelled,
) -> pd.DataFrame:
    """The images of a new batch that will be in quarantine, once `validate` lets old and new together pass."""
    with tempfile.TemporaryDirectory(dir=_state(project)) as folder:
        docs = Path(folder) / "docs"
        found = examine(project, params, raw, {**batches, name: Split(labelled.images, labelled.labels)}, docs)
        quarantine = found.quarantine[found.quarantine["split"] == name]
        if not found.summary.success:
            kept = _keep_refused(project, params, name, labelled, quarantine, docs / name, explain(found))
            raise DataError(
                f"With the {len(labelled.labels):,} new labels the data are not fit to learn from:\n{explain(found)}\n"
                f"Nothing was changed. Look at {kept}: pictures with labels, quarantine.csv, docs/index.html. Correct "
                "the labels (POST /feedback again), or leave them out: fashion collect --since TIME"
            )
    # That they are of this batch goes without saying here.
    return quarantine.assign(reason=quarantine["reason"].str.replace(f" ({name})", "", regex=False))


def _show_quarantine(project: Project, name: str, labelled: Labelled, quarantine: pd.DataFrame) -> str:
    shown = project.state / "quarantine" / name
    with atomic_folder(shown) as folder:
        write_quarantine(folder, {name: Split(labelled.images, labelled.labels)}, quarantine)
    keep_newest(shown.parent.iterdir(), KEPT)
    return shown.relative_to(project.root).as_posix()


def _keep_refused(
    project: Project,
    params: Params,
    name: str,
    labelled: Labelled,
    quarantine: pd.DataFrame,
    docs: Path,
    explanation: str,
) -> Path:
    kept = project.state / "refused" / name
    with atomic_folder(kept) as folder:
        _write(folder, labelled)
        shutil.copytree(docs, folder / "docs")
        write_text(folder / "summary.txt", f"{explanation}\n")
        write_quarantine(folder, {name: Split(labelled.images, labelled.labels)}, quarantine)
        shown = np.random.default_rng(0).permutation(len(labelled.labels))[:SHOWN]
        captions = [params.data.classes[label] for label in labelled.labels[shown]]
        contact_sheet(labelled.images[shown], captions, folder / "sample.png", f"Some of {name}, with their labels")
    keep_newest(kept.parent.iterdir(), KEPT)
    return kept


def _enter(project: Project, name: str, labelled: Labelled) -> None:
    """Written elsewhere, moved as a whole and pinned: what is in data/batches is complete, also after a power cut."""
    with tempfile.TemporaryDirectory(dir=_state(project)) as folder:
        batch = Path(folder) / name
        batch.mkdir()
        _write(batch, labelled)
        with changing_data(project):
            project.batches.mkdir(parents=True, exist_ok=True)
            _make_salt(project)
            shutil.rmtree(project.batches / name, ignore_errors=True)
            move_folder(batch, project.batches / name)
            pin(project)


def _make_salt(project: Project) -> None:
    """Once for all batches: callers must not choose by the content of an image whether it is tested on."""
    if not (project.data / SALT).exists():
        write_text(project.data / SALT, f"{secrets.token_hex(SALT_BYTES)}\n")


def _write(folder: Path, labelled: Labelled) -> None:
    (folder / BATCH_IMAGES).write_bytes(write_idx(labelled.images))
    (folder / BATCH_LABELS).write_bytes(write_idx(labelled.labels))
    times = np.datetime_as_string(labelled.times, unit="ms", timezone="UTC")
    labelled_at = np.datetime_as_string(labelled.labelled, unit="us", timezone="UTC")
    table = pd.DataFrame({"id": labelled.ids, "time": times, "labelled": labelled_at})
    write_text(folder / USED, table.to_csv(index=False))


def _state(project: Project) -> Path:
    project.state.mkdir(exist_ok=True)
    return project.state
