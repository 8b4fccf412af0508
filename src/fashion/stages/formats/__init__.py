"""The formats in which data/ keeps images and labels: gzipped IDX files, or Parquet shards of pictures.

One interface, two modules that implement it. Both read in parts, into arrays that are mapped files: however many images
there are, they need no memory of the process.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from fashion.arrays import LabelledImages
from fashion.params import DataParams
from fashion.paths import Project
from fashion.stages.formats import idx, shards


class Format(Protocol):
    """What a format can do. Its functions raise DataError for files that are missing, damaged, or of another form."""

    def read_split(self, project: Project, params: DataParams, name: str) -> LabelledImages:
        """Read the split `train` or `test` from data/."""

    def check_files(self, project: Project, params: DataParams) -> None:
        """Check what can be known of the files in data/ without reading their images, before they are pinned."""

    def write_splits(self, project: Project, params: DataParams, splits: Mapping[str, LabelledImages]) -> None:
        """Write the splits `train` and `test` into data/ under the names in params.yaml."""

    def read_batch(self, project: Project, params: DataParams, folder: Path) -> LabelledImages:
        """Read the images and labels of a batch of collected images."""

    def write_batch(
        self, params: DataParams, folder: Path, batch: LabelledImages, pictures: Iterable[bytes | None]
    ) -> None:
        """Write images and labels into the existing `folder`.

        Args:
            pictures: for each image the picture from which it was made, as it was sent, if there is one. A format that
                keeps pictures keeps these; `read_batch` returns the images of the batch in any case.
        """


def format_of(params: DataParams) -> Format:
    """Return the format of the files that params.yaml names."""
    return shards if params.shards else idx
