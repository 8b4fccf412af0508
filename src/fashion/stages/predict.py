"""Stage `predict`: what the champion says about a user's pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion.adapters import litert
from fashion.adapters.photographs import read_pictures, readable_name
from fashion.adapters.tracking import Champion, keep_version
from fashion.errors import ArtifactError, DataError
from fashion.images.photos import match_dataset
from fashion.params import Params
from fashion.paths import Project
from fashion.stages.champion import champion_version
from fashion.stages.registry import champion_folder, registry_of


@dataclass(frozen=True)
class Refused:
    """A file, or an image of it, that cannot be predicted; the message names it and says why."""

    source: str
    message: str


@dataclass(frozen=True)
class Sample:
    """One image: what the user gave, uint8 (h, w) or (h, w, channels), and what the model sees, uint8 (h, w)."""

    source: str
    given: NDArray[np.uint8]
    seen: NDArray[np.uint8]


@dataclass(frozen=True)
class Prediction:
    """The probability of every class for one image, the most probable class first."""

    sample: Sample
    probabilities: dict[str, float]

    @property
    def ranking(self) -> tuple[tuple[str, float], ...]:
        return tuple(self.probabilities.items())

    def to_dict(self) -> dict[str, Any]:
        (best, confidence), (second, second_confidence) = self.ranking[:2]
        return {
            "source": self.sample.source,
            "class": best,
            "confidence": confidence,
            "runner_up": second,
            "runner_up_confidence": second_confidence,
            "probabilities": self.probabilities,
        }


@dataclass(frozen=True)
class Predictions:
    """What the champion said, image by image in the order given, and what could not be read."""

    model: str
    version: str
    predictions: tuple[Prediction, ...]
    refused: tuple[Refused, ...]

    def to_dict(self) -> dict[str, Any]:
        """The document of `fashion predict --json`."""
        return {
            "model": self.model,
            "version": self.version,
            "predictions": [prediction.to_dict() for prediction in self.predictions],
            "errors": [{"source": refused.source, "message": refused.message} for refused in self.refused],
        }


def predict(project: Project, params: Params, files: Sequence[Path]) -> Predictions:
    """Predict every picture of `files` with the champion, which is kept in .state/champion/ once it was fetched.

    Raises:
        ServiceError: MLflow is away, or there is no champion.
        ArtifactError: the champion's model is damaged.
    """
    registry = registry_of(project, params)
    champion = keep_version(registry, champion_version(registry), champion_folder(project, params))
    samples, refused = read_samples(files, champion.image_size)
    return Predictions(registry.name, champion.version, _classify(champion, samples), refused)


def read_samples(files: Sequence[Path], size: tuple[int, int]) -> tuple[tuple[Sample, ...], tuple[Refused, ...]]:
    """Every image of `files` as a model of that image size sees it, and what could not be read; nothing is raised."""
    found = [item for file in files for item in _read(file, size)]
    return (
        tuple(item for item in found if isinstance(item, Sample)),
        tuple(item for item in found if isinstance(item, Refused)),
    )


def _read(file: Path, size: tuple[int, int]) -> Iterator[Sample | Refused]:
    try:
        pictures = read_pictures(file)
    except DataError as error:
        yield Refused(readable_name(file), str(error))
        return
    for picture in pictures:
        try:
            yield Sample(picture.source, picture.pixels, match_dataset(picture.pixels, size))
        except DataError as error:
            yield Refused(picture.source, f"{picture.source}: {error}")


def _classify(champion: Champion, samples: Sequence[Sample]) -> tuple[Prediction, ...]:
    if not samples:
        return ()
    images = np.stack([sample.seen for sample in samples])
    probabilities = litert.predict(champion.model, images).probabilities
    if probabilities.shape[1] != len(champion.classes):
        raise ArtifactError(
            f"{champion.model} gives {probabilities.shape[1]} probabilities for {len(champion.classes)} classes; "
            f"remove {champion.model.parent.parent} to fetch version {champion.version} again"
        )
    return tuple(
        Prediction(sample, _rank(champion.classes, row)) for sample, row in zip(samples, probabilities, strict=True)
    )


def _rank(classes: Sequence[str], probabilities: NDArray[np.float32]) -> dict[str, float]:
    order = np.argsort(-probabilities, kind="stable")
    return {classes[number]: float(probabilities[number]) for number in order}
