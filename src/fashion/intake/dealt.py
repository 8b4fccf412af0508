"""The splits that earlier imports of a dataset have dealt its pictures to: data/ has them."""

import numpy as np

from fashion.adapters.shards import read_pictures, read_rows
from fashion.intake.scan import digest_of
from fashion.params import DataParams
from fashion.paths import Project
from fashion.stages.restoring import find_pinned


def read_dealt(project: Project, params: DataParams) -> dict[bytes, str]:
    """Return the split of every picture in the shards of data/, by the digest of its file.

    Raises:
        ArtifactError: a shard is missing, or another one.
        DataError: a shard is of another form.
    """
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
