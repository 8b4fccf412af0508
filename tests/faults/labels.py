"""What should become of labels, in plain Python: the model that test_labels_machine.py holds the real thing against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

TICK = timedelta(microseconds=1)


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
class Label:
    """That somebody gave; `number` is its place among all labels."""

    number: int
    prediction: str
    image: bytes
    name: str
    time: datetime


@dataclass
class Expected:
    """One project, and its part of the log."""

    classes: tuple[str, ...]
    published: frozenset[bytes]
    """Images of the dataset itself, of which nothing can be learned once more."""
    predictions: dict[str, bytes] = field(default_factory=dict)
    """The images of those in the log, by id."""
    labels: dict[str, Label] = field(default_factory=dict)
    """The newest of each prediction in the log."""
    held: Mapping[bytes, Label] = field(default_factory=dict)
    """By image, the label by which it stands in data/."""
    settled: set[int] = field(default_factory=set)
    """Numbers of labels of which nothing more is wanted."""

    @property
    def names(self) -> dict[bytes, str]:
        return {image: label.name for image, label in self.held.items()}

    @property
    def waiting(self) -> set[str]:
        """Predictions that no retention may remove: they have a label that is in no batch."""
        return {label.prediction for label in self.labels.values() if label.number not in self.settled}

    def wanted(self) -> list[Label]:
        """The last label of every image, if it says something new, in the order in which they came."""
        known = sorted(self._known(), key=lambda label: label.number)
        last = {label.image: label for label in known}
        return [label for label in known if last[label.image] is label and self._is_new(label)]

    def collect(self, at_least: int, at_most: int) -> list[Label]:
        """What the next batch holds; nothing where there is too little."""
        wanted = self.wanted()
        chosen = wanted[-at_most:] if len(wanted) >= at_least else []
        left = wanted if not chosen else wanted[:-at_most]
        self.settled |= {label.number for label in self._known()} - {label.number for label in left}
        self.held = {**self.held, **{label.image: self._after_the_known(label) for label in chosen}}
        return chosen

    def forget(self, remaining: Sequence[str]) -> set[str]:
        """Forget all predictions but these; the ids of the others."""
        gone = set(self.predictions) - set(remaining)
        for prediction in gone:
            del self.predictions[prediction]
            self.labels.pop(prediction, None)
        return gone

    def _known(self) -> list[Label]:
        return [label for label in self.labels.values() if label.name in self.classes]

    def _is_new(self, label: Label) -> bool:
        if label.image in self.published:
            return False
        held = self.held.get(label.image)
        if held is None:
            return True
        return label.name != held.name and (label.prediction == held.prediction or label.time > held.time)

    def _after_the_known(self, label: Label) -> Label:
        """A correction counts as later than what it corrects, even if a clock went back."""
        held = self.held.get(label.image)
        time = label.time if held is None else max(label.time, held.time + TICK)
        return Label(label.number, label.prediction, label.image, label.name, time)
