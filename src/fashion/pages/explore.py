"""The page about the data, and the page about the pictures that the service received."""

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion.adapters.documents import render
from fashion.adapters.plots_exploration import class_style
from fashion.adapters.predictions import PredictionLog, Window
from fashion.arrays import Bytes, LabelledImages
from fashion.errors import DataError
from fashion.images.copies import ALIKE
from fashion.images.descriptors import describe_dataset
from fashion.images.montage import in_rows
from fashion.images.parts import Parts, shrink
from fashion.pages import exploration_pictures as pictures
from fashion.pages import exploration_words as words
from fashion.pages.exploration import Explored, OnStep, Set, Subject, count_labels, explore_images, sets_of
from fashion.pages.exploration_state import made_from
from fashion.pages.links import FIGURES, PAGE
from fashion.pages.prepared import read_splits
from fashion.pages.quarantined import Quarantine, read_quarantine, take_images
from fashion.pages.sent import Sent, choose_sent
from fashion.params import Params
from fashion.paths import Project
from fashion.registry.champion import find_champion, identify
from fashion.settings import predictions_url
from fashion.stages.raw import read_batches, read_raw
from fashion.stages.reference import read_descriptors, read_reference
from fashion.storage import atomic_folder, write_json, write_text

ROOM = "fashion.pages"
ACROSS = 5
"""Sample images side by side."""
SHARES_SHOWN = 40
"""Classes whose shares are compared in the table."""
LABELLED, PREDICTED = "labelled differently", "predicted to be of another class"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class About:
    """What else a page tells: of the dataset what the stages found, of a window what the log has."""

    quarantine: Quarantine | None = None
    unprepared: str | None = None
    """Why the splits that `prepare` makes are not compared, and what to type."""
    window: Window | None = None
    sent: tuple[Sent, ...] = ()


def explore(project: Project, params: Params, window: bool = False, on_step: OnStep | None = None) -> Path:
    """Write a page about the dataset, with its pictures beside it, and return the page's path.

    Args:
        window: about the newest pictures that the service received instead, at most `monitor.largest_window`.
        on_step: is told how many steps are done, of how many.

    Raises:
        DataError: a data file is missing or damaged; or, for a window, the service has received no picture.
        ArtifactError: what `validate` or `prepare` left, or the reference of the champion, is damaged.
        ServiceError: for a window, there is no champion, or the log's database is away.
    """
    if window:
        return _explore_window(project, params, on_step)
    origin = made_from(project, params)
    splits = read_raw(project, params.data) | read_batches(project, params.data)
    parts = Parts(splits)
    quarantine = read_quarantine(project, parts, origin["files"])
    table = describe_dataset(splits)
    prepared = read_splits(project, params, origin["files"], table)
    subject = Subject(parts, words.name_part(parts), table, params.data.classes, splits=prepared.sets)
    explored = explore_images(subject, on_step)
    with atomic_folder(project.exploration) as folder:
        _write(folder, subject, explored, About(quarantine=quarantine, unprepared=prepared.missing))
        write_json(folder / FIGURES, {"made_from": origin, "figures": _figures(explored)})
    return project.exploration / PAGE


def _explore_window(project: Project, params: Params, on_step: OnStep | None) -> Path:
    found = find_champion(project, params)
    if found.trouble:
        logger.warning("Using the last known champion, version %s: %s", found.champion.version, found.trouble)
    folder, classes = found.champion.model.parent, found.champion.classes
    reference, descriptors = read_reference(folder), read_descriptors(folder)
    with closing(PredictionLog(predictions_url(project))) as log:
        seen = log.read_window(limit=params.monitor.largest_window, version=identify(params, found))
        sent = choose_sent(log, seen)
    if not len(seen):
        raise DataError(
            f"The service has received no picture for version {found.champion.version} yet, so there is nothing to "
            "show. To see the images of the dataset, type: fashion explore"
        )
    known = Set("reference", descriptors, count_labels(reference.predicted.astype(np.int64), classes))
    parts = Parts({"window": LabelledImages(seen.images, seen.predicted)})
    subject = Subject(parts, {"pictures": ("window",)}, seen.descriptors, classes, known)
    explored = explore_images(subject, on_step)
    with atomic_folder(project.exploration_of_window) as target:
        _write(target, subject, explored, About(window=seen, sent=sent))
    return project.exploration_of_window / PAGE


def _write(folder: Path, subject: Subject, explored: Explored, about: About) -> None:
    """Write the page and its pictures into the existing `folder`."""
    quarantine, window = about.quarantine, about.window
    pictures.draw_pictures(folder, subject, explored)
    if quarantine and quarantine.examples:
        bad = take_images(quarantine, subject.parts, pictures.SMALL)
        pictures.write_image(folder / pictures.QUARANTINED, in_rows([bad], len(bad)))
    content = render(
        ROOM,
        "explore.html",
        title="The pictures that the service got" if window else "The data explored",
        subject=subject,
        explored=explored,
        **vars(about),
        differently=PREDICTED if window else LABELLED,
        sets=sets_of(subject),
        styles=class_style(len(subject.classes)),
        cards=list(_cards(subject, explored)),
        channels=pictures.CHANNELS[subject.parts.shape[2]],
        words=words,
        alike=ALIKE,
        shares_shown=SHARES_SHOWN,
        label=lambda position: _name_label(subject, position),
        pictures=pictures,
        shown=lambda name: (folder / name).read_bytes(),
        take=lambda position: subject.parts.take_small(np.array([position]), pictures.SMALL)[0],
    )
    write_text(folder / PAGE, content)


def _cards(subject: Subject, explored: Explored) -> Iterator[dict[str, Any]]:
    """Yield what is shown of each class: its images, what they have in common, and how many there are."""
    sets = [one for one in sets_of(subject) if one is not subject.known]
    for number, (name, positions) in enumerate(zip(subject.classes, explored.samples, strict=True)):
        found = explored.statistics.means[number], explored.statistics.deviations[number]
        yield {
            "number": number,
            "name": name,
            "counts": [
                (one.name, int(one.counts[number]), one.counts[number] / max(one.counts.sum(), 1)) for one in sets
            ],
            "samples": _strip(subject, positions) if len(positions) else None,
            "together": [shrink(image[None], pictures.SMALL)[0] for image in found] if len(positions) else [],
        }


def _name_label(subject: Subject, position: int) -> str:
    label = int(subject.parts.labels[position])
    return subject.classes[label] if label < len(subject.classes) else f"label {label}, which is no class"


def _strip(subject: Subject, positions: NDArray[np.int64]) -> Bytes:
    images = subject.parts.take_small(positions, pictures.SMALL)
    return in_rows([images[start : start + ACROSS] for start in range(0, len(images), ACROSS)], ACROSS)


def _figures(explored: Explored) -> dict[str, Any]:
    """Return what was measured, without the images."""
    copies = {name: asdict(found) for name, found in (("exact", explored.exact), ("near", explored.near))}
    return {
        "classes": explored.statistics.counts.sum(axis=1).tolist(),
        "embedded": len(explored.embedded),
        "neighbours_of_one_label": explored.embedding.agreement,
        "variance_between_classes": dict(explored.by_class),
        **{f"{name}_copies": found for name, found in copies.items()},
        "comparisons": [
            {
                "one": comparison.one.name,
                "other": comparison.other.name,
                "descriptors": [asdict(row) for row in comparison.descriptors],
                "shares": [asdict(row) for row in comparison.shares],
            }
            for comparison in explored.comparisons
        ],
    }
