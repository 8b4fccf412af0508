"""A zip archive of such a folder; nothing of it is unpacked onto the disk."""

import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from fashion.errors import DataError
from fashion.intake.layout import lay_out
from fashion.intake.sources.source import Item, Source, source_of_files, why_too_large

ENCRYPTED, UTF_8 = 0x1, 0x800
"""Flags of a file in an archive."""


def open_archive(path: Path) -> Source:
    """Look at the list of an archive's files; none is read yet.

    Raises:
        DataError: it is damaged, or a folder in it is neither a split nor a class.
    """
    archive = open_zip(path)  # Kept open: its list of files is long, and would be read again for every few of them.
    members = {path_in_archive(one): one for one in archive.infolist() if not one.is_dir()}
    odd = {name: reason for name, one in members.items() if (reason := why_unusable(one))}
    layout = lay_out((name for name in members if name not in odd), odd)
    sizes = {name: one.file_size for name, one in members.items()}
    return source_of_files(path.resolve().stem, layout, sizes, odd, lambda chosen: _read(archive, members, chosen))


def open_zip(path: Path) -> ZipFile:
    """Open an archive, whose list of files is then in memory.

    Raises:
        DataError: it is damaged.
    """
    try:
        return ZipFile(path)
    except (BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise DataError(f"{path} is not a zip archive that can be read ({error}); make it anew") from error


def path_in_archive(member: ZipInfo) -> PurePosixPath:
    """Return where a file is in the archive; its name goes nowhere else, so `..` and a leading slash do no harm."""
    parts = [part for part in _name(member).replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return PurePosixPath(*parts)


def _name(member: ZipInfo) -> str:
    """Return the name of a file: macOS writes UTF-8 without saying so, and it is then read as code page 437."""
    try:
        return member.filename if member.flag_bits & UTF_8 else member.filename.encode("cp437").decode()
    except UnicodeError:
        return member.filename


def why_unusable(member: ZipInfo) -> str | None:
    """Return why a file of an archive is not read; None if it is."""
    if stat.S_ISLNK(member.external_attr >> 16):
        return "a link, which is not followed"
    if member.flag_bits & ENCRYPTED:
        return "it is encrypted"
    return why_too_large(member.file_size)


def read_member(archive: ZipFile, member: ZipInfo) -> bytes | DataError:
    """Return a file of an archive, or why it cannot be read."""
    try:
        # Not more than the archive claims, whatever it unpacks to.
        with archive.open(member) as file:
            return file.read(member.file_size)
    except Exception as error:  # noqa: BLE001 - zipfile raises whatever the damage triggers, zlib.error among it
        return DataError(f"damaged in the archive ({error})")


def _read(
    archive: ZipFile, members: Mapping[PurePosixPath, ZipInfo], items: Sequence[Item]
) -> Iterator[bytes | DataError]:
    for item in items:
        yield read_member(archive, members[PurePosixPath(item.name)])
