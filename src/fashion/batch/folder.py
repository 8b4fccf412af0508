"""The folder of the answers: what may be in it, and that one run at a time writes there."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fashion.batch.plan import PLAN
from fashion.batch.sources import KINDS
from fashion.errors import DataError
from fashion.locks import read_holder, try_hold

LOCK, SUMMARY = ".lock", "_summary.json"
OURS = re.compile(rf"answers-\d{{5,}}-of-\d{{5,}}\.parquet|{PLAN}|{SUMMARY}")
"""Names of what a run leaves there; without a plan nobody knows what such files are."""
NAMED = 3
"""Other files that a message names."""


def shard_name(number: int, shards: int) -> str:
    """Return the name of a shard's answers; sorted by name, as a folder is read, all are in the order of the source."""
    width = max(5, len(str(shards)))
    return f"answers-{number:0{width}d}-of-{shards:0{width}d}.parquet"


def unpacked_name(number: int) -> str:
    return f".unpacked-{number}"


@contextmanager
def held(source: Path, output: Path) -> Iterator[None]:
    """Hold the folder, which is made if need be, for the duration of the block.

    Raises:
        DataError: it is in the source, it holds something else, or another run writes there.
        DiskError: the disk is full, or this user may not write there.
    """
    check_place(source, output)
    with try_hold(output / LOCK) as lock:
        if lock is None:
            holder = read_holder(output / LOCK)
            raise DataError(
                f"Another run writes its answers into {output} (process {holder.get('process', 'unknown')}). Wait for "
                "it, or name another folder with --output"
            )
        lock.write({"run": "fashion predict", "process": str(os.getpid())})
        try:
            yield
        finally:
            lock.write({})


def check_place(source: Path, output: Path) -> None:
    """Check that there is something to answer, and that the answers can stand in a folder.

    Raises:
        DataError: they cannot.
    """
    if not source.exists():
        raise DataError(f"{source} does not exist; expected {KINDS}")
    if output.resolve().is_relative_to(source.resolve()):
        raise DataError(
            f"{output} is {source} or lies in it: answers must not be among the pictures. Name another with --output"
        )
    if output.exists() and not output.is_dir():
        raise DataError(f"{output} is a file; expected a folder for the answers, which is made if need be")
    if others := _others(output):
        shown = ", ".join(others[:NAMED]) + (f" and {len(others) - NAMED:,} more" if len(others) > NAMED else "")
        raise DataError(f"{output} holds something else: {shown}. Name an empty or a new folder with --output")


def _others(output: Path) -> list[str]:
    """Return the names of what was not left there by a run; what is hidden does not count."""
    names = sorted(path.name for path in output.iterdir()) if output.exists() else []
    is_known = PLAN in names
    return [name for name in names if not name.startswith(".") and not (is_known and OURS.fullmatch(name))]
