"""What one shard of answers is about: a stretch of a source. It says where pictures are, and holds none of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Listed:
    """A picture of a folder or an archive."""

    name: str
    """In it."""
    refused: str | None = None
    """Why it is not read, as far as can be said without reading it."""
    size: int = 0
    """Bytes."""
    changed: int = 0
    """When it was changed last, in nanoseconds; 0 in an archive, which has a time of its own."""
    place: int = 0
    """Among the files of an archive."""


@dataclass(frozen=True)
class Listing:
    """Some picture files."""

    pictures: Sequence[Listed]

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True)
class Files(Listing):
    """Picture files of a folder."""


@dataclass(frozen=True)
class Members(Listing):
    """Picture files of an archive."""


@dataclass(frozen=True)
class Part:
    """Some of the pictures of a file that holds many."""

    file: str
    """Its place in the source; empty if it is the source."""
    start: int
    end: int
    """The first picture that is not among them."""
    size: int
    """Bytes of the file."""
    changed: int
    """When it was changed last, in nanoseconds."""

    def __len__(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Rows(Part):
    """Rows of a Parquet shard."""


@dataclass(frozen=True)
class Images(Part):
    """Images of an IDX file."""

    shape: Sequence[int]
    """Of all that are in the file: (n, height, width) or (n, height, width, channels)."""
    compressed: bool


Stretch = Files | Members | Rows | Images
KINDS = {kind.__name__: kind for kind in (Files, Members, Rows, Images)}


def to_dict(stretch: Stretch) -> dict[str, Any]:
    """Return what becomes a line of the plan."""
    return {"kind": type(stretch).__name__, **asdict(stretch)}


def from_dict(content: Mapping[str, Any]) -> Stretch:
    """Return what `to_dict` was given."""
    values = dict(content)
    kind = KINDS[values.pop("kind")]
    if "pictures" in values:
        values["pictures"] = [Listed(**one) for one in values["pictures"]]
    stretch: Stretch = kind(**values)
    return stretch
