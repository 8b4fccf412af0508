"""What the registry keeps with a version, read for its report; what is gone is named, and the rest is shown."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion.adapters import tracking
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.tracking.tags import TEST_SET
from fashion.adapters.weights import read_weights
from fashion.arrays import Booleans, Bytes, Floats
from fashion.errors import ArtifactError, LineageError, without_secrets
from fashion.evaluation.gates import Gate, gate_from_dict
from fashion.pages.report.robustness import Robustness, read_robustness
from fashion.params import Params
from fashion.paths import CLASSES, HISTORY, KERAS, METRICS, PARAMS, REPORT, ROBUSTNESS, Project
from fashion.reading import LARGEST_ARTIFACT_BYTES, load_json, load_yaml, read_text, translate_damage
from fashion.registry.absence import explain_absence
from fashion.registry.judgement import Judgement
from fashion.registry.judging import read_judgement
from fashion.registry.lineage import Lineage, fetch_lineage
from fashion.registry.register import test_set_digest
from fashion.stages.dataset import HISTORY_COLUMNS, load_split
from fashion.stages.reference import EXAMPLES, Examples, read_examples

FOLDERS = ("evaluation", "export", "training", "validation")
"""The folders of the version's run that are read beside its origin and its judgement."""
PREDICTIONS = "predictions.parquet"
T = TypeVar("T")


@dataclass(frozen=True)
class Predictions:
    """What the version said of each image of its test set, one row each."""

    labels: NDArray[np.intp]
    predicted: NDArray[np.intp]
    confidences: Floats
    probabilities: Floats

    @property
    def correct(self) -> Booleans:
        return np.asarray(self.predicted == self.labels)

    @property
    def wrong(self) -> NDArray[np.intp]:
        """The rows of the mistakes."""
        return np.flatnonzero(~self.correct)


@dataclass(frozen=True)
class Kept:
    """Everything that the report of a version is made from; what its run no longer has is None."""

    lineage: Lineage
    chosen: str
    """Why it is this version, where nobody named one; empty where somebody did."""
    classes: tuple[str, ...]
    metrics: Mapping[str, Any]
    predictions: Predictions
    gate: Gate | None
    words: Mapping[str, Any]
    """The content of its params.yaml."""
    contract: Mapping[str, Any] | None
    history: pd.DataFrame | None
    export: Mapping[str, Any] | None
    validation: Mapping[str, Any] | None
    examples: Examples | None
    model: Mapping[str, NDArray[np.generic]] | None
    """The arrays of its Keras model, and its configuration."""
    robustness: Robustness | None
    """None also where the version was evaluated before it was measured."""
    pictures: Mapping[str, bytes]
    """The PNG files that `evaluate` drew, by name."""
    judgement: Judgement | None
    images: Bytes | None
    """Of its test set, where the prepared dataset here still has that one."""
    gaps: list[str]
    """What could not be read, a sentence each."""


def choose_version(registry: tracking.Registry, which: str | None) -> tuple[str, str]:
    """Return which version to report on, and why if nobody named one: the champion, else the newest.

    Raises:
        LineageError: the registry has no version.
        ServiceError: MLflow is away.
    """
    if which is not None:
        return which, ""
    tracking.check(registry.uri)
    champion = tracking.version_with_alias(registry, tracking.CHAMPION)
    if champion:
        return champion.number, "the champion"
    versions = tracking.list_versions(registry)
    if not versions:
        raise LineageError(explain_absence(registry))
    return versions[0].number, "the newest, since no version is champion"


def fetch_kept(project: Project, params: Params, which: str | None, folder: Path) -> Kept:
    """Bring the files of a version into the existing `folder` and read them.

    Raises:
        ArtifactError: its figures or its predictions are gone: there is nothing to report.
        LineageError: there is no such version, or its lineage is gone.
        ServiceError: MLflow is away.
    """
    registry = registry_of(project, params)
    number, chosen = choose_version(registry, which)
    lineage = _fetch(project, params, number, folder)
    files = _Files(folder, _explain_loss(registry, lineage.version))
    metrics = files.require(f"evaluation/{METRICS}", _read_metrics)
    robust = f"evaluation/{ROBUSTNESS}"
    return Kept(
        lineage=lineage,
        chosen=chosen,
        classes=tuple(metrics["per_class"]),
        metrics=metrics,
        predictions=files.require(f"evaluation/{PREDICTIONS}", partial(_read_predictions, metrics)),
        gate=_read_gate(lineage, files.gaps),
        words=files.find(f"origin/{PARAMS}", lambda path: load_yaml(path, LARGEST_ARTIFACT_BYTES)) or {},
        contract=files.find(f"export/{CLASSES}", _json),
        history=files.find(f"training/{HISTORY}", _read_history),
        export=files.find(f"export/{REPORT}", _json),
        validation=files.find(f"validation/{REPORT}", _json),
        examples=files.find(f"evaluation/{EXAMPLES}", lambda path: read_examples(path.parent)),
        model=files.find(f"export/{KERAS}", read_weights),
        robustness=files.find(robust, read_robustness) if (folder / robust).exists() else None,
        pictures={path.name: path.read_bytes() for path in sorted((folder / "evaluation").glob("*.png"))},
        judgement=read_judgement(registry, lineage.version),
        images=find_test_images(project, lineage),
        gaps=files.gaps,
    )


def _fetch(project: Project, params: Params, number: str, folder: Path) -> Lineage:
    """Bring the files of a version into subfolders of `folder`, and return its lineage."""
    for name in ("origin", *FOLDERS):
        (folder / name).mkdir()
    lineage = fetch_lineage(project, params, number, folder / "origin")
    for name in FOLDERS:
        tracking.fetch_folder(registry_of(project, params), lineage.version, name, folder / name)
    return lineage


def _explain_loss(registry: tracking.Registry, version: tracking.Version) -> str:
    """Return what the loss of a file means without which there is no report, and what to do."""
    return (
        f"without it there is nothing to report about version {version.number}. Restore the artifacts of run "
        f"{version.run_id} in {without_secrets(registry.uri)}, or see what else there is: fashion models"
    )


class _Files:
    """The fetched files of a version; messages name them as MLflow does."""

    def __init__(self, folder: Path, loss: str) -> None:
        self._folder, self._loss = folder, loss
        self.gaps: list[str] = []
        """Why each file is left out that the report can do without."""

    def require(self, name: str, read: Callable[[Path], T]) -> T:
        return self._read(name, read, self._loss)

    def find(self, name: str, read: Callable[[Path], T]) -> T | None:
        try:
            return self._read(name, read, "the rest of the report does not need it")
        except ArtifactError as error:
            self.gaps.append(str(error))
            return None

    def _read(self, name: str, read: Callable[[Path], T], remedy: str) -> T:
        if not (self._folder / name).is_file():
            raise ArtifactError(f"{name} is missing: {remedy}")
        with translate_damage(Path(name), remedy):
            return read(self._folder / name)


def find_test_images(project: Project, lineage: Lineage) -> Bytes | None:
    """Return the images of the version's test set from artifacts/dataset; None if there is another one, or none."""
    try:
        split = load_split(project, "test")
    except ArtifactError:
        return None  # Nothing is prepared here; the report says what to do.
    same = test_set_digest(split) == lineage.version.tags.get(TEST_SET)
    return split.images if same else None


def _json(path: Path) -> Any:
    return load_json(path, LARGEST_ARTIFACT_BYTES)


def _read_metrics(path: Path) -> Mapping[str, Any]:
    """Read the figures; raises LookupError or TypeError where they are of another form."""
    metrics: Mapping[str, Any] = _json(path)
    for figures in metrics["per_class"].values():
        float(figures["f1"])
    return metrics


def _read_predictions(metrics: Mapping[str, Any], path: Path) -> Predictions:
    """Read the predictions; raises ValueError where they are not those of the figures."""
    table = pd.read_parquet(path, columns=["label", "prediction", "confidence", "probabilities"])
    classes = len(metrics["per_class"])
    probabilities = np.array(table["probabilities"].tolist(), np.float32).reshape(len(table), -1)
    labels, predicted = (table[name].to_numpy(np.intp) for name in ("label", "prediction"))
    if not len(table) or probabilities.shape[1] != classes or max(labels.max(), predicted.max()) >= classes:
        raise ValueError(f"expected one row or more about {classes} classes, found {probabilities.shape}")
    found = Predictions(labels, predicted, table["confidence"].to_numpy(np.float64), probabilities)
    if not np.isclose(found.correct.mean(), metrics["accuracy"]):
        raise ValueError(f"expected an accuracy of {metrics['accuracy']:.4%}, found {found.correct.mean():.4%}")
    return found


def _read_gate(lineage: Lineage, gaps: list[str]) -> Gate | None:
    """Return the gates as the version has them; versions of earlier code have values without intervals."""
    try:
        return gate_from_dict({"checks": lineage.origin.gates})
    except (KeyError, TypeError):
        gaps.append("Its gates were registered before gates had intervals: their values are not shown here")
        return None


def _read_history(path: Path) -> pd.DataFrame:
    history = pd.read_csv(io.StringIO(read_text(path, LARGEST_ARTIFACT_BYTES)))
    return history[HISTORY_COLUMNS].astype(float)
