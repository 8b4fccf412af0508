"""What every kind of source has: items that can be read as often as needed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fashion.errors import DataError


@dataclass(frozen=True)
class Item:
    """One picture of a source, unread."""

    name: str
    """What it is called in the source: it goes into the shard, and messages say it."""
    label: str
    """The name of its class."""
    split: str | None = None
    """`train`, `validation` or `test`, if the source says."""
    group: str | None = None
    """Of pictures that belong together, if the source says."""
    size: int = 0
    """Bytes."""


@dataclass(frozen=True)
class Source:
    """Where pictures come from."""

    name: str
    """Of the dataset, unless the user gives it another."""
    items: Sequence[Item]
    read: Callable[[Sequence[Item]], Iterator["bytes | DataError"]]
    """Yields each item's picture file, or why there is none, in their order."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Pictures that cannot be used, by name, and why."""
    passed_over: Sequence[str] = ()
    """Files that are no pictures."""
    classes: tuple[str, ...] | None = None
    """In their order, if the source says; perhaps some without a picture."""
