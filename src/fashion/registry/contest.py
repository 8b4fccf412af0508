"""Candidate and champion answer the same images, in the form in which they are served, and are compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fashion.adapters import litert
from fashion.arrays import Booleans, Bytes, LabelledImages
from fashion.errors import ArtifactError, DataError
from fashion.evaluation.class_names import align_columns, find_shared
from fashion.evaluation.judgement import CALIBRATION, Comparison, Evidence, compare
from fashion.evaluation.paired import (
    MISTAKES_AT_LEAST,
    calibration_difference,
    count_pairs,
    exact_difference,
    latency_difference,
)
from fashion.evaluation.robustness import OnCopies, answer_copies, copies_difference, slice_differences
from fashion.evaluation.survey import NOBODY_ASKED, Survey
from fashion.images.slices import WORDS
from fashion.params import Params
from fashion.paths import Project
from fashion.stages.dataset import RECENT, has_recent, load_split, read_prepared
from fashion.stages.robustness import MADE_BY, find_members, read_slices

TEST = "test"
UNCALIBRATED = f"{CALIBRATION} (one of the two makes fewer than {MISTAKES_AT_LEAST} mistakes)"


@dataclass(frozen=True)
class Task:
    """What the models answer."""

    classes: tuple[str, ...]
    """Those of the candidate, in the order of the labels."""
    splits: Mapping[str, LabelledImages]
    """The frozen test set and, if there is one, the recent one."""
    slices: Mapping[str, Booleans]
    """Which images of the frozen test set belong to each declared slice, (n,)."""
    unjudged: tuple[str, ...] = ()
    """Declared slices that cannot be judged, with the reason, in words."""
    survey: Survey = NOBODY_ASKED

    @property
    def frozen(self) -> "Task":
        """The same without the recent test set."""
        return replace(self, splits={TEST: self.splits[TEST]})


@dataclass(frozen=True)
class Contestant:
    """A LiteRT model, the form in which a champion answers, and what it answered."""

    name: str
    """What to call it in a sentence: version 3."""
    model: Path
    classes: tuple[str, ...]
    """Those that it knows, in its own order."""
    probabilities: Mapping[str, NDArray[np.float32]]
    """(n, columns), by test set: the candidate's classes first, then those that only this model knows."""
    copies: OnCopies
    """On corrupted copies of the frozen test set."""


def set_task(project: Project, params: Params) -> Task:
    """Return what the models have to answer.

    Raises:
        ArtifactError: the dataset is missing or damaged, or robustness.json is damaged.
    """
    splits = {name: load_split(project, name) for name in (TEST, *([RECENT] if has_recent(project) else []))}
    slices, unjudged = _find_slices(project, splits[TEST], params.register_.judgement.slices)
    return Task(params.data.classes, splits, slices, unjudged, _read_survey(project))


def let_answer(name: str, model: Path, classes: tuple[str, ...], task: Task) -> Contestant:
    """Let a model answer; its classes are matched with the candidate's by their names.

    Raises:
        ArtifactError: the model cannot be run, or answers what is no probability of these classes.
    """

    def predict(images: Bytes) -> NDArray[np.float32]:
        return align_columns(_predict(model, images, len(classes)), classes, task.classes)

    return Contestant(
        name,
        model,
        classes,
        probabilities={key: predict(split.images) for key, split in task.splits.items()},
        copies=answer_copies(lambda images: predict(images).argmax(axis=1), task.splits[TEST]),
    )


def gather(task: Task, ours: Contestant, theirs: Contestant, params: Params) -> Evidence:
    """Compare the candidate with the champion in everything that the rule asks for.

    Raises:
        DataError: no test image is of a class that both know.
    """
    shared = find_shared(ours.classes, theirs.classes)
    task, ours, theirs = _on_shared_classes(task, ours, theirs)
    confidence, bins = params.register_.judgement.confidence, params.evaluate.calibration_bins
    test, models = task.splits[TEST], [ours.model, theirs.model]
    candidate, champion = (one.probabilities[TEST] for one in (ours, theirs))
    sizes = [model.stat().st_size for model in models]
    times = litert.latencies(models, test.images[:1])
    calibration = calibration_difference(test.labels, candidate, champion, bins, confidence)
    return Evidence(
        test=_compare_frozen(task, ours, theirs, params),
        calibration_error=calibration,
        size=exact_difference(sizes[0], sizes[1]),
        latency=latency_difference(times[0], times[1], confidence),
        recent=_compare(RECENT, task, ours, theirs, params) if RECENT in task.splits else None,
        survey=task.survey,
        unjudged=task.unjudged if calibration.measured else (*task.unjudged, UNCALIBRATED),
        classes=shared,
    )


def compare_frozen(task: Task, ours: Contestant, theirs: Contestant, params: Params) -> Comparison:
    """Compare the candidate with another version on the frozen test set, its corrupted copies, and its slices.

    Raises:
        DataError: as `gather`.
    """
    return _compare_frozen(*_on_shared_classes(task, ours, theirs), params)


def _compare_frozen(task: Task, ours: Contestant, theirs: Contestant, params: Params) -> Comparison:
    confidence = params.register_.judgement.confidence
    candidate_correct, opponent_correct = (_correct(TEST, task, one) for one in (ours, theirs))
    return replace(
        _compare(TEST, task, ours, theirs, params),
        corrupted=copies_difference(ours.copies, theirs.copies, confidence) if ours.copies.values.size else None,
        slices=slice_differences(task.slices, candidate_correct, opponent_correct, confidence),
    )


def _on_shared_classes(task: Task, ours: Contestant, theirs: Contestant) -> tuple[Task, Contestant, Contestant]:
    """Keep the images whose class both models know; all of them where the candidate has no class of its own."""
    shared = find_shared(ours.classes, theirs.classes)
    if not shared.new:
        return task, ours, theirs
    known = np.array([name in theirs.classes for name in task.classes])
    kept = {key: known[split.labels] for key, split in task.splits.items()}
    if not kept[TEST].any():
        raise DataError(f"no test image is of a class that {theirs.name} knows")
    narrowed = replace(
        task,
        splits={
            key: LabelledImages(split.images[kept[key]], split.labels[kept[key]])
            for key, split in task.splits.items()
            if kept[key].any()
        },
        slices={name: chosen[kept[TEST]] for name, chosen in task.slices.items()},
        unjudged=(*task.unjudged, *_emptied(task, kept[TEST])),
    )
    return narrowed, _narrow(ours, kept), _narrow(theirs, kept)


def _emptied(task: Task, kept: Booleans) -> Iterator[str]:
    """Yield the slices, in words, that lose all their images."""
    for name, chosen in task.slices.items():
        if chosen.any() and not chosen[kept].any():
            yield f"{WORDS[name]} (all of classes that only the candidate knows)"


def _narrow(one: Contestant, kept: Mapping[str, Booleans]) -> Contestant:
    probabilities = {key: found[kept[key]] for key, found in one.probabilities.items()}
    return replace(one, probabilities=probabilities, copies=one.copies.among(kept[TEST]))


def _compare(key: str, task: Task, ours: Contestant, theirs: Contestant, params: Params) -> Comparison:
    candidate_correct, opponent_correct = (_correct(key, task, one) for one in (ours, theirs))
    pairs = count_pairs(task.splits[key].labels, candidate_correct, opponent_correct, len(params.data.classes))
    return compare(theirs.name, pairs, params.data.classes, params.register_.judgement.confidence)


def _correct(key: str, task: Task, one: Contestant) -> Booleans:
    return np.asarray(one.probabilities[key].argmax(axis=1) == task.splits[key].labels)


def _predict(model: Path, images: Bytes, classes: int) -> NDArray[np.float32]:
    """Return probabilities (n, classes). Raises ArtifactError if the model cannot be run, or they are none."""
    found: NDArray[np.float32] = litert.predict(model, images).probabilities.astype(np.float32, copy=False)
    if found.shape[1] != classes:
        raise ArtifactError(f"{model}: expected probabilities of {classes} classes, found {found.shape[1]}")
    if not np.isfinite(found).all():
        raise ArtifactError(f"{model}: expected probabilities, found numbers that are not finite")
    return found


def _find_slices(
    project: Project, test: LabelledImages, declared: Sequence[str]
) -> tuple[dict[str, Booleans], tuple[str, ...]]:
    """Return the members of the declared slices, and which cannot be judged."""
    slices = read_slices(project)
    if slices is None:
        why = f"artifacts/evaluation was made before slices were measured; measure them with: {MADE_BY}"
        return {}, (f"accuracy on slices, since {why}",) if declared else ()
    members = find_members(slices, test)
    unknown = [WORDS[name] for name in declared if name not in members]
    empty = [WORDS[name] for name in declared if name in members and not members[name].any()]
    unjudged = [
        *([f"{', '.join(unknown)} (not told apart in images of this form)"] if unknown else []),
        *([f"{', '.join(empty)} (the test set has none)"] if empty else []),
    ]
    return {name: members[name] for name in declared if name in members}, tuple(unjudged)


def _read_survey(project: Project) -> Survey:
    """Return what `prepare` says of the labels that were asked for. Datasets of earlier code hold none that were."""
    survey = read_prepared(project).get("survey")
    return Survey(**survey) if survey else NOBODY_ASKED
