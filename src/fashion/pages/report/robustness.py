"""The accuracy of a version on corrupted images and on slices, as its report shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fashion.evaluation.estimates import Estimate
from fashion.pages.report.wording import show_share
from fashion.reading import LARGEST_ARTIFACT_BYTES, load_json


@dataclass(frozen=True)
class Slice:
    """How good the version is on one kind of images."""

    name: str
    definition: str
    images: int
    accuracy: Estimate | None
    """None where the test set has no image of it."""


@dataclass(frozen=True)
class Corruption:
    """How good it is on images corrupted in one way, by severity."""

    name: str
    meaning: str
    """What its strength means."""
    strengths: tuple[float, ...]
    accuracies: tuple[Estimate, ...]


@dataclass(frozen=True)
class Robustness:
    """The content of robustness.json."""

    mean: Estimate
    corruptions: tuple[Corruption, ...]
    slices: tuple[Slice, ...]

    @property
    def worst(self) -> Corruption:
        """The corruption at whose mildest severity most is lost."""
        return min(self.corruptions, key=lambda one: one.accuracies[0].value)

    @property
    def sentence(self) -> str:
        worst = self.worst
        copied = sum(found.n or 0 for one in self.corruptions for found in one.accuracies)
        mildest = worst.accuracies[0]
        return (
            f"Over all corruptions and severities alike, it is right in {show_share(self.mean)}, on {copied:,} copies "
            f"of {self.mean.n:,} images of the test set; all copies of an image count as one in the interval. At the "
            f"mildest severity it loses most by {worst.name}: it is right in {show_share(mildest)}, n = {mildest.n:,}."
        )


def read_robustness(path: Path) -> Robustness:
    """Read robustness.json; raises LookupError, TypeError or ValueError where it is of another form."""
    content = load_json(path, LARGEST_ARTIFACT_BYTES)
    corrupted = content["corrupted"]
    names = dict.fromkeys(str(row["corruption"]) for row in corrupted["rows"])
    return Robustness(
        mean=_share(corrupted["mean"]),
        corruptions=tuple(_corruption(name, corrupted) for name in names),
        slices=tuple(
            Slice(
                str(one["name"]).replace("_", " "),
                str(one["definition"]),
                int(one["images"]),
                _share(one) if one["images"] else None,
            )
            for one in content["slices"]
        ),
    )


def _corruption(name: str, corrupted: Mapping[str, Any]) -> Corruption:
    rows = [row for row in corrupted["rows"] if row["corruption"] == name]
    strengths = tuple(float(row["strength"]) for row in rows)
    return Corruption(name, str(corrupted["meanings"][name]), strengths, tuple(_share(row) for row in rows))


def _share(found: Mapping[str, Any]) -> Estimate:
    return Estimate(float(found["accuracy"]), float(found["low"]), float(found["high"]), int(found["images"]))
