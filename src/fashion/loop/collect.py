"""Labelled predictions that no batch holds yet become a batch under data/batches; the next training learns from it.

A batch is a folder: images and labels in IDX, and predictions.csv, which names each image's row in the prediction log
and says when its label came and whether it was asked for at random; survey.json says how many labels were asked for,
how many of them have come, and the batch's number. What was used is known by the images themselves: with an earlier
version of data/ later labels are new again, as long as the log holds them, and a label that was corrected after its
batch was made comes again, in another batch. The log is told what was collected, since it keeps the rest for longer.
"""

import secrets
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from fashion.adapters import tracking, versioning
from fashion.adapters.git import check_repository
from fashion.adapters.pinning import changing_data, pin
from fashion.adapters.predictions import NO_LABEL, Labelled, Model, ModelVersion, PredictionLog, read_survey
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.tracking.tags import DATA_VERSION
from fashion.arrays import LabelledImages
from fashion.errors import DataError
from fashion.evaluation.survey import Survey
from fashion.images.descriptors import content_hashes
from fashion.loop.refusal import is_refused, refused_labels, remember
from fashion.loop.trial import KEPT, Dataset, Trial, Trials, try_labels, write_batch
from fashion.params import Params
from fashion.paths import Project
from fashion.settings import predictions_url
from fashion.stages.batches import read_labels, write_survey
from fashion.stages.raw import SALT, SALT_BYTES, read_batches, read_raw
from fashion.stages.validate import explain, write_quarantine
from fashion.storage import atomic_folder, keep_newest, move_folder, write_text

IN_TEST, IN_TRAIN = "the same image stands in the test set", "the same image stands in the training set"
COPY = "the same image was labelled again later"
TOO_OFTEN = "their classes come too often beside the others; they wait for a later batch"
REFUSED = "refused before, and not corrected since"
UNKNOWN = "the label is none of this project's classes (data.classes)"
TICK = np.timedelta64(1, "us")


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
    """How many labelled images are in no batch, by the reason: copies, what waits, and what was refused."""

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
    what goes beyond waits for labels by others. Of classes that come too often only so many are taken as batch.json
    allows. Nothing enters data/ before old and new together have passed what `validate` asks of them; if they do not,
    they are tried again without the labels of the source that is believed least. A refused batch is kept in
    .state/refused with what was found, and what was refused is left out until it is corrected.

    Within the training slot: no training may be at work on data/.

    Args:
        since: take no prediction that was made before; with its zone.

    Raises:
        ArtifactError: the list of predictions of a batch, or that of refused labels, is damaged.
        DataError: the new labels are not fit to learn from, or a data file is missing or damaged.
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
    data = Dataset(project, params, read_raw(project, params.data), read_batches(project, params.data))
    model = _model(project, params, log)
    labels = _by_source(log.read_labels(params.data.image_size, since, model))
    is_known = is_refused(project, params, labels)
    wanted, left_out = _choose(labels[~is_known], data.raw, read_labels(project, data.batches))
    tried = try_labels(data, log, wanted, labels["key"].nunique())
    refused = wanted[wanted["given_by"].isin(list(tried.without))]
    if len(refused):
        remember(project, params, _with_earlier(labels, refused))
    left_out |= _count_refused(project, tried, refused)
    left_out |= _count_beyond(params, tried)
    left_out |= {TOO_OFTEN: tried.left.too_often, REFUSED: int(is_known.sum())}
    left_out = {reason: count for reason, count in left_out.items() if count}
    if tried.accepted:
        collected = _enter_accepted(data, tried.accepted, left_out, read_survey(log, model))
        log.mark_collected(_settled(labels, wanted[~wanted["id"].isin(tried.accepted.labelled.ids)]))
        return collected
    # A collection that was killed has left its batch unpinned.
    pin(project)
    log.mark_collected(_settled(labels, wanted))
    if tried.trials:
        raise DataError(_complain(project, tried))
    return Collected(None, tried.images, left_out=left_out)


def _enter_accepted(data: Dataset, trial: Trial, left_out: Mapping[str, int], survey: Survey) -> Collected:
    name, quarantine = trial.name, trial.found.quarantine
    # That they are of this batch goes without saying here.
    own = quarantine[quarantine["split"] == name]
    own = own.assign(reason=own["reason"].str.replace(f" ({name})", "", regex=False))
    pictures = _show_quarantine(data.project, name, trial.labelled, own) if len(own) else None
    _enter(data, name, trial.labelled, survey)
    reasons = {str(reason): int(count) for reason, count in own["reason"].value_counts().items()}
    return Collected(name, len(trial.labelled.labels), reasons, pictures, left_out)


def _by_source(labels: pd.DataFrame) -> pd.DataFrame:
    """Of several keys each is one source, whatever its owner claims; of a single one everybody is who he claims."""
    return labels.assign(given_by=labels["key"]) if labels["key"].nunique() > 1 else labels


def _count_beyond(params: Params, tried: Trials) -> dict[str, int]:
    """How many labels wait since their key has given more than its share, as reasons to leave them out."""
    limit = f"{params.collect.at_most_from_one_source:.0%} of a batch (collect.at_most_from_one_source)"
    return {
        f"{key} gave more than {limit}; they wait for labels from others": count
        for key, count in tried.left.beyond.items()
    }


def _count_refused(project: Project, tried: Trials, refused: pd.DataFrame) -> dict[str, int]:
    """How many labels of which source were refused, as reasons to leave them out."""
    return {
        f"given by {source}, refused: see {tried.without[str(source)].relative_to(project.root)}": int(count)
        for source, count in refused["given_by"].value_counts().items()
    }


def _complain(project: Project, tried: Trials) -> str:
    first = tried.trials[0]
    return (
        f"With the {len(first.labelled.labels):,} new labels the data are not fit to learn from:\n"
        f"{explain(first.found)}\nNothing was changed. Look at {first.refused}: pictures with labels, quarantine.csv, "
        f"docs/index.html. The labels given by {', '.join(tried.without)} are left out from now on, until they are "
        f"corrected (POST /feedback again). To try them again as they are: rm {refused_labels(project)}"
    )


def _model(project: Project, params: Params, log: PredictionLog) -> Model:
    """Whose labels are collected. The registry is asked only where earlier code has not written down whose they are."""
    name, classes = params.register_.name, params.data.classes
    if not log.has_unnamed_labels():
        return Model(name, classes)
    versions = tracking.list_versions(registry_of(project, params))
    known = (ModelVersion(one.number, one.identity, datetime.fromisoformat(one.created)) for one in versions)
    return Model(name, classes, tuple(known))


def _with_earlier(labels: pd.DataFrame, refused: pd.DataFrame) -> pd.DataFrame:
    """The refused labels, and what the same sources said of the same images before: it would be tried next."""
    of_them = labels["given_by"].isin(refused["given_by"]) & labels["content_hash"].isin(refused["content_hash"])
    return labels[of_them & (labels["label"] != NO_LABEL)]


def _settled(labels: pd.DataFrame, waiting: pd.DataFrame) -> pd.DataFrame:
    """The labels of which nothing more is wanted: they are in a batch, or no use in one. Others may be, one day.

    An earlier label of an image waits with the last one, whose place it takes if that is refused.
    """
    return labels[~labels["content_hash"].isin(waiting["content_hash"]) & (labels["label"] != NO_LABEL)]


def _choose(
    labels: pd.DataFrame, raw: Mapping[str, LabelledImages], known: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows of `read_labels` of the log that say something new, and how many say nothing.

    Args:
        known: the labels that the batches hold, as `batches.read_labels` gives them.
    """
    unknown = int((labels["label"] == NO_LABEL).sum())
    labels = labels[labels["label"] != NO_LABEL]
    # Whoever corrects a mistake unasked, may do so after somebody was asked about the same image.
    labels = labels.assign(asked=labels.groupby("content_hash")["asked"].transform("any"))
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


def _with_known(labels: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Beside each label of the log what the batches say of the same image, if they hold it."""
    counting = known[known["counts"]].drop_duplicates("content_hash").set_index("content_hash")
    return labels.join(counting[["id", "label", "labelled"]].add_prefix("known_"), on="content_hash")


def _in_order(wanted: pd.DataFrame) -> pd.DataFrame:
    """A label comes after the one that it replaces, even if a clock went back."""
    after = wanted["known_labelled"] + TICK
    return wanted.assign(labelled=wanted["labelled"].where(~(wanted["labelled"] < after), after))


def _show_quarantine(project: Project, name: str, labelled: Labelled, quarantine: pd.DataFrame) -> str:
    shown = project.state / "quarantine" / name
    with atomic_folder(shown) as folder:
        write_quarantine(folder, {name: LabelledImages(labelled.images, labelled.labels)}, quarantine)
    keep_newest(shown.parent.iterdir(), KEPT)
    return shown.relative_to(project.root).as_posix()


def _enter(data: Dataset, name: str, labelled: Labelled, survey: Survey) -> None:
    """Written elsewhere, moved as a whole and pinned: what is in data/batches is complete, also after a power cut."""
    project = data.project
    with tempfile.TemporaryDirectory(dir=_state(project)) as folder:
        batch = Path(folder) / name
        batch.mkdir()
        write_batch(batch, labelled)
        write_survey(project, data.batches, batch, survey)
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


def _state(project: Project) -> Path:
    project.state.mkdir(exist_ok=True)
    return project.state
