"""The pictures of a stretch, one after the other, as the champion sees them."""

import io
import threading
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from zipfile import ZipFile

from fashion.adapters.decoding import check_size, read_picture, readable_name
from fashion.adapters.shards import NO_BYTES, Stored, end_of_group, read_from
from fashion.arrays import Bytes
from fashion.batch.idx import map_images
from fashion.batch.stretches import Files, Images, Members, Rows, Stretch
from fashion.errors import DataError
from fashion.images.encoding import encode_png
from fashion.images.photos import Form, Seen, see
from fashion.intake.sources import Item, reason_of
from fashion.intake.sources.archive import open_zip, read_member
from fashion.intake.sources.folder import read_files

Content = bytes | Bytes | DataError
"""A picture file, the pixels of an image, or why there is neither."""


class _Reading(threading.local):
    """Up to where each thread has read a shard: rows of one group can only be read from its start."""

    shard: tuple[Path, str, int, int] | None = None
    """Its path, its name, its size, and when it was changed."""
    row: int
    """The next."""
    pictures: Iterator[Stored]
    """From that row on."""


_READING = _Reading()


def see_stretch(source: Path, stretch: Stretch, unpacked: Path | None, form: Form) -> Iterator[tuple[str, Seen | str]]:
    """Yield the name of each picture with what the model sees of it, or why it cannot.

    Args:
        unpacked: the pixels of a compressed IDX file.
    """
    is_dataset = isinstance(stretch, Rows | Images)
    for name, content in _read(source, stretch, unpacked):
        try:
            yield name, _see(content, name, form, is_dataset)
        except DataError as error:
            yield name, reason_of(error, name)


def _see(content: Content, name: str, form: Form, is_dataset: bool) -> Seen:
    """Return what the model sees.

    In the files of a dataset, an image in its form is one, as it is for training: it is not isolated once more.
    """
    if isinstance(content, DataError):
        raise content
    needed = max(form.size)
    pixels = content if not isinstance(content, bytes) else read_picture(io.BytesIO(content), name, needed).pixels
    if is_dataset and pixels.reshape(*pixels.shape[:2], -1).shape == form.shape:
        return Seen(pixels.reshape(form.shape), cluttered=False)
    if not isinstance(content, bytes):
        check_size(pixels.shape[1], pixels.shape[0], name)
        # Its edges may be too long, as a file's.
        pixels = read_picture(io.BytesIO(encode_png(content)), name, needed).pixels
    return see(pixels, form)


def _read(source: Path, stretch: Stretch, unpacked: Path | None) -> Iterator[tuple[str, Content]]:
    if isinstance(stretch, Files):
        yield from _read_files(source, stretch)
    elif isinstance(stretch, Members):
        yield from _read_members(source, stretch)
    elif isinstance(stretch, Rows):
        yield from _read_rows(source, stretch)
    else:
        yield from _read_images(source, stretch, unpacked)


def _read_files(folder: Path, stretch: Files) -> Iterator[tuple[str, Content]]:
    for one in stretch.pictures:
        if one.refused:
            yield one.name, DataError(one.refused)
        else:
            (content,) = read_files(folder, [Item(one.name, label="")])
            yield one.name, content


def _read_members(path: Path, stretch: Members) -> Iterator[tuple[str, Content]]:
    archive = _open_zip(path, path.stat().st_mtime_ns)
    for one in stretch.pictures:
        yield one.name, DataError(one.refused) if one.refused else read_member(archive, archive.infolist()[one.place])


@lru_cache(maxsize=1)
def _open_zip(path: Path, _changed: int) -> ZipFile:
    """Open an archive once in each process, unless it was changed: its list of files is long."""
    return open_zip(path)


def _read_rows(source: Path, stretch: Rows) -> Iterator[tuple[str, Content]]:
    """Yield the pictures of a shard; if it is damaged from one place on, yield that for all that follow."""
    file = stretch.file or source.name
    names = (f"{file}[{row}]" for row in range(stretch.start, stretch.end))
    try:
        for stored in _read_stretch(source / stretch.file, readable_name(file), stretch):
            yield next(names), DataError(NO_BYTES) if stored.content is None else stored.content
    except DataError as error:
        for name in names:
            yield name, error


def _read_stretch(path: Path, name: str, stretch: Rows) -> Iterator[Stored]:
    """Yield the pictures of a stretch; it goes on where the last one ended, if that is in the same group of rows."""
    shard = (path, name, stretch.size, stretch.changed)
    known, _READING.shard = _READING.shard, None  # Nothing goes on from what ends with an error.
    if known != shard or not _READING.row <= stretch.start < end_of_group(path, name, _READING.row):
        _READING.row, _READING.pictures = stretch.start, read_from(path, name, stretch.start)
    pictures = _READING.pictures
    yield from islice(pictures, stretch.start - _READING.row, stretch.end - _READING.row)
    _READING.shard, _READING.row, _READING.pictures = shard, stretch.end, pictures


def _read_images(source: Path, stretch: Images, unpacked: Path | None) -> Iterator[tuple[str, Content]]:
    images = map_images(unpacked or source / stretch.file, stretch.shape, unpacked is not None)
    for row in range(stretch.start, stretch.end):
        yield f"{stretch.file or source.name}[{row}]", images[row]
