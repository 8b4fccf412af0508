"""`fashion compare`: versions and trainings side by side: what differs, their curves, figures with intervals."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from fashion.adapters import tracking
from fashion.adapters.documents import render
from fashion.adapters.plots import compared_curves
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.tracking.tags import TEST_SET
from fashion.errors import LineageError
from fashion.evaluation.estimates import CONFIDENCE
from fashion.evaluation.gates import Check
from fashion.evaluation.paired import Difference, accuracy_difference, count_pairs, mcnemar, recall_differences
from fashion.experiments.space import flatten
from fashion.pages.report.kept import Kept, Predictions, fetch_kept
from fashion.params import Params, Recipe
from fashion.paths import Project
from fashion.storage import write_text

ROOM = "fashion.pages"
MOST = 8
"""More columns than these are no longer read side by side."""
NOTHING = "-"


@dataclass(frozen=True)
class Side:
    """One of the things that are compared."""

    name: str
    settings: Mapping[str, str]
    """What it was made with, by dotted key."""
    figures: Mapping[str, str]
    """With intervals, where they are known."""
    curves: pd.DataFrame | None
    """A row for each epoch; None where they are gone."""
    classes: tuple[str, ...] = ()
    predictions: Predictions | None = None
    """For its test set; None for a training that was not registered."""
    test_set: str | None = None
    """The digest of that."""


@dataclass(frozen=True)
class Paired:
    """A side against the first one, on the same images."""

    name: str
    images: int
    accuracy: Difference
    mcnemar_p: float
    classes: Mapping[str, Difference]
    """The recalls that certainly differ; the intervals of all classes hold jointly."""


@dataclass(frozen=True)
class Compared:
    """What is shown, and the page that shows it."""

    sides: tuple[Side, ...]
    paired: tuple[Paired, ...]
    path: Path

    @property
    def differing(self) -> dict[str, list[str]]:
        """The settings that are not the same on all sides, by key."""
        keys = dict.fromkeys(key for side in self.sides for key in side.settings)
        rows = {key: [side.settings.get(key, NOTHING) for side in self.sides] for key in keys}
        return {key: row for key, row in rows.items() if len(set(row)) > 1}

    @property
    def figures(self) -> dict[str, list[str]]:
        """Every figure of any side, by name."""
        names = dict.fromkeys(name for side in self.sides for name in side.figures)
        return {name: [side.figures.get(name, NOTHING) for side in self.sides] for name in names}


def compare(project: Project, params: Params, which: Sequence[str]) -> Compared:
    """Compare versions and trainings, and write a page about them into artifacts/comparisons/.

    Args:
        which: at least two: the number of a version, an alias, or the id of a run of MLflow.

    Raises:
        ArtifactError: the figures or the predictions of a version are gone.
        LineageError: there is no such version or run, or fewer than two or too many were named.
        ServiceError: MLflow is away.
    """
    if not 2 <= len(which) <= MOST:
        raise LineageError(f"{len(which)} to compare: expected 2 to {MOST} versions or runs, such as 1 and 2")
    if repeated := [one for one in which if list(which).count(one) > 1]:
        raise LineageError(f"{repeated[0]} is named twice; name different versions or runs")
    sides = tuple(_read(project, params, one) for one in which)
    path = project.comparisons / f"{'-'.join(side.name.split()[-1] for side in sides)}.html"
    found = Compared(sides, tuple(pair for side in sides[1:] if (pair := _pair(sides[0], side))), path)
    curves = {side.name: side.curves for side in sides if side.curves is not None}
    picture = compared_curves(curves) if curves else None
    names = [side.name for side in sides]
    page = render(ROOM, "compare.html", title=", ".join(names), found=found, curves=picture, names=names)
    write_text(path, page)
    return found


def _read(project: Project, params: Params, which: str) -> Side:
    if tracking.is_run_id(which):
        run = tracking.read_run(registry_of(project, params), which)
        return Side(f"run {run.name} {which[:8]}", run.parameters, run.figures, _curves(run.curves))
    with TemporaryDirectory() as folder:
        return _version(fetch_kept(project, params, which, Path(folder)))


def _version(kept: Kept) -> Side:
    origin, version = kept.lineage.origin, kept.lineage.version
    made = {"commit": (origin.code.commit or NOTHING)[:12], "data.dvc": origin.data.version}
    checks = kept.gate.checks if kept.gate else ()
    return Side(
        name=f"version {version.number}",
        settings=_settings(kept.words) | made,
        figures=dict(map(_figure, checks)),
        curves=kept.history,
        classes=kept.classes,
        predictions=kept.predictions,
        test_set=version.tags.get(TEST_SET),
    )


def _settings(words: Mapping[str, Any]) -> dict[str, str]:
    """Return the content of params.yaml by dotted key; of the recipes the one in use, with the keys that a run has."""
    rest = {name: section for name, section in words.items() if name not in ("train", "tune")}
    train = words.get("train", {})
    name = train.get("recipe", train.get("model"))  # As release 0.2 and earlier called it.
    recipe = train.get("recipes", {}).get(name, {})
    with suppress(ValidationError):  # A recipe of an earlier release is shown as it was written.
        recipe = Recipe.model_validate(recipe).model_dump()
    content = flatten({"recipe": name, "seed": train.get("seed"), **recipe, **rest})
    return {key: str(value) for key, value in content.items()}


def _figure(check: Check) -> tuple[str, str]:
    row = check.row()
    return row["gate"], f"{row['value']} ({row['interval']})" if row["interval"] else row["value"]


def _curves(points: Mapping[str, Mapping[int, float]]) -> pd.DataFrame | None:
    """Return MLflow's curves as `train` writes them: a row for each epoch."""
    table = pd.DataFrame({name: dict(curve) for name, curve in points.items()}).rename_axis("epoch").sort_index()
    return table.reset_index() if len(table) else None


def _pair(first: Side, other: Side) -> Paired | None:
    """Compare image by image, the other side minus the first; None where they were not measured on the same images."""
    ours, theirs = other.predictions, first.predictions
    if ours is None or theirs is None or first.classes != other.classes:
        return None
    labels = theirs.labels
    if first.test_set is None or first.test_set != other.test_set or not np.array_equal(labels, ours.labels):
        return None
    pairs = count_pairs(labels, ours.correct, theirs.correct, len(first.classes))
    recalls = recall_differences(pairs, CONFIDENCE)
    certain = {first.classes[label]: one for label, one in recalls.items() if one.low > 0 or one.high < 0}
    discordant = (int(pairs.candidate_only.sum()), int(pairs.champion_only.sum()))
    return Paired(other.name, len(labels), accuracy_difference(pairs, CONFIDENCE), mcnemar(*discordant), certain)
