"""Answers that go into the prediction log, too, apart from those that the service was asked for."""

from datetime import UTC, datetime
from functools import lru_cache

from fashion.adapters.predictions import BATCH, PredictionLog, Record, id_of, write_apart
from fashion.batch.answering import Asked, Kept, Model


def log_answers(asked: Asked, model: Model, kept: Kept, first: str) -> None:
    """Write answers into the log, once however often it is tried.

    Args:
        first: a text that no other answers of any shard have.

    Raises:
        ServiceError: the log is away.
    """
    now = datetime.now(UTC)
    outputs = asked.outputs
    rows = zip(asked.images, outputs.probabilities, outputs.embedding, asked.reasons, strict=True)
    records = [
        Record(
            id=id_of(kept.begun, f"{first} {place}"),
            time=now,
            model_version=model.version,
            image=image,
            probabilities=probabilities,
            embedding=embedding,
            reason=reason,
            model_identity=kept.identity,
            model=model.name,
            source=BATCH,
        )
        for place, (image, probabilities, embedding, reason) in enumerate(rows)
    ]
    write_apart(_open(kept.url), records)


@lru_cache(maxsize=1)
def _open(url: str) -> PredictionLog:
    return PredictionLog(url)
