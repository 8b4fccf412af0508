"""The service's responses."""

from collections.abc import Sequence
from datetime import UTC, datetime
from random import SystemRandom
from typing import Any

from pydantic import BaseModel

from fashion.adapters.predictions import Record, new_id
from fashion.adapters.tracking import Version
from fashion.arrays import Bytes
from fashion.evaluation.abstention import Abstention
from fashion.evaluation.answer import Answer
from fashion.images.grey import without_channel
from fashion.serving.batches import Answers
from fashion.serving.champions import Champions, Served
from fashion.serving.recorder import Recorder

CHANCE = SystemRandom()
"""Nobody can predict which labels will be requested."""


Pixels = list[list[int]] | list[list[list[int]]]
"""Rows of grey pixels, or of pixels of three channels."""


def to_lists(image: Bytes) -> Any:
    """Return an image (height, width, channels) as `Pixels`."""
    return without_channel(image).tolist()


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
    `unlike`: the image is unlike any known one."""
    explanation: str | None
    """The reason as a sentence."""
    label_wanted: bool
    """Drawn at random, whatever the answer: please send the true label to /feedback, even if the answer is right."""
    seen: Pixels | None = None
    """The image as the model saw it, if requested."""


class Predictions(BaseModel):
    """In the order of the images."""

    model: str
    version: str
    predictions: list[Prediction]


class Corrected(BaseModel):
    """The feedback was recorded."""

    prediction_id: str
    label: str
    previous: str | None
    """The label that counted before."""


class Wanted(BaseModel):
    """A prediction whose label was requested at random. What was predicted is left out: it would influence people."""

    id: str
    """For /feedback."""
    image: Pixels
    has_picture: bool
    """Whether /wanted/picture has the picture that was sent."""


class Sample(BaseModel):
    """An image of the test set."""

    image: Pixels
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
    channels: int
    """1: grey, 3: red, green and blue."""
    abstention: dict[str, float] | None
    """The limits beyond which it abstains; null for a version that was registered without."""
    tags: dict[str, str]
    """Lineage, gates and verdict."""


class Ready(BaseModel):
    """Whether the service can answer, and what is wrong."""

    ready: bool
    version: str
    registry: str
    """`up`, or why it could not be reached: the champion is then the last one known here. Without a key that may
    operate, `down` replaces the reason, here and in `log`."""
    champion: str
    """`current`, `unknown` while the registry is unavailable, or why the version in use is not the champion; without
    such a key `absent` replaces the reason."""
    log: str
    """`up`, or why predictions are waiting."""
    log_waiting: int
    log_lost: int


class Error(BaseModel):
    """Why the request was refused."""

    error: str


def to_records(name: str, source: str, answers: Answers, version: Version, asked_share: float) -> list[Record]:
    """Return the records for the log, each with its own id.

    Args:
        name: the registered model's.
        source: the name of the caller's key.
        asked_share: the share whose label is requested, at random, whatever the image, the answer and the caller.
    """
    time = datetime.now(UTC)
    rows = zip(answers.images, answers.probabilities, answers.embeddings, answers.reasons, strict=True)
    return [
        Record(
            *(new_id(), time, version.number, image, probabilities, embedding, reason, version.identity, name),
            source=source,
            asked=CHANCE.random() < asked_share,
        )
        for image, probabilities, embedding, reason in rows
    ]


def to_predictions(name: str, classes: Sequence[str], records: Sequence[Record], seen: bool) -> dict[str, Any]:
    """Return what `Predictions` describes."""
    return {
        "model": name,
        "version": records[0].model_version,
        "predictions": [_prediction(record, classes, seen) for record in records],
    }


def _prediction(record: Record, classes: Sequence[str], seen: bool) -> dict[str, Any]:
    answer = Answer(dict(zip(classes, record.probabilities.tolist(), strict=True)), record.reason)
    content = {"id": record.id} | answer.to_dict() | {"label_wanted": record.asked}
    return content | {"seen": to_lists(record.image)} if seen else content


def describe_model(name: str, served: Served) -> Model:
    version, rule = served.version, served.rule
    return Model(
        model=name,
        version=version.number,
        created=version.created,
        run=version.run_id,
        classes=list(served.champion.classes),
        image_size=list(served.champion.form.size),
        channels=served.champion.form.pictures.channels,
        abstention=_limits(rule) if rule else None,
        tags=dict(version.tags),
    )


def _limits(rule: Abstention) -> dict[str, float]:
    limits = {"confidence": rule.confidence_limit, "distance": rule.distance_limit}
    return limits | ({"appearance": rule.appearance.limit} if rule.appearance else {})


def describe_readiness(champions: Champions, recorder: Recorder, reasons: bool) -> Ready:
    """Return the state of the service, with or without the reasons for what is down."""
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
