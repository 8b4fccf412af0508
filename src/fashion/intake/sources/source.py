"""What every kind of source has: items that can be read as often as needed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from fashion.adapters.decoding import MOST_BYTES, readable_name
from fashion.errors import DataError
from fashion.intake.layout import Layout


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
class Refused:
    """What cannot be used."""

    reason: str
    label: str | None
    """The name of its class, where that is known."""


Reader = Callable[[Sequence[Item]], Iterator[bytes | DataError]]


@dataclass(frozen=True)
class Source:
    """Where pictures come from."""

    name: str
    """Of the dataset, unless the user gives it another."""
    items: Sequence[Item]
    read: Reader
    """Yields each item's picture file, or why there is none, in their order; few are in memory at a time."""
    refused: Mapping[str, Refused] = field(default_factory=dict)
    """Pictures that cannot be used, by name."""
    passed_over: Sequence[str] = ()
    """Files that are no pictures."""
    classes: tuple[str, ...] | None = None
    """In their order, if the source says; perhaps some without a picture."""


def unusable_class(label: str, name: str, reason: str) -> DataError:
    """Return the error about a class of whose pictures none can be used, by the first of them."""
    return DataError(
        f"None of the pictures of {label!r} can be used. The first: {name}: {reason}. "
        "Replace them, or leave the class out with --skip"
    )


def why_too_large(size: int) -> str | None:
    """Return why a picture file of so many bytes is not read; None if it is."""
    return f"has more than {MOST_BYTES:,} bytes; reduce its size" if size > MOST_BYTES else None


def reason_of(error: DataError, name: str) -> str:
    """Return the message of an error about a picture, without the picture's name at its beginning."""
    return str(error).removeprefix(f"{readable_name(name)}: ").removeprefix(f"{name}: ")


def source_of_files(
    name: str, layout: Layout, sizes: Mapping[PurePosixPath, int], unusable: Mapping[PurePosixPath, str], read: Reader
) -> Source:
    """Return the source of files that lie in folders.

    Args:
        sizes: bytes of each picture.
        unusable: what else cannot be used, besides what the layout refuses, and why; pictures may be among it.
    """
    refused = {**layout.refused, **unusable}
    return Source(
        name,
        [
            Item(str(path), place.label, place.split, size=sizes[path])
            for path, place in layout.places.items()
            if path not in unusable
        ],
        read,
        {readable_name(str(path)): Refused(reason, layout.label(path)) for path, reason in refused.items()},
        [readable_name(str(path)) for path in layout.passed_over],
    )
