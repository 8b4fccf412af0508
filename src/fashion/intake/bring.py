"""An import: a source is looked at, what follows from it is derived, and all of it is written at once."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fashion.adapters.decoding import readable_name
from fashion.adapters.shards import Row, write_shards
from fashion.arrays import LabelledImages
from fashion.errors import DataError, DiskError, ParamsError
from fashion.evaluation.class_names import NO_CLASSES, SharedClasses, find_shared
from fashion.images.assignment import LEFT_OUT, SPLITS
from fashion.images.photos import form_of
from fashion.intake import switch
from fashion.intake.arrange import FEWEST_GROUPS, Arranged, arrange
from fashion.intake.dealt import Former, read_former
from fashion.intake.derived import edited
from fashion.intake.findings import Found, find
from fashion.intake.layout import check_classes
from fashion.intake.parameters import (
    ALWAYS,
    RECIPE_NOTE,
    Dataset,
    choose_values,
    derive_parameters,
    read_values,
    write_values,
)
from fashion.intake.record import RECORD, Record, read_record
from fashion.intake.scan import Progress, Scanned, digest_of, scan
from fashion.intake.sources import Source, unusable_class
from fashion.intake.suite_files import by_key, read_suite, write_suites
from fashion.intake.suites import Measured, derive_suites, fit_counts, measure
from fashion.params import DataFile, Params, load_params
from fashion.paths import PARAMS, Project
from fashion.stages.formats.maps import map_rows
from fashion.stages.raw import SALT
from fashion.storage import file_digest, write_text

SPARE = 64 << 20
"""Bytes of the disk that an import leaves free."""


@dataclass(frozen=True)
class Wanted:
    """What the user asks for."""

    source: Source
    name: str
    size: tuple[int, int] | None


@dataclass(frozen=True)
class Plan:
    """An import that has not been written."""

    wanted: Wanted
    scanned: Scanned
    arranged: Arranged
    found: Found
    measured: Measured
    record: Record | None
    """What was derived last, for this dataset or for another one."""
    known: Record | None
    """The same, if it was for this very dataset and that is still there."""
    classes: SharedClasses
    """How the classes of a dataset that is known have changed."""
    batches: bool
    """Whether the batches of collected images stay."""
    lost_batches: int
    """How many there are that do not."""
    kept: tuple[str, ...]
    """What a person has edited since, which stays."""
    learned: tuple[str, ...]
    """As in the record."""


def plan(project: Project, params: Params, wanted: Wanted, progress: Progress) -> Plan:
    """Look at every picture, and return what an import would do; nothing is written.

    Raises:
        DataError: the source cannot be used.
        ArtifactError: the pictures of the former import of this dataset are missing, or others.
        DiskError: the disk is too small.
    """
    source = wanted.source
    check_classes(item.label for item in source.items)
    record = read_record(project.root)
    known = record if record and record.name == wanted.name and _is_there(record, params) else None
    _check_room(project, sum(item.size for item in source.items))
    form = form_of(params.data) if known else None
    to_deal = all(item.split != "test" for item in source.items)
    former = read_former(project, params.data, known.learned) if known and to_deal else Former()
    scanned = scan(project, source, form, wanted.size, progress)
    _check_usable(source, scanned)
    arranged = arrange(scanned, params.data.classes if known else (), source.classes, former, params.prepare.seed)
    found = find(source, scanned, arranged)
    _check_room(project, found.disk)
    # New classes come last, so that the labels of the batches keep their meaning, unless one has disappeared.
    classes = find_shared(arranged.classes, params.data.classes) if known else NO_CLASSES
    same = arranged.classes[: len(params.data.classes)] == params.data.classes
    batches = bool(known) and same and scanned.form == form
    lost = 0 if batches or not project.batches.exists() else len(list(project.batches.iterdir()))
    measured, kept = _measure(project, scanned, arranged), tuple(_edited(project, known))
    learned = _learned(known, former, scanned, arranged)
    return Plan(wanted, scanned, arranged, found, measured, record, known, classes, batches, lost, kept, learned)


def carry_out(project: Project, params: Params, made: Plan) -> None:
    """Write what was planned, in the place of the dataset that is there; call it within the training slot.

    Raises:
        DataError: a picture has changed since it was looked at; nothing has changed then.
        DiskError: the disk is full; likewise.
        ServiceError: DVC cannot pin the data.
    """
    with switch.staging(project) as stage:
        files = _write_data(stage / "data", made)
        for kept in (project.start, project.backbones):  # What trainings start from, whatever they are trained on.
            if kept.exists():
                shutil.copytree(kept, stage / "data" / kept.name)
        if made.batches and project.batches.exists():
            shutil.copytree(project.batches, stage / "data" / project.batches.name)
        if made.known and (project.data / SALT).exists():  # Without its batches, their labels may be collected again.
            shutil.copy(project.data / SALT, stage / "data" / SALT)
        dataset = Dataset(made.wanted.name, made.scanned.form, made.arranged, made.measured, files)
        _write_words(project, params, made, dataset, stage)
        switch.switch(project, stage)


def _check_room(project: Project, needed: int) -> None:
    free = shutil.disk_usage(project.root).free
    if needed + SPARE > free:
        raise DiskError(
            f"The disk is too small: the import needs {needed:,} bytes in {project.root}, and {free:,} are free. Free "
            "some space (df -h shows which disk is full), then type the same command again"
        )


def _check_usable(source: Source, scanned: Scanned) -> None:
    there = {item.label for item in scanned.items}
    for item in source.items:
        if item.label not in there:
            name = readable_name(item.name)
            raise unusable_class(item.label, name, scanned.refused[name])


def _is_there(record: Record, params: Params) -> bool:
    """Return whether params.yaml names the import, or a file of it; not where git took it back and left import.json."""
    shards = [file.model_dump() for file in params.data.shards]
    named = bool(shards) and params.register_.name == record.params.get("register.name")
    return named or any(shard in record.params.get("data.shards", ()) for shard in shards)


def _edited(project: Project, known: Record | None) -> Iterator[str]:
    if not known:
        return
    text = project.params.read_text(encoding="utf-8")
    names = edited(known.params, read_values(text, known.params))
    yield from (f"params.yaml: {name}" for name in names if name not in ALWAYS)
    for suite, expectations in known.suites.items():
        present = by_key(read_suite(project, suite)["expectations"])
        yield from (f"expectations/{suite}.json: {name}" for name in edited(by_key(expectations), present))


def _learned(known: Record | None, former: Former, scanned: Scanned, arranged: Arranged) -> tuple[str, ...]:
    """Return the digests of files that were for training and are in no split, now or since an earlier import."""
    splits = dict(zip((one.digest for one in scanned.looked), arranged.splits, strict=True))
    left_out = {digest for digest, split in splits.items() if split == LEFT_OUT}
    found = {digest for digest in left_out if former.dealt.get(digest, "test") != "test"}
    before = {bytes.fromhex(digest) for digest in known.learned} if known else set()
    return tuple(sorted(digest.hex() for digest in found | (before - (splits.keys() - left_out))))


def _write_data(folder: Path, made: Plan) -> list[DataFile]:
    folder.mkdir()
    paths = [
        path for split in SPLITS for path in write_shards(folder, split, _rows(made, split), made.arranged.classes)
    ]
    return [DataFile(name=path.name, sha256=file_digest(path)) for path in paths]


def _rows(made: Plan, split: str) -> Iterator[Row]:
    arranged, groups = made.arranged, made.arranged.group_names()
    positions = arranged.rows(split).tolist()
    for place, content in zip(positions, _read_again(made, positions), strict=True):
        path = readable_name(made.scanned.items[place].name)
        yield Row(content, int(arranged.labels[place]), path, groups[place], split)


def _read_again(made: Plan, positions: Sequence[int]) -> Iterator[bytes]:
    items = [made.scanned.items[place] for place in positions]
    for place, item, content in zip(positions, items, made.wanted.source.read(items), strict=True):
        if isinstance(content, DataError) or digest_of(content) != made.scanned.looked[place].digest:
            raise DataError(
                f"{readable_name(item.name)} has changed since it was looked at; nothing was written. Type the same "
                "command again"
            )
        yield content


def _measure(project: Project, scanned: Scanned, arranged: Arranged) -> Measured:
    train, test = (
        LabelledImages(map_rows(project.state, scanned.images, rows), arranged.labels[rows].astype(np.uint8))
        for rows in (arranged.learned, arranged.rows("test"))
    )
    measured = measure(train, test, len(arranged.classes))
    if rare := [name for name, fit in zip(arranged.classes, fit_counts(measured), strict=True) if fit < FEWEST_GROUPS]:
        raise DataError(
            f"Too few training pictures of {', '.join(map(repr, rare))} besides copies and blank ones; add some, or "
            "leave the class out with --skip"
        )
    return measured


def _write_words(project: Project, params: Params, made: Plan, dataset: Dataset, stage: Path) -> None:
    name, form, before = made.wanted.name, made.scanned.form, made.record
    values = derive_parameters(dataset, params.evaluate.calibration_bins)
    text = project.params.read_text(encoding="utf-8")
    chosen = choose_values(before.params if before else {}, made.known is not None, text, values)
    height, width = form.size
    note = RECIPE_NOTE.format(f"{len(made.arranged.learned):,}", height, width)
    write_text(stage / PARAMS, write_values(text, chosen, {f"train.recipes.{name}": note}))
    _check_params(stage / PARAMS)
    origin = f"{made.wanted.source.name} ({made.found.images:,} pictures)"
    suites = derive_suites(dataset.measured, origin)
    write_suites(project, made.known.suites if made.known else {}, suites, stage)
    write_text(stage / RECORD, Record(name, made.wanted.source.name, values, suites, made.learned).to_json())


def _check_params(path: Path) -> None:
    try:
        load_params(path)
    except ParamsError as error:
        raise ParamsError(
            f"What follows from the data cannot be written into params.yaml as it is; nothing was changed. {error}"
        ) from error
