"""What readers and writers of shards agree on."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

METADATA = b"huggingface"
"""The key in the schema's metadata under which `datasets` keeps the features, with the names of the classes."""
ROWS_AT_ONCE, BYTES_AT_ONCE = 100, 8 << 20
"""In a row group, and in memory while a shard is read: at most so many pictures, as `datasets` writes them, and of so
many bytes unless one alone has more."""

Picture = TypeVar("Picture")


def in_parts(pictures: Iterable[Picture], size: Callable[[Picture], int]) -> Iterator[list[Picture]]:
    """Yield pictures in their order, as many at a time as may be in memory.

    Args:
        size: returns the bytes of a picture.
    """
    part: list[Picture] = []
    total = 0
    for picture in pictures:
        if part and (len(part) == ROWS_AT_ONCE or total + size(picture) > BYTES_AT_ONCE):
            yield part
            part, total = [], 0
        part.append(picture)
        total += size(picture)
    if part:
        yield part
