"""The plan of a run: which pictures stand in which shard of answers. A run that goes on has the same plan again.

It is a file of JSON lines beside the answers: first what answers, and what; then a line for each shard. Neither whoever
writes it nor whoever reads it holds more than one line.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from fashion.adapters.decoding import readable_name
from fashion.batch.sources import Search
from fashion.batch.stretches import Images, Stretch, from_dict, to_dict
from fashion.errors import ArtifactError, DataError
from fashion.stages.formats.maps import unnamed_file
from fashion.storage import atomic_file, file_digest

PLAN = "_plan.jsonl"
"""Readers of Parquet folders pass over names that begin so."""
SHARDS = "answers-*-of-*.parquet"
FORMAT = 1


@dataclass(frozen=True)
class Header:
    """What answers, and what is answered; two runs that differ in it do not share a folder."""

    source: str
    model: str
    version: str
    identity: str
    """Tells versions of the same number apart."""
    pictures_a_shard: int
    logged: bool
    """Whether the answers go into the prediction log, too."""
    size: int
    """Bytes of the source, if it is a file."""
    changed: int
    """When it was changed last, in nanoseconds, if it is a file."""
    format: int = FORMAT


@dataclass(frozen=True)
class Plan:
    """A plan that stands in the folder of the answers."""

    path: Path
    digest: str
    shards: int
    pictures: int
    passed_over: Mapping[str, int]
    """How many files are no pictures, by the end of their names."""
    compressed: tuple[str, ...]
    """IDX files that are to be unpacked: their places in the source."""

    def stretches(self) -> Iterator[Stretch]:
        """Yield what each shard is about."""
        with self.path.open(encoding="utf-8") as lines:
            next(lines)
            for line in lines:
                yield from_dict(json.loads(line))


def make_plan(output: Path, header: Header) -> Plan:
    """Look through the source and write the plan, or find that the one that is there is the same.

    Raises:
        DataError: the source is missing, empty or damaged, or the answers in this folder are to something else.
        DiskError: the disk is full.
    """
    path = output / PLAN
    search = Search(Path(header.source), header.pictures_a_shard)
    with unnamed_file(output) as file:
        counts = _write(file, header, search.stretches())
        if not counts.shards:
            raise DataError(_nothing(search))
        same = path.exists() and file_digest(path) == counts.digest.hexdigest()
        if not same and _is_begun(output):
            raise DataError(_differs(path, header))
        # The same one stays the same file: the time at which it was written is a part of the ids of logged answers.
        if not same:
            with atomic_file(path) as temporary, temporary.open("wb") as copy:
                file.seek(0)
                shutil.copyfileobj(file, copy)
    return Plan(
        path=path,
        digest=counts.digest.hexdigest(),
        shards=counts.shards,
        pictures=counts.pictures,
        passed_over=dict(search.passed_over),
        compressed=tuple(counts.compressed),
    )


def _is_begun(output: Path) -> bool:
    """Return whether there are answers to a plan; one without answers binds nobody."""
    return (output / PLAN).exists() and any(output.glob(SHARDS))


@dataclass
class _Counts:
    shards: int = 0
    pictures: int = 0
    compressed: dict[str, None] = field(default_factory=dict)
    """In their order."""
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)


def _write(file: BinaryIO, header: Header, stretches: Iterable[Stretch]) -> _Counts:
    counts = _Counts()
    _write_line(file, counts, asdict(header))
    for stretch in stretches:
        _write_line(file, counts, to_dict(stretch))
        counts.shards += 1
        counts.pictures += len(stretch)
        if isinstance(stretch, Images) and stretch.compressed:
            counts.compressed[stretch.file] = None
    return counts


def _write_line(file: BinaryIO, counts: _Counts, content: Mapping[str, Any]) -> None:
    line = json.dumps(content).encode() + b"\n"
    file.write(line)
    counts.digest.update(line)


def _nothing(search: Search) -> str:
    others = passed_over(search.passed_over)
    return f"{search.source} has no pictures{others}; expected PNG, JPEG, WebP, GIF or BMP files, at any depth"


def passed_over(counts: Mapping[str, int]) -> str:
    """Return the files that are no pictures as a part of a sentence; nothing if there are none."""
    if not counts:
        return ""
    most = Counter(counts).most_common(3)
    kinds = ", ".join(f"{count:,} {readable_name(kind) or 'without an ending'}" for kind, count in most)
    count = sum(counts.values())
    return f", and {count:,} {'file that is not a picture' if count == 1 else 'files that are not pictures'} ({kinds})"


def _differs(path: Path, header: Header) -> str:
    """Say what is not as it was when the answers in this folder were begun, and what to do."""
    found, expected = _read_header(path), asdict(header)
    words = {
        "source": "they answer {found}, not {expected}",
        "model": "they are answers of the model {found}, and the project's is {expected}",
        "version": "they are answers of version {found}, and the champion is version {expected}",
        "identity": "they are answers of another version {version}, from a registry that no longer exists",
        "logged": "they were begun with another choice of --log",
        "pictures_a_shard": "their shards have {found} pictures, not {expected}",
    }
    differing = [name for name in words if found.get(name) != expected[name]]
    what = "the files of the source have changed since they were begun"
    if differing:
        name = differing[0]
        what = words[name].format(found=found.get(name), expected=expected[name], version=header.version)
    return (
        f"{path.parent} holds other answers: {what}. Nothing was changed. Name another folder with --output, or remove "
        "this one"
    )


def _read_header(path: Path) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8") as lines:
            content = json.loads(next(lines, "null"))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} is damaged; name another folder with --output, or remove {path.parent}")
    return content
