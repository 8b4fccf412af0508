"""Which of the new labels become a batch: those that the suites accept, without the sources that spoil the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from fashion.adapters.plots import contact_sheet, legible
from fashion.adapters.predictions import Labelled, PredictionLog, read_pictures
from fashion.adapters.quality import required_mix
from fashion.arrays import LabelledImages
from fashion.errors import DataError
from fashion.images.mix import Mix, choose_balanced
from fashion.images.sources import within_shares
from fashion.loop.blame import is_to_blame, least_believed
from fashion.params import CollectParams, DataParams, Params
from fashion.paths import Project
from fashion.stages.batches import USED
from fashion.stages.formats import format_of
from fashion.stages.validate import Examined, examine, explain, write_quarantine
from fashion.stages.validation_pages import write_docs
from fashion.storage import atomic_folder, keep_newest, write_text

SHOWN = 64
KEPT = 20
"""Refused batches, and quarantines of batches, that are kept to be looked at."""
MOST_TRIALS = 5
"""Each takes half a minute on a large dataset."""


@dataclass(frozen=True)
class Trial:
    """A batch that could be made, and what the suites say of the data with it."""

    name: str
    labelled: Labelled
    found: Examined
    refused: Path | None
    """Where it is kept if it was refused."""


@dataclass(frozen=True)
class Trials:
    """The batches that were tried one after the other, each without one more source."""

    trials: tuple[Trial, ...]
    without: Mapping[str, Path]
    """The sources that were left out, and where the batch is kept that was refused because of each."""
    images: int
    """In the batch that was accepted, or that would be tried next if they were enough."""
    left: "Left"
    """What a later batch may take."""

    @property
    def accepted(self) -> Trial | None:
        return next((one for one in self.trials if one.refused is None), None)


@dataclass(frozen=True)
class Left:
    """Labels that wait for others."""

    too_often: int
    """Of classes that come too often."""
    beyond: Mapping[str, int]
    """By the name of the key: what was given with it beyond its share of a batch."""


@dataclass(frozen=True)
class Dataset:
    """What a batch is added to."""

    project: Project
    params: Params
    raw: Mapping[str, LabelledImages]
    batches: Mapping[str, LabelledImages]


def try_labels(data: Dataset, log: PredictionLog, wanted: pd.DataFrame, keys: int) -> Trials:
    """Try the newest labels: from no key more than its share, of over-represented classes no more than are allowed.

    While they are refused, they are tried again without the source that is believed least, as long as enough is left.

    Args:
        wanted: rows of `read_labels` of the log, those that came last at the end.
        keys: how many keys labels have come with, these or others.

    Raises:
        DataError: the data are not fit without the new labels either.
    """
    params, mix = data.params, required_mix(data.project.expectations / "batch.json")
    trials: list[Trial] = []
    without: dict[str, Path] = {}
    while True:
        rest = wanted[~wanted["given_by"].isin(list(without))]
        chosen, left = choose(params.collect, rest, mix, keys)
        labelled = log.read_labelled(chosen, params.data.shape)
        images = len(labelled.labels)
        if images < params.collect.at_least:
            return Trials(tuple(trials), without, images, left)
        trial = _examine(data, log, labelled)
        trials.append(trial)
        if trial.refused is None:
            return Trials(tuple(trials), without, images, left)
        sources = list(chosen.set_index("id")["given_by"].loc[list(labelled.ids)])
        spoiling = sources if len(trials) == MOST_TRIALS else [least_believed(trial.found, trial.name, sources)]
        without |= dict.fromkeys(spoiling, trial.refused)


def choose(params: CollectParams, rest: pd.DataFrame, mix: Mix | None, keys: int) -> tuple[pd.DataFrame, Left]:
    """Return the rows that may form a batch: the newest that keep to the shares of the keys and to the mix of classes.

    What one rule leaves out may break the other, so both are applied until they leave out nothing more.
    """
    most, chosen, too_often, beyond = params.at_most, rest, 0, []
    while True:
        shared = _within_shares(params, chosen, keys)
        if len(shared) < min(len(chosen), most):
            beyond.append(chosen["key"].drop(shared.index))
        # Too few wait for others, and with those the mix will be another.
        if mix is None or len(shared) < params.at_least:
            balanced = shared.tail(most)
        else:
            balanced = shared.iloc[choose_balanced(shared["label"].to_numpy(), mix, most)]
        too_often += min(len(shared), most) - len(balanced)
        if len(balanced) == len(chosen):
            waiting = pd.concat(beyond).value_counts(sort=False) if beyond else {}
            return balanced, Left(too_often, {str(key): int(count) for key, count in waiting.items()})
        chosen = balanced


def _within_shares(params: CollectParams, rows: pd.DataFrame, keys: int) -> pd.DataFrame:
    share = params.at_most_from_one_source
    if keys == 1 or share == 1:
        return rows
    return rows[within_shares(rows["key"].to_numpy(np.str_), keys, share, params.at_most)]


def _examine(data: Dataset, log: PredictionLog, labelled: Labelled) -> Trial:
    """Hold a new batch, with all that is there, against the suites, as `validate` will."""
    project, name = data.project, _name(labelled)
    project.state.mkdir(exist_ok=True)
    batches = {**data.batches, name: labelled}
    found = examine(project, data.params, data.raw, batches)
    if found.summary.success:
        return Trial(name, labelled, found, None)
    if not is_to_blame(found, name):
        raise DataError(
            f"The data in {project.data} are not fit to learn from, with the new labels or without them:\n"
            f"{explain(found)}\nNothing was changed, and the labels are tried again next time."
        )
    return Trial(name, labelled, found, _keep_refused(data, log, name, labelled, found))


def _keep_refused(data: Dataset, log: PredictionLog, name: str, labelled: Labelled, found: Examined) -> Path:
    kept = data.project.state / "refused" / name
    quarantine = found.quarantine[found.quarantine["split"] == name]
    with atomic_folder(kept) as folder:
        write_batch(folder, data.params.data, labelled, log)
        findings = [finding for finding in found.findings if finding.part == name]
        write_docs(folder / "docs", f"{len(labelled.labels):,} images with new labels, refused.", findings, fit=False)
        write_text(folder / "summary.txt", f"{explain(found)}\n")
        write_quarantine(folder, {name: labelled}, quarantine)
        shown = np.random.default_rng(0).permutation(len(labelled.labels))[:SHOWN]
        names = legible(data.params.data.classes)
        captions = [names[label] for label in labelled.labels[shown]]
        contact_sheet(labelled.images[shown], captions, folder / "sample.png", f"Some of {name}, with their labels")
    keep_newest(kept.parent.iterdir(), KEPT)
    return kept


def write_batch(folder: Path, params: DataParams, labelled: Labelled, log: PredictionLog) -> None:
    """Write the files of a batch into the existing `folder`, in the format of the dataset.

    Raises:
        ServiceError: the log, which has the pictures as they were sent, is away.
    """
    format_of(params).write_batch(params, folder, labelled, read_pictures(log, labelled.ids.tolist()))
    times = np.datetime_as_string(labelled.times, unit="ms", timezone="UTC")
    labelled_at = np.datetime_as_string(labelled.labelled, unit="us", timezone="UTC")
    table = pd.DataFrame({"id": labelled.ids, "time": times, "labelled": labelled_at, "asked": labelled.asked})
    write_text(folder / USED, table.to_csv(index=False))


def _name(labelled: Labelled) -> str:
    """Return the time of the newest prediction and a digest of images and labels with their times.

    The same labels make a batch of the same name. Labels that were corrected, and then corrected back, do not: theirs
    must not replace the batch in which they first came.
    """
    digest = sha256(labelled.images.tobytes() + labelled.labels.tobytes() + labelled.labelled.tobytes()).hexdigest()
    newest = labelled.times.max().astype("datetime64[s]").item()
    return f"{newest:%Y-%m-%dT%H%M%S}-{digest[:8]}"
