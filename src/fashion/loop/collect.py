"""Turns labelled predictions that no batch holds yet into a batch under data/batches, for the next training.

A batch is a folder: images and labels in the format of the dataset, and predictions.csv, which names each image's row
in the prediction log and says when its label came and whether it was asked for at random; survey.json says how many
labels were asked for, how many of them have come, and the batch's number. What was used is known by the images
themselves: with an earlier version of data/ later labels are new again, as long as the log holds them, and a label that
was corrected after its batch was made comes again, in another batch. The log is told what was collected, since it keeps
the rest for longer.
"""

import secrets
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from shlex import quote

import pandas as pd

from fashion.adapters import tracking, versioning
from fashion.adapters.git import check_repository
from fashion.adapters.predictions import (
    NO_LABEL,
    Labelled,
    Model,
    ModelVersion,
    PredictionLog,
    mark_collected,
    read_survey,
)
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.tracking.tags import DATA_VERSION, VERDICT
from fashion.adapters.versioning.pinning import changing_data, check_whole, pin
from fashion.errors import DataError
from fashion.evaluation.survey import Survey
from fashion.loop.clones import taking_turns
from fashion.loop.new_labels import find_new
from fashion.loop.refused_labels import is_refused, refused_labels, remember
from fashion.loop.trial import KEPT, Dataset, Trial, Trials, try_labels, write_batch
from fashion.params import Params
from fashion.paths import Project
from fashion.settings import predictions_url
from fashion.stages.batches import read_labels, write_survey
from fashion.stages.raw import SALT, SALT_BYTES, read_batches, read_raw
from fashion.stages.validate import explain, write_quarantine
from fashion.storage import atomic_folder, keep_newest, move_folder, write_text

TOO_OFTEN = "their classes are over-represented; they wait for a later batch"
REFUSED = "refused before, and not corrected since"


@dataclass(frozen=True)
class Collected:
    """What was new, and the batch that was made of it; None if there was too little to learn from."""

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
    label is later and different. Where labels came with several keys, none fills more than its share of a batch;
    what goes beyond waits for labels by others. Of over-represented classes only as many are taken as batch.json
    allows. Nothing enters data/ before old and new together have passed what `validate` asks of them; if they do not,
    they are tried again without the labels of the source that is believed least. A refused batch is kept in
    .state/refused with what was found, and what was refused is left out until it is corrected.

    Call it within the training slot: no training may be at work on data/.

    Args:
        since: ignore predictions that were made before; with a time zone.

    Raises:
        ArtifactError: the list of predictions of a batch, or that of refused labels, is damaged.
        DataError: the new labels are not fit to learn from, a data file is missing or damaged, data/ lacks files that
            data.dvc pins, or this clone lacks the batch that another one collected last from the same log.
        LineageError: the project is not in a git repository, or git refuses to look.
        ServiceError: the prediction log or DVC cannot be used.
        SuiteError: a suite is missing or wrong.
    """
    check_repository(project)
    check_whole(project, params)
    with closing(PredictionLog(predictions_url(project))) as log, taking_turns(project, params, log):
        return _collect(project, params, log, since)


def is_learned(project: Project, params: Params) -> bool:
    """Return whether a version in the registry was made from the present data, and decided about.

    One whose registration was interrupted is not: `register` has still to go on with it.

    Raises:
        DataError: data.dvc is missing or damaged.
        ServiceError: MLflow cannot be used.
    """
    decided = (one for one in tracking.list_versions(registry_of(project, params)) if VERDICT in one.tags)
    return versioning.data_version(project) in {version.tags.get(DATA_VERSION) for version in decided}


def _collect(project: Project, params: Params, log: PredictionLog, since: datetime | None) -> Collected:
    data = Dataset(project, params, read_raw(project, params.data), read_batches(project, params.data))
    model = _model(project, params, log)
    labels = _by_source(log.read_labels(params.data.shape, since, model))
    is_known = is_refused(project, params, labels)
    wanted, left_out = find_new(labels[~is_known], data.raw, read_labels(project, data.batches))
    tried = try_labels(data, log, wanted, labels["key"].nunique())
    refused = wanted[wanted["given_by"].isin(list(tried.without))]
    if len(refused):
        remember(project, params, _with_earlier(labels, refused))
    left_out |= _count_refused(project, tried, refused) | _count_beyond(params, tried)
    left_out |= {TOO_OFTEN: tried.left.too_often, REFUSED: int(is_known.sum())}
    left_out = {reason: count for reason, count in left_out.items() if count}
    if tried.accepted:
        collected = _enter_accepted(data, log, tried.accepted, left_out, read_survey(log, model))
        mark_collected(log, _settled(labels, wanted[~wanted["id"].isin(tried.accepted.labelled.ids)]))
        return collected
    # A collection that was killed has left its batch unpinned.
    pin(project)
    mark_collected(log, _settled(labels, wanted))
    if tried.trials:
        raise DataError(_complain(project, tried))
    return Collected(None, tried.images, left_out=left_out)


def _enter_accepted(
    data: Dataset, log: PredictionLog, trial: Trial, left_out: Mapping[str, int], survey: Survey
) -> Collected:
    name, quarantine = trial.name, trial.found.quarantine
    # That they are of this batch goes without saying here.
    own = quarantine[quarantine["split"] == name]
    own = own.assign(reason=own["reason"].str.replace(f" ({name})", "", regex=False))
    pictures = _show_quarantine(data.project, name, trial.labelled, own) if len(own) else None
    _enter(data, log, name, trial.labelled, survey)
    reasons = {str(reason): int(count) for reason, count in own["reason"].value_counts().items()}
    return Collected(name, len(trial.labelled.labels), reasons, pictures, left_out)


def _by_source(labels: pd.DataFrame) -> pd.DataFrame:
    """Name who gave each label: each of several keys is a source; with a single key, it is whom people say they are."""
    return labels.assign(given_by=labels["key"]) if labels["key"].nunique() > 1 else labels


def _count_beyond(params: Params, tried: Trials) -> dict[str, int]:
    """Count the labels that wait because their key has given more than its share, by reason."""
    limit = f"{params.collect.at_most_from_one_source:.0%} of a batch (collect.at_most_from_one_source)"
    return {
        f"{key} gave more than {limit}; the rest wait for labels from others": count
        for key, count in tried.left.beyond.items()
    }


def _count_refused(project: Project, tried: Trials, refused: pd.DataFrame) -> dict[str, int]:
    """Count the labels of each source that were refused, by reason."""
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
        f"corrected (POST /feedback again). To try them again as they are: rm {quote(str(refused_labels(project)))}"
    )


def _model(project: Project, params: Params, log: PredictionLog) -> Model:
    """Return whose labels are collected; the registry is asked only where earlier code did not record it."""
    name, classes = params.register_.name, params.data.classes
    if not log.has_unnamed_labels():
        return Model(name, classes)
    versions = tracking.list_versions(registry_of(project, params))
    known = (ModelVersion(one.number, one.identity, datetime.fromisoformat(one.created)) for one in versions)
    return Model(name, classes, tuple(known))


def _with_earlier(labels: pd.DataFrame, refused: pd.DataFrame) -> pd.DataFrame:
    """Return the refused labels, and what the same sources said of the same images before: it would be tried next."""
    of_them = labels["given_by"].isin(refused["given_by"]) & labels["content_hash"].isin(refused["content_hash"])
    return labels[of_them & (labels["label"] != NO_LABEL)]


def _settled(labels: pd.DataFrame, waiting: pd.DataFrame) -> pd.DataFrame:
    """Return the labels that are done with: they are in a batch, or of no use in one.

    An earlier label of an image waits with the last one, and takes its place if that is refused.
    """
    return labels[~labels["content_hash"].isin(waiting["content_hash"]) & (labels["label"] != NO_LABEL)]


def _show_quarantine(project: Project, name: str, labelled: Labelled, quarantine: pd.DataFrame) -> str:
    shown = project.state / "quarantine" / name
    with atomic_folder(shown) as folder:
        write_quarantine(folder, {name: labelled}, quarantine)
    keep_newest(shown.parent.iterdir(), KEPT)
    return shown.relative_to(project.root).as_posix()


def _enter(data: Dataset, log: PredictionLog, name: str, labelled: Labelled, survey: Survey) -> None:
    """Move a batch into data/batches as a whole, and pin it: what is there is complete, even after a power cut."""
    project = data.project
    with tempfile.TemporaryDirectory(dir=project.state) as folder:
        batch = Path(folder) / name
        batch.mkdir()
        write_batch(batch, data.params.data, labelled, log)
        write_survey(project, batch, survey)
        with changing_data(project):
            project.batches.mkdir(parents=True, exist_ok=True)
            _make_salt(project)
            shutil.rmtree(project.batches / name, ignore_errors=True)
            move_folder(batch, project.batches / name)
            pin(project)


def _make_salt(project: Project) -> None:
    """Draw the salt once for all batches: nobody may be able to choose which images become test images."""
    if not (project.data / SALT).exists():
        write_text(project.data / SALT, f"{secrets.token_hex(SALT_BYTES)}\n")
