"""What `validate` has left about bad images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fashion.arrays import Bytes
from fashion.images.parts import Parts
from fashion.paths import QUARANTINE, REPORT, Project
from fashion.reading import read_json, translate_damage

SHOWN = 48
"""Images that the page shows."""
VALIDATE = "dvc repro validate"
COLUMNS = ["split", "index", "label", "reason"]


@dataclass(frozen=True)
class Quarantine:
    """Images that must not be learned from, with the reasons."""

    missing: str | None = None
    """Why nothing is known of these data, if so, and what to type."""
    count: int = 0
    reasons: tuple[tuple[str, str, int], ...] = ()
    """Part of the dataset, reason, and how many images; the most first."""
    examples: tuple[tuple[int, str], ...] = ()
    """The positions of some of the images, and the reason."""


def read_quarantine(project: Project, parts: Parts, files: Mapping[str, str]) -> Quarantine:
    """Read the quarantine; for data that were not validated it is empty, and says so.

    Args:
        files: the digests of the data's files, as in the report of `validate`.

    Raises:
        ArtifactError: what `validate` wrote is damaged.
    """
    report, table = project.validation / REPORT, project.validation / QUARANTINE
    if not report.exists():
        return Quarantine(f"These data have not been validated. Type: {VALIDATE}, then fashion explore")
    if read_json(report, VALIDATE).get("files") != dict(files):
        return Quarantine(f"The data have changed since they were validated. Type: {VALIDATE}, then fashion explore")
    rows = _read_rows(table, parts)
    counts = rows.value_counts(["split", "reason"], sort=True)
    starts = dict(zip(parts.parts, parts.starts.tolist(), strict=True))
    shown = rows.head(SHOWN)
    positions = [starts[split] + int(index) for split, index in zip(shown["split"], shown["index"], strict=True)]
    return Quarantine(
        count=len(rows),
        reasons=tuple((str(split), str(reason), int(count)) for (split, reason), count in counts.items()),
        examples=tuple(zip(positions, map(str, shown["reason"]), strict=True)),
    )


def take_images(quarantine: Quarantine, parts: Parts, longest: int) -> Bytes:
    """Return the images of the examples, reduced to at most `longest` pixels."""
    return parts.take_small(np.array([position for position, _ in quarantine.examples], np.int64), longest)


def _read_rows(path: Path, parts: Parts) -> pd.DataFrame:
    with translate_damage(path, f"make it with: {VALIDATE}"):
        rows = pd.read_csv(path)
        if list(rows.columns) != COLUMNS:
            raise ValueError(f"expected the columns {', '.join(COLUMNS)}")
        lengths = {name: len(part.labels) for name, part in parts.parts.items()}
        known = [
            index in range(lengths.get(split, 0)) for split, index in zip(rows["split"], rows["index"], strict=True)
        ]
        if not all(known):
            raise ValueError(f"{len(known) - sum(known)} of its images are not among the data")
    return rows
