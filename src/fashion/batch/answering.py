"""One shard of answers, from its pictures to its file. It runs in a process that need have nothing else in common."""

import math
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fashion.adapters.answers import Columns, readable_text, write_answers
from fashion.adapters.decoding import readable_name
from fashion.adapters.litert import Session, check_classes
from fashion.arrays import Bytes
from fashion.batch.seeing import see_stretch
from fashion.batch.stretches import Stretch
from fashion.evaluation.abstention import Abstention, reasons
from fashion.evaluation.outputs import Outputs
from fashion.images.photos import Form, Seen
from fashion.stages.reference import read_rule

AT_ONCE, PIXELS_AT_ONCE = 64, 4_000_000
"""Images that the model answers at a time: at most so many, and of so many pixels unless one alone has more."""
SHOWN = 3
"""Pictures that were refused that a shard names."""


Picture = tuple[str, Seen | str]
"""A name, with what the model sees of it, or why it cannot."""


@dataclass(frozen=True)
class Kept:
    """Where answers are logged, too."""

    url: str
    identity: str | None
    """Tells versions of the same number apart."""
    begun: datetime
    """When the plan was written: a part of the ids, which are the same if something is tried again."""


@dataclass(frozen=True)
class Asked:
    """What the model says about images (n, height, width, channels)."""

    images: Bytes
    outputs: Outputs
    reasons: list[str | None]
    """Why an answer is not to be relied on."""


@dataclass(frozen=True)
class Model:
    """The version that answers: what a process needs to know of it."""

    file: Path
    name: str
    version: str
    classes: tuple[str, ...]
    form: Form


class _Opened(threading.local):
    """What each thread has opened of its own."""

    model: Model | None = None
    ready: tuple[Session, Abstention | None]
    """What to answer with: the model, and the rule by which it abstains."""


_OPENED = _Opened()


@dataclass(frozen=True)
class Work:
    """A shard that is to be written."""

    target: Path
    source: Path
    stretch: Stretch
    unpacked: Path | None
    """The pixels of its IDX file, if that is compressed."""
    model: Model
    plan: str
    """The digest of the plan that it belongs to."""
    kept: Kept | None = None
    """Where the answers are logged, too, if they are."""


@dataclass(frozen=True)
class Tally:
    """What came of some pictures."""

    pictures: int = 0
    by_class: dict[str, int] = field(default_factory=dict)
    """Answers, those that are not to be relied on included."""
    abstained: dict[str, int] = field(default_factory=dict)
    """Of these, by the reason."""
    refused: int = 0
    first_refused: tuple[str, ...] = ()
    """Names and reasons, the first by name."""

    def plus(self, other: "Tally") -> "Tally":
        """Return the sum, which is the same in whatever order shards are done."""
        return Tally(
            self.pictures + other.pictures,
            dict(sorted((Counter(self.by_class) + Counter(other.by_class)).items())),
            dict(sorted((Counter(self.abstained) + Counter(other.abstained)).items())),
            self.refused + other.refused,
            tuple(sorted((*self.first_refused, *other.first_refused))[:SHOWN]),
        )


def answer_shard(work: Work) -> Tally:
    """Answer the pictures of a shard, and write it, whole or not at all.

    Raises:
        ArtifactError: the model or its reference is damaged.
        DiskError: the disk is full.
        ServiceError: the answers are to be logged, and the log is away.
    """
    columns = Columns()
    # The threads of BLAS only wait for each other here: with two of them the rule takes 0.25 ms an image, else 0.01.
    with threadpool_limits(1):
        for part in _parts(see_stretch(work.source, work.stretch, work.unpacked, work.model.form), work.model.form):
            asked = _ask([one for _, one in part if isinstance(one, Seen)], work.model)
            if work.kept and asked:
                _log(work, work.kept, asked, len(columns.paths))
            _add(part, asked, work.model, columns)
    tally = _count(columns)
    columns.paths = readable_text(columns.paths)
    note = {"plan": work.plan, "classes": work.model.classes, "tally": asdict(tally)}
    write_answers(work.target, columns, work.model.name, work.model.version, note)
    return tally


def _open(model: Model) -> tuple[Session, Abstention | None]:
    """Open the model once in each thread: a worker of a cluster may have several, and only one may use a session."""
    if _OPENED.model != model:
        _OPENED.ready = _load(model)
        _OPENED.model = model
    return _OPENED.ready


def _load(model: Model) -> tuple[Session, Abstention | None]:
    """Return a session of one thread, which is enough where there is a process for each core, and the rule."""
    session = Session(model.file, model.form.shape, threads=1)
    found = session.run(np.zeros((1, *model.form.shape), np.uint8))
    check_classes(model.file, found.probabilities, model.classes, model.version)
    return session, read_rule(model.file.parent)


def _parts(pictures: Iterator[Picture], form: Form) -> Iterator[list[Picture]]:
    """Yield as many pictures at a time as the model answers together."""
    count = max(1, min(AT_ONCE, PIXELS_AT_ONCE // math.prod(form.shape)))
    while part := list(islice(pictures, count)):
        yield part


def _ask(seen: Sequence[Seen], model: Model) -> Asked | None:
    """Return what the model says, None where there is nothing to say."""
    if not seen:
        return None
    session, rule = _open(model)
    images = np.stack([one.image for one in seen])
    outputs = session.run(images)
    return Asked(images, outputs, reasons(rule, images, outputs, [one.cluttered for one in seen]))


def _log(work: Work, kept: Kept, asked: Asked, row: int) -> None:
    from fashion.batch.logged import log_answers  # noqa: PLC0415 - SQLAlchemy, which is seldom needed

    log_answers(asked, work.model, kept, f"{work.plan} {work.target.name} {row}")


def _rows(asked: Asked | None, classes: Sequence[str]) -> Iterator[tuple[str, NDArray[np.float32], str | None]]:
    """Yield the class, the probabilities, and the reason not to rely on it, of each image."""
    if asked:
        named = [classes[number] for number in asked.outputs.predicted]
        yield from zip(named, asked.outputs.probabilities, asked.reasons, strict=True)


def _add(part: Sequence[Picture], asked: Asked | None, model: Model, columns: Columns) -> None:
    """Add the rows of some pictures, in their order."""
    answers = _rows(asked, model.classes)
    for name, one in part:
        answered, probabilities, reason = next(answers) if isinstance(one, Seen) else (None, None, one)
        columns.paths.append(name)
        columns.classes.append(answered)
        columns.probabilities.append(probabilities)
        columns.reasons.append(reason)


def _count(columns: Columns) -> Tally:
    rows = list(zip(columns.paths, columns.classes, columns.reasons, strict=True))
    refused = [f"{readable_name(path)}: {reason}" for path, one, reason in rows if one is None]
    return Tally(
        len(rows),
        dict(Counter(one for _, one, _ in rows if one is not None)),
        dict(Counter(reason for _, one, reason in rows if one is not None and reason is not None)),
        len(refused),
        tuple(sorted(refused)[:SHOWN]),
    )
