"""What a champion may have learned from a dataset that is imported again: data/ has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fashion.adapters.shards import read_pictures, read_rows
from fashion.arrays import Bytes
from fashion.intake.scan import digest_of
from fashion.params import DataParams
from fashion.paths import Project
from fashion.stages.raw import read_batches
from fashion.stages.restoring import find_pinned


@dataclass(frozen=True)
class Former:
    """What became of pictures before an import; empty for a new dataset, and where the source has a test split."""

    dealt: Mapping[bytes, str] = field(default_factory=dict)
    """The splits of the imports before this one, by the digest of each picture's file."""
    collected: tuple[Bytes, ...] = ()
    """The images of each batch, (n, height, width, channels)."""


def read_former(project: Project, params: DataParams, learned: Sequence[str]) -> Former:
    """Return what data/ has of the import before this one, and of what was collected since.

    Args:
        learned: digests of files that were for training once, and are not in data/.

    Raises:
        ArtifactError: a shard is missing, or another one.
        DataError: a shard is of another form, or a batch is damaged.
    """
    batches = read_batches(project, params).values()
    before = {bytes.fromhex(digest): "train" for digest in learned}
    return Former(before | _read_dealt(project, params), tuple(batch.images for batch in batches))


def _read_dealt(project: Project, params: DataParams) -> dict[bytes, str]:
    dealt: dict[bytes, str] = {}
    for file in params.shards:
        path = project.data / file.name
        command = "fashion fetch --force" if path.exists() else "fashion fetch"
        again = f"get it with: {command}. If it is lost, begin another dataset with --name"
        find_pinned(path, file.sha256, "a shard of the former import", again)
        splits = read_rows(path, file.name).splits
        stored = (one for part in read_pictures(path, file.name, np.ones(len(splits), np.bool_)) for one in part)
        for split, picture in zip(splits, stored, strict=True):
            if split and picture.content is not None:
                dealt[digest_of(picture.content)] = split
    return dealt
