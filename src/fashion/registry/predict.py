"""Stage `predict`: what the champion says about a user's pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fashion.adapters import litert
from fashion.adapters.decoding import read_pictures, readable_name
from fashion.adapters.tracking import Champion
from fashion.arrays import Bytes
from fashion.errors import DataError
from fashion.evaluation.abstention import reasons
from fashion.evaluation.answer import Answer
from fashion.images.photos import Form, Seen, see
from fashion.params import Params
from fashion.paths import Project
from fashion.registry.champion import fetch_champion
from fashion.stages.reference import read_rule


@dataclass(frozen=True)
class Refused:
    """A file, or an image of it, that cannot be predicted; the message names it and says why."""

    source: str
    message: str


@dataclass(frozen=True)
class Sample:
    """One image: what the user gave, uint8 (h, w) or (h, w, channels), and what the model sees of it."""

    source: str
    given: Bytes
    seen: Seen


@dataclass(frozen=True)
class Prediction:
    """What the champion says about one image."""

    sample: Sample
    answer: Answer

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as the service gives it; `class` is `predicted` under its name of old."""
        (best, _), (second, second_confidence) = self.answer.ranking[:2]
        names = {"source": self.sample.source, "class": best}
        return names | self.answer.to_dict() | {"runner_up": second, "runner_up_confidence": second_confidence}


@dataclass(frozen=True)
class Predictions:
    """What the champion said, image by image in the order given, and what could not be read."""

    model: str
    version: str
    predictions: tuple[Prediction, ...]
    refused: tuple[Refused, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document of `fashion predict --json`."""
        return {
            "model": self.model,
            "version": self.version,
            "predictions": [prediction.to_dict() for prediction in self.predictions],
            "errors": [{"source": refused.source, "message": refused.message} for refused in self.refused],
        }


def predict(project: Project, params: Params, files: Sequence[Path]) -> Predictions:
    """Predict every picture of `files` with the champion, which is kept in .state/champion/ once fetched.

    Raises:
        ServiceError: MLflow is away, or there is no champion.
        ArtifactError: the champion's model is damaged.
    """
    champion = fetch_champion(project, params).champion
    samples, refused = read_samples(files, champion.form)
    return Predictions(params.register_.name, champion.version, _classify(champion, samples), refused)


def read_samples(files: Sequence[Path], form: Form) -> tuple[tuple[Sample, ...], tuple[Refused, ...]]:
    """Return every image of `files` as a model of that form sees it, and what could not be read."""
    found = [item for file in files for item in _read(file, form)]
    return (
        tuple(item for item in found if isinstance(item, Sample)),
        tuple(item for item in found if isinstance(item, Refused)),
    )


def _read(file: Path, form: Form) -> Iterator[Sample | Refused]:
    try:
        pictures = read_pictures(file, max(form.size))
    except DataError as error:
        yield Refused(readable_name(file), str(error))
        return
    for picture in pictures:
        try:
            yield Sample(picture.source, picture.pixels, see(picture.pixels, form))
        except DataError as error:
            yield Refused(picture.source, f"{picture.source}: {error}")


def _classify(champion: Champion, samples: Sequence[Sample]) -> tuple[Prediction, ...]:
    if not samples:
        return ()
    images = np.stack([sample.seen.image for sample in samples])
    rule = read_rule(champion.model.parent)
    outputs = litert.predict(champion.model, images)
    litert.check_classes(champion.model, outputs.probabilities, champion.classes, champion.version)
    cluttered = [sample.seen.cluttered for sample in samples]
    found = reasons(rule, images, outputs, cluttered)
    return tuple(
        Prediction(sample, Answer(dict(zip(champion.classes, row, strict=True)), reason))
        for sample, row, reason in zip(samples, outputs.probabilities.tolist(), found, strict=True)
    )
