"""What goes out."""

from collections.abc import Sequence
from datetime import datetime
from random import SystemRandom
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from fashion.adapters.predictions import Record, new_id
from fashion.adapters.tracking import Version
from fashion.evaluation.abstention import Abstention
from fashion.evaluation.answer import Answer
from fashion.serving.batches import Answers
from fashion.serving.champions import Champions, Served
from fashion.serving.recorder import Recorder

CHANCE = SystemRandom()
"""Nobody can tell beforehand whose label will be asked for."""


class Prediction(BaseModel):
    """What the model says about one image."""

    id: str
    """For /feedback."""
    predicted: str
    confidence: float
    probabilities: dict[str, float]
    abstain: bool
    """The model should not be relied on here."""
    reason: str | None
    """`cluttered`: the picture does not show one object on a plain background; `unsure`: the confidence is too low;
    `unlike`: the image is unlike all known ones."""
    explanation: str | None
    """The reason in words."""
    label_wanted: bool
    """Drawn at random, whatever the answer: please send the true label to /feedback, even if the answer is right."""
    seen: list[list[int]] | None = None
    """The image as the model saw it, if that was asked for."""


class Predictions(BaseModel):
    """In the order of the images."""

    model: str
    version: str
    predictions: list[Prediction]


class Corrected(BaseModel):
    """The feedback was written down."""

    prediction_id: str
    label: str
    previous: str | None
    """The label that counted before."""


class Wanted(BaseModel):
    """A prediction whose label was asked for at random. What was predicted is left out: it would influence people."""

    id: str
    """For /feedback."""
    image: list[list[int]]


class Sample(BaseModel):
    """An image of the test set."""

    image: list[list[int]]
    label: str


class Model(BaseModel):
    """The version that answers."""

    model: str
    version: str
    created: str
    run: str
    classes: list[str]
    image_size: list[int]
    """Height and width."""
    abstention: dict[str, float] | None
    """The limits beyond which it abstains; none for a version that was registered without."""
    tags: dict[str, str]
    """Lineage, gates and verdict."""


class Ready(BaseModel):
    """Whether it can answer, and what is not as it should be."""

    ready: bool
    version: str
    registry: str
    """`up`, or why it could not be asked: the champion then is the last one that is known here. Without a key
    that may operate, `down` stands for the reason, here and in `log`."""
    champion: str
    """`current`, `unknown` while the registry is away, or why the version that answers is not the champion; without
    such a key `absent` stands for the reason."""
    log: str
    """`up`, or why predictions wait."""
    log_waiting: int
    log_lost: int


class Error(BaseModel):
    """Why not."""

    error: str


def to_records(  # noqa: PLR0913, PLR0917 - all that a row of the log says
    name: str,
    source: str,
    images: NDArray[np.uint8],
    answers: Answers,
    version: Version,
    time: datetime,
    asked_share: float,
) -> list[Record]:
    """For the log, each with an id of its own.

    Args:
        name: the registered model's.
        source: the name of the key of whoever asked.
        asked_share: of how many the label is asked for, at random, whatever the image, the answer and the caller.
    """
    rows = zip(images, answers.probabilities, answers.embeddings, answers.reasons, strict=True)
    return [
        Record(
            *(new_id(), time, version.number, image, probabilities, embedding, reason, version.identity, name),
            source=source,
            asked=CHANCE.random() < asked_share,
        )
        for image, probabilities, embedding, reason in rows
    ]


def to_predictions(name: str, classes: Sequence[str], records: Sequence[Record], seen: bool) -> dict[str, Any]:
    """As `Predictions`."""
    return {
        "model": name,
        "version": records[0].model_version,
        "predictions": [_prediction(record, classes, seen) for record in records],
    }


def _prediction(record: Record, classes: Sequence[str], seen: bool) -> dict[str, Any]:
    answer = Answer(dict(zip(classes, record.probabilities.tolist(), strict=True)), record.reason)
    content = {"id": record.id} | answer.to_dict() | {"label_wanted": record.asked}
    return content | {"seen": record.image.tolist()} if seen else content


def describe_model(name: str, served: Served) -> Model:
    version, rule = served.version, served.rule
    return Model(
        model=name,
        version=version.number,
        created=version.created,
        run=version.run_id,
        classes=list(served.champion.classes),
        image_size=list(served.champion.image_size),
        abstention=_limits(rule) if rule else None,
        tags=dict(version.tags),
    )


def _limits(rule: Abstention) -> dict[str, float]:
    limits = {"confidence": rule.confidence_limit, "distance": rule.distance_limit}
    return limits | ({"appearance": rule.appearance.limit} if rule.appearance else {})


def describe_readiness(champions: Champions, recorder: Recorder, reasons: bool) -> Ready:
    """Return how it stands, with the reasons of what is down or without."""
    trouble, up = champions.trouble, champions.registry_up
    absent = None if trouble is None else trouble if reasons else "absent"
    return Ready(
        ready=True,
        version=champions.current.version.number,
        registry="up" if up else _how(trouble, reasons),
        champion=(absent or "current") if up else "unknown",
        log=_how(recorder.trouble, reasons),
        log_waiting=recorder.waiting,
        log_lost=recorder.lost,
    )


def _how(trouble: str | None, reasons: bool) -> str:
    if trouble is None:
        return "up"
    return trouble if reasons else "down"
