"""What a source has to answer, stretch by stretch: a folder searched below, an archive, an IDX file, Parquet shards.

A source is never in memory, not even the list of its pictures, but for the names in one folder; of an archive, Python
holds the list of its files.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar
from zipfile import ZipFile

from fashion.adapters.decoding import readable_name
from fashion.adapters.shards import column_names, count_pictures
from fashion.batch.idx import is_compressed, is_idx, read_shape
from fashion.batch.stretches import Files, Images, Listed, Members, Rows, Stretch
from fashion.errors import DataError
from fashion.intake.layout import READ, is_leftover, why_unreadable
from fashion.intake.sources import why_too_large
from fashion.intake.sources.archive import open_zip, path_in_archive, why_unusable
from fashion.intake.sources.folder import Entry, walk

KINDS = "a folder, a zip archive, an IDX file or a Parquet file of pictures"

P = TypeVar("P", Rows, Images)


@dataclass
class Search:
    """A source as it is searched, once."""

    source: Path
    at_once: int
    """Pictures in a stretch, at most."""
    passed_over: Counter[str] = field(default_factory=Counter)
    """How many files are no pictures, by the end of their names."""

    def stretches(self) -> Iterator[Stretch]:
        """Yield everything that is to be answered, in an order that is the same each time.

        Raises:
            DataError: the source, or a file in it that holds many pictures, is damaged or of another kind.
        """
        if self.source.is_dir():
            yield from self._folder()
        elif self.source.suffix.lower() == ".zip":
            yield from self._archive()
        elif self.source.suffix.lower() == ".parquet":
            yield from self._rows("")
        elif self.source.is_file() and is_idx(self.source):
            yield from self._images("")
        else:
            raise DataError(f"{self.source}: expected {KINDS}; without --output it may be a picture")

    def _folder(self) -> Iterator[Stretch]:
        waiting: list[Listed] = []
        for entry in walk(self.source):
            if is_leftover(entry.path) or self._is_unpacked_beside(entry):
                continue
            if self._holds_pictures(entry):
                yield from self._rows(str(entry.path))
            elif _is_named_like_idx(entry):
                yield from self._images(str(entry.path))
            elif listed := self._listed(entry):
                waiting.append(listed)
            if len(waiting) == self.at_once:
                yield Files(waiting)
                waiting = []
        if waiting:
            yield Files(waiting)

    def _holds_pictures(self, entry: Entry) -> bool:
        """Return whether something is a Parquet file with pictures in it."""
        if entry.odd or entry.path.suffix.lower() != ".parquet":
            return False
        return "image" in column_names(self.source / entry.path, readable_name(str(entry.path)))

    def _is_unpacked_beside(self, entry: Entry) -> bool:
        """Return whether a compressed file is there plain, too, as after `gunzip --keep`; 7-Zip writes `.idx`."""
        plain = self.source / entry.path.with_suffix("")
        names = {plain.name, plain.name.replace("-idx", ".idx")}
        return (
            _is_named_like_idx(entry)
            and entry.path.suffix == ".gz"
            and any(_is_plain_file(plain.with_name(name)) for name in names)
        )

    def _listed(self, entry: Entry) -> Listed | None:
        """Return a picture, one that cannot be read, or what is no file; None for what is passed over."""
        name, kind = str(entry.path), entry.path.suffix.lower()
        reason = entry.odd or why_unreadable(entry.path)
        if kind not in READ and not reason:
            self.passed_over[kind] += 1
            return None
        return Listed(name, reason or why_too_large(entry.size), entry.size, entry.changed)

    def _archive(self) -> Iterator[Members]:
        with open_zip(self.source) as archive:
            members = self._members(archive)
            while pictures := list(islice(members, self.at_once)):
                yield Members(pictures)

    def _members(self, archive: ZipFile) -> Iterator[Listed]:
        for place, member in enumerate(archive.infolist()):
            path = path_in_archive(member)
            if member.is_dir() or is_leftover(path):
                continue
            kind, unreadable = path.suffix.lower(), why_unreadable(path)
            if kind not in READ and not unreadable:
                self.passed_over[kind] += 1
                continue
            yield Listed(str(path), why_unusable(member) or unreadable, member.file_size, place=place)

    def _rows(self, file: str) -> Iterator[Rows]:
        count = count_pictures(self.source / file, self._name(file))
        return self._parts(file, count, Rows)

    def _images(self, file: str) -> Iterator[Images]:
        path = self.source / file
        shape = read_shape(path, self._name(file))
        return self._parts(file, shape[0], partial(Images, shape=shape, compressed=is_compressed(path)))

    def _parts(self, file: str, count: int, make: Callable[[str, int, int, int, int], P]) -> Iterator[P]:
        found = (self.source / file).stat()
        for start in range(0, count, self.at_once):
            yield make(file, start, min(start + self.at_once, count), found.st_size, found.st_mtime_ns)

    def _name(self, file: str) -> str:
        return readable_name(file or self.source.name)


def _is_plain_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_named_like_idx(entry: Entry) -> bool:
    """Return whether a file is one of images of an MNIST-like dataset; names alone tell them from labels."""
    return not entry.odd and "images" in entry.path.name and "ubyte" in entry.path.name
