"""What should become of labels, in plain Python: the model that test_labels_machine.py holds the real thing against."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import dropwhile, groupby
from math import log

from fashion.evaluation.survey import Survey

TICK = timedelta(microseconds=1)
CARELESS = "a careless one"
"""Who labels blank images, and nothing else."""


class Clock:
    """A clock that a test moves; it goes on by a millisecond each time that somebody looks."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def look(self) -> datetime:
        self.time += timedelta(milliseconds=1)
        return self.time

    def time_ns(self) -> int:
        return int(self.look().timestamp() * 1000) * 1_000_000

    def as_datetime(self) -> type[datetime]:
        """The class `datetime` as it would be by this clock."""
        return type("datetime", (datetime,), {"now": staticmethod(lambda zone: self.look())})


@dataclass(frozen=True)
class Prediction:
    image: bytes
    asked: bool
    """Whether its label was asked for at random."""


@dataclass(frozen=True)
class Label:
    """That somebody gave; `number` is its place among all labels."""

    number: int
    prediction: str
    image: bytes
    name: str
    given_by: str
    time: datetime


@dataclass(frozen=True)
class Limits:
    """By which `collect` chooses."""

    at_least: int
    at_most: int
    divergence: float
    """Of the labels of a batch from equally many of each class."""
    quarantined: float
    """The share of blank images, of all images."""


@dataclass(frozen=True)
class Came:
    """When an image came into the data for the first time."""

    batch: int
    asked: bool


@dataclass(frozen=True)
class Data:
    """What data/ holds beside the published images."""

    held: Mapping[bytes, Label] = field(default_factory=dict)
    """By image, the label that counts."""
    came: Mapping[bytes, Came] = field(default_factory=dict)
    """By image, in the order in which they came."""
    images: int = 0
    """Of all batches; one that was corrected is in several."""
    blank: int = 0
    """Of those."""
    batches: int = 0
    survey: Survey = field(default_factory=lambda: Survey(0, 0))


@dataclass(frozen=True)
class Collected:
    batch: Sequence[Label]
    """Nothing where there is too little."""
    refused: Sequence[Label]


@dataclass
class Expected:
    """One project, and its part of the log."""

    classes: tuple[str, ...]
    published: frozenset[bytes]
    """Images of the dataset itself, of which nothing can be learned once more."""
    blank: frozenset[bytes]
    """Images that are never learned from."""
    limits: Limits
    predictions: dict[str, Prediction] = field(default_factory=dict)
    """Those in the log, by id, in the order in which they arrived."""
    requests: dict[str, bool] = field(default_factory=dict)
    """By id, in the order of arrival, every prediction whose label was requested: whether it was removed with one."""
    labels: dict[str, Label] = field(default_factory=dict)
    """The newest of each prediction in the log."""
    data: Data = field(default_factory=Data)
    settled: set[int] = field(default_factory=set)
    """Numbers of labels of which nothing more is wanted."""
    refused: set[int] = field(default_factory=set)
    """Numbers of labels that were refused by the rules that hold."""

    @property
    def waiting(self) -> set[str]:
        """Predictions that no retention may remove: they have a label that is in no batch."""
        return {label.prediction for label in self.labels.values() if label.number not in self.settled}

    @property
    def survey(self) -> Survey:
        """How many labels were asked for, and how many have come, from the oldest in the log to the newest that has."""
        requests = dropwhile(lambda one: one not in self.predictions, self.requests)
        answered = [self.requests[one] or one in self.labels for one in requests]
        while answered and not answered[-1]:
            answered.pop()
        return Survey(len(answered), sum(answered))

    def wanted(self) -> list[Label]:
        """The last label of every image, if it says something new, in the order in which they came."""
        valid = self._valid()
        last = {label.image: label for label in valid}
        return [label for label in valid if last[label.image] is label and self._is_new(label)]

    def wanted_names(self) -> dict[bytes, str]:
        return {label.image: label.name for label in self.wanted()}

    def collect(self) -> Collected:
        """Make the next batch; without the labels of the careless one if those would spoil the data."""
        wanted, refused = self.wanted(), list[Label]()
        batch = self._choose(wanted)
        if batch and self._has_too_many_blank(batch):
            refused = [label for label in wanted if label.given_by == CARELESS]
            batch = self._choose([label for label in wanted if label.given_by != CARELESS])
        waiting = {label.image for label in wanted if label not in batch}
        self.settled |= {label.number for label in self._known() if label.image not in waiting}
        if batch:
            self._enter(sorted(batch, key=lambda label: label.prediction))
        refused_images = {label.image for label in refused}
        again = [label for label in self._known() if label.given_by == CARELESS and label.image in refused_images]
        self.refused |= {label.number for label in again}
        return Collected(batch, refused)

    def divide(
        self, groups: Mapping[bytes, int], is_held_out: Callable[[bytes], bool]
    ) -> tuple[dict[bytes, str], dict[bytes, str]]:
        """The names by which images are learned, and those by which they are tested on.

        Args:
            groups: the number of each image's group of near copies.
        """
        fit = [image for image in self.data.came if image not in self.blank]
        learned, tested = dict[bytes, str](), dict[bytes, str]()
        for _, group in groupby(sorted(fit, key=groups.__getitem__), groups.__getitem__):
            images = list(group)
            first = self.data.came[images[0]].batch
            was_asked = any(came.asked for came in map(self.data.came.__getitem__, images) if came.batch == first)
            apart = was_asked and is_held_out(images[0])
            for image in images:
                if not apart:
                    learned[image] = self.data.held[image].name
                elif self.data.came[image].asked:
                    tested[image] = self.data.held[image].name
        return learned, tested

    def arrive(self, predictions: Mapping[str, Prediction]) -> None:
        self.predictions |= predictions
        self.requests |= {one: False for one, prediction in predictions.items() if prediction.asked}

    def forget(self, remaining: Sequence[str]) -> set[str]:
        """Forget all predictions but these; the ids of the others."""
        gone = set(self.predictions) - set(remaining)
        for prediction in gone:
            if self.predictions.pop(prediction).asked:
                self.requests[prediction] = prediction in self.labels
            self.labels.pop(prediction, None)
        return gone

    def _known(self) -> list[Label]:
        known = (label for label in self.labels.values() if label.name in self.classes)
        return sorted(known, key=lambda label: label.number)

    def _valid(self) -> list[Label]:
        return [label for label in self._known() if label.number not in self.refused]

    def _is_new(self, label: Label) -> bool:
        if label.image in self.published:
            return False
        held = self.data.held.get(label.image)
        if held is None:
            return True
        return label.name != held.name and (label.prediction == held.prediction or label.time > held.time)

    def _choose(self, wanted: Sequence[Label]) -> list[Label]:
        """The newest, of classes that come too often fewer; nothing where there is too little."""
        most = self.limits.at_most
        choices = [wanted[-most:], *(_with_at_most(wanted, share) for share in range(most, -1, -1))]
        chosen = next(one for one in choices if len(one) <= most and self._is_balanced(one))
        return list(chosen) if len(chosen) >= self.limits.at_least else []

    def _is_balanced(self, labels: Sequence[Label]) -> bool:
        shares = [count / len(labels) for count in Counter(label.name for label in labels).values()]
        return sum(share * log(share * len(self.classes)) for share in shares) <= self.limits.divergence

    def _has_too_many_blank(self, batch: Sequence[Label]) -> bool:
        blank = self.data.blank + sum(label.image in self.blank for label in batch)
        return blank > self.limits.quarantined * (len(self.published) + self.data.images + len(batch))

    def _enter(self, batch: Sequence[Label]) -> None:
        data, number = self.data, self.data.batches + 1
        asked = {label.image for label in self._valid() if self.predictions[label.prediction].asked}
        new = {label.image: Came(number, label.image in asked) for label in batch if label.image not in data.came}
        self.data = Data(
            held={**data.held, **{label.image: self._after_the_known(label) for label in batch}},
            came={**data.came, **new},
            images=data.images + len(batch),
            blank=data.blank + sum(label.image in self.blank for label in batch),
            batches=number,
            survey=self.survey,
        )

    def _after_the_known(self, label: Label) -> Label:
        """A correction counts as later than what it corrects, even if a clock went back."""
        held = self.data.held.get(label.image)
        time = label.time if held is None else max(label.time, held.time + TICK)
        return Label(label.number, label.prediction, label.image, label.name, label.given_by, time)


def _with_at_most(labels: Sequence[Label], count: int) -> list[Label]:
    """Of each class the last ones."""
    names = [label.name for label in labels]
    return [label for place, label in enumerate(labels) if names[place + 1 :].count(label.name) < count]
