"""What is measured for a page about images: of the dataset, or of those that the service received."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fashion.images.class_statistics import ClassStatistics, choose_samples, explained_by_class, measure_classes
from fashion.images.copies_found import Copies, find_exact, gather_near
from fashion.images.descriptors import watched
from fashion.images.differences import Difference, compare_descriptors, compare_shares
from fashion.images.embedding import Embedding, embed
from fashion.images.near_copies import prepare_search
from fashion.images.parts import Parts, sample

EMBEDDED = 5000
"""Images in the plane, at random."""
EMBEDDED_EDGE = 32
"""Pixels of the longer edge; larger images are reduced to that."""
SAMPLES, FEWEST_SAMPLES, MOST_SAMPLES = 640, 3, 10
"""Images shown of all classes together, and of each."""
STEPS = 4
"""Of which the progress is told."""
MOST_WORKERS = 4
"""Each takes up to 100 MB."""

OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class Set:
    """Images that are compared with others: only what describes them is needed."""

    name: str
    table: pd.DataFrame
    """Their descriptors, one row for each."""
    counts: NDArray[np.int64]
    """Images of each class, (classes,)."""


@dataclass(frozen=True)
class Subject:
    """What a page is about."""

    parts: Parts
    names: Mapping[str, tuple[str, ...]]
    """Under which name which parts are shown together; the first part is what the others are compared with."""
    table: pd.DataFrame
    """The descriptors of all images, in their order."""
    classes: tuple[str, ...]
    known: Set | None = None
    """What to compare with, where that is not the first part: its images are not there, only their descriptors."""
    splits: tuple[Set, ...] = ()
    """Those that `prepare` has made, the training split first: compared with each other in place of train and test."""

    @property
    def columns(self) -> list[str]:
        return watched(self.table)

    def positions(self, name: str) -> NDArray[np.int64]:
        """Return the positions of the images that are shown together under a name."""
        numbers = [number for number, part in enumerate(self.parts.parts) if part in self.names[name]]
        return np.flatnonzero(np.isin(self.parts.of, numbers))

    def say_where(self, position: int) -> str:
        """Return the part that an image belongs to and its position there, from 0."""
        number = int(self.parts.of[position])
        return f"{list(self.parts.parts)[number]} {position - self.parts.starts[number]}"


@dataclass(frozen=True)
class Comparison:
    """How one set of images differs from the one that it is compared with."""

    one: Set
    other: Set
    descriptors: tuple[Difference, ...]
    shares: tuple[Difference, ...]


@dataclass(frozen=True)
class Explored:
    """Everything that was measured."""

    statistics: ClassStatistics
    samples: tuple[NDArray[np.int64], ...]
    """For each class the positions of some images."""
    embedded: NDArray[np.int64]
    """The positions of the images in the plane."""
    embedding: Embedding
    exact: Copies
    near: Copies
    comparisons: tuple[Comparison, ...]
    by_class: Mapping[str, float]
    """For each descriptor the share of its variance that lies between the classes, the largest first."""
    unknown_labels: int
    """Images whose label is no class."""


def explore_images(subject: Subject, on_step: OnStep | None = None) -> Explored:
    """Measure everything; two things at a time, each of them on one core."""
    parts, contents = subject.parts, list(subject.table["content_hash"])
    tell = on_step or (lambda _, __: None)
    workers = min(MOST_WORKERS, max(2, os.cpu_count() or 1))
    # The libraries' own threads wait for each other in loops: on a busy machine that takes several times as long.
    with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:
        embedded = sample(len(parts), EMBEDDED)
        small = parts.take_small(embedded, EMBEDDED_EDGE)
        plane = pool.submit(embed, small, parts.labels[embedded])
        statistics = measure_classes(parts, len(subject.classes))
        tell(1, STEPS)
        search = prepare_search(parts, pool.map)
        tell(2, STEPS)
        near = gather_near(parts, pool.map(search.find, search.tiles()), contents, len(search.order))
        tell(3, STEPS)
        embedding = plane.result()
    tell(4, STEPS)
    each = int(np.clip(SAMPLES // len(subject.classes), FEWEST_SAMPLES, MOST_SAMPLES))
    scores = {name: explained_by_class(subject.table[name], parts.labels) for name in subject.columns}
    return Explored(
        statistics=statistics,
        samples=tuple(choose_samples(parts.labels, len(subject.classes), each)),
        embedded=embedded,
        embedding=embedding,
        exact=find_exact(parts, contents),
        near=near,
        comparisons=tuple(_compare(subject)),
        by_class=dict(sorted(scores.items(), key=lambda item: -item[1])),
        unknown_labels=int((parts.labels >= len(subject.classes)).sum()),
    )


def sets_of(subject: Subject) -> list[Set]:
    """Return the sets that are compared, first the one with which the others are compared."""
    mine = [_describe(subject, name) for name in subject.names]
    return [subject.known, *mine] if subject.known else mine


def compared_sets(subject: Subject) -> list[list[Set]]:
    """Return what is compared with each other, in groups: with the first of a group its others are compared."""
    sets = sets_of(subject)
    if not subject.splits:
        return [sets]
    collected = sets[2:]  # Behind the training and the test images.
    return [list(subject.splits), *([[sets[0], *collected]] if collected else [])]


def _describe(subject: Subject, name: str) -> Set:
    positions = subject.positions(name)
    return Set(name, subject.table.iloc[positions], count_labels(subject.parts.labels[positions], subject.classes))


def count_labels(labels: NDArray[np.int64], classes: Sequence[str]) -> NDArray[np.int64]:
    """Return how many images each class has; labels of no class are left out."""
    return np.bincount(labels[labels < len(classes)], minlength=len(classes))


def _compare(subject: Subject) -> list[Comparison]:
    return [
        Comparison(
            one,
            other,
            tuple(compare_descriptors(one.table, other.table, subject.columns)),
            tuple(compare_shares(one.counts, other.counts, subject.classes)),
        )
        for one, *others in compared_sets(subject)
        for other in others
        if min(one.counts.sum(), other.counts.sum()) > 0
    ]
