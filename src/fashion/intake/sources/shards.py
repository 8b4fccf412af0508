"""Parquet shards with the pictures in them, as Hugging Face's `datasets` writes them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from fashion.adapters.decoding import MOST_BYTES
from fashion.adapters.shards import NO_BYTES, Rows, read_pictures, read_rows
from fashion.errors import DataError
from fashion.intake.layout import SPLIT_NAMES
from fashion.intake.sources.source import Item, Source


def open_shards(name: str, paths: Sequence[Path]) -> Source:
    """Look at everything in shards but the pictures.

    Raises:
        DataError: one is damaged or of another form, or they disagree about the classes.
    """
    shards = {path.name: path for path in sorted(paths)}
    read = {shard: read_rows(path, shard) for shard, path in shards.items()}
    classes = _classes(read)
    splits = {shard: _splits(shard, rows) for shard, rows in read.items()}
    _check_same_knowledge(splits)
    items = [
        Item(f"{shard}[{row}]", classes[label], splits[shard][row], rows.groups[row], _mean_size(path, rows))
        for (shard, path), rows in zip(shards.items(), read.values(), strict=True)
        for row, label in enumerate(rows.labels.tolist())
    ]
    return Source(name, items, lambda chosen: _read(shards, read, chosen), classes=classes)


def _classes(read: Mapping[str, Rows]) -> tuple[str, ...]:
    named = {shard: rows.classes for shard, rows in read.items() if rows.classes is not None}
    highest = max(int(rows.labels.max(initial=0)) for rows in read.values())
    lowest = min(int(rows.labels.min(initial=0)) for rows in read.values())
    first = next(iter(named.values()), tuple(str(number) for number in range(highest + 1)))
    for shard, classes in named.items():
        if classes != first:
            raise DataError(f"{shard}: its classes are {', '.join(classes)}; those of other shards {', '.join(first)}")
    if lowest < 0 or highest >= len(first):
        raise DataError(
            f"A label is {lowest if lowest < 0 else highest}; expected 0 to {len(first) - 1}. Remove the rows "
            "without a class (-1)"
        )
    return first


def _splits(shard: str, rows: Rows) -> list[str | None]:
    """Return the split of each row: that of its column, or that with which the name of the shard begins."""
    splits = [SPLIT_NAMES.get(split.lower(), "") if split else _split_in_name(shard) for split in rows.splits]
    if "" in splits:
        row = splits.index("")
        raise DataError(f"{shard}, row {row}: the split is {rows.splits[row]!r}; expected train, validation or test")
    return splits


def _split_in_name(shard: str) -> str | None:
    return SPLIT_NAMES.get(shard.replace(".", "-").split("-")[0].lower())


def _check_same_knowledge(splits: Mapping[str, Sequence[str | None]]) -> None:
    """Check that either all shards say a split, or none: what another one is for is not to be guessed."""
    without = [shard for shard, of_rows in splits.items() if of_rows and not any(of_rows)]
    if without and (others := [shard for shard, of_rows in splits.items() if any(of_rows)]):
        raise DataError(
            f"{without[0]}: neither its rows nor its name say a split, while {others[0]} has one; let its name begin "
            "with train-, validation- or test-, or move it elsewhere"
        )


def _mean_size(path: Path, rows: Rows) -> int:
    return path.stat().st_size // max(1, len(rows.labels))


def _read(shards: Mapping[str, Path], read: Mapping[str, Rows], items: Sequence[Item]) -> Iterator[bytes | DataError]:
    """Yield the pictures of items that stand in the order of the shards, as all of ours do."""
    wanted: dict[str, list[int]] = {}
    for item in items:
        shard, _, row = item.name.removesuffix("]").rpartition("[")
        wanted.setdefault(shard, []).append(int(row))
    for shard, rows in wanted.items():
        chosen = np.zeros(len(read[shard].labels), np.bool_)
        chosen[rows] = True
        for part in read_pictures(shards[shard], shard, chosen):
            for stored in part:
                yield _usable(stored.content)


def _usable(content: bytes | None) -> bytes | DataError:
    if content is None:
        return DataError(NO_BYTES)
    return content if len(content) <= MOST_BYTES else DataError(f"has more than {MOST_BYTES:,} bytes")
