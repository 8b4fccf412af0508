"""The routes."""

import asyncio
import gc
import json
import mimetypes
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse

from fashion.adapters.keeping import media_type
from fashion.adapters.predictions import Label, PredictionLog, Record
from fashion.arrays import Bytes
from fashion.errors import ServiceError
from fashion.pages.status import Board
from fashion.serving import answers
from fashion.serving.champions import Champions, Served
from fashion.serving.decoding import Pictures
from fashion.serving.description import feedback_body, predict_body, secured
from fashion.serving.keys import Key, Keys, Right
from fashion.serving.labels import Labels
from fashion.serving.limits import Gatekeeper, Limits
from fashion.serving.metrics import Metrics
from fashion.serving.recorder import Recorder
from fashion.serving.refusals import HANDLERS, REFUSED, refused
from fashion.serving.requests import Feedback, PredictionId, Queue, read_images, read_json
from fashion.serving.status import add_status

MOST_WANTED = 50
"""Pictures whose label is wanted, in one answer; fewer of large ones, as `Limits.values` says."""
LOOK_SECONDS = 30.0
"""For the answer to /model/refresh; the look itself goes on."""
SOURCE_LENGTH = 64
"""Of the column in the prediction log."""
PAGE = Path(__file__).parent / "page"
POLICY = "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@dataclass(frozen=True)
class Service:
    """Everything that the routes use."""

    name: str
    champions: Champions
    log: PredictionLog
    recorder: Recorder
    draw_samples: Callable[[], list[tuple[Bytes, str]]]
    """Images of the test set with their classes, others each time; none where there is no test set."""
    asked_share: float = 0.0
    """Of the predictions, drawn at random: their labels are asked for."""
    keys: Keys = field(default_factory=Keys)
    origin: str | None = None
    """Of the page, where a proxy shows it under another address."""
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics = field(default_factory=Metrics)
    pictures: Pictures = field(default_factory=Pictures)
    board: Board | None = None
    """Of the project's state, for /status; None where there is no project."""


def create_app(service: Service) -> FastAPI:
    """Return the application; at its end the recorder is closed."""
    app = FastAPI(
        title=service.name,
        version="1",
        description="Says what is in a picture, and learns from corrections.",
        docs_url=None,
        redoc_url=None,
        lifespan=lambda _: _life(service),
        exception_handlers=HANDLERS,
    )
    service.metrics.watch(service.recorder, service.champions)
    app.add_middleware(
        Gatekeeper, limits=service.limits, keys=service.keys, origin=service.origin, metrics=service.metrics
    )
    _add_predictions(app, service)
    _add_labels(app, service)
    _add_state(app, service)
    _add_page(app)
    if service.board:
        add_status(app, service.board, partial(answers.describe_readiness, service.champions, service.recorder, True))
    if service.keys.needed:
        app.openapi = secured(app.openapi)  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def _life(service: Service) -> AsyncIterator[None]:
    # What is there now stays: not looking at it again saves pauses of a tenth of a second.
    gc.collect()
    gc.freeze()
    watching = asyncio.create_task(service.champions.watch())
    yield
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    await asyncio.to_thread(service.recorder.close)
    service.pictures.close()
    service.champions.current.retire()
    service.log.close()


def _add_predictions(app: FastAPI, service: Service) -> None:
    @app.post(
        "/predict",
        response_model=answers.Predictions,
        response_model_exclude_none=True,
        responses=REFUSED | {415: REFUSED[422] | {"description": "Neither a form nor JSON."}},
        openapi_extra=predict_body(service.champions.current.champion.form),
    )
    async def predict(request: Request, seen: bool = False) -> Response:
        """What is in one or many images; with `seen=true`, how the model saw them, too.

        Pictures (PNG, JPEG, WebP, GIF, BMP; of an animation the first frame) are brought to the form of the dataset as
        `fashion predict` does: object bright on black, filling the frame. Arrays are taken as they are.
        """
        with service.champions.current.used() as served:
            sent = await read_images(request, served.champion.form, service.limits, service.pictures)
            count, most = len(sent.images), service.limits.fitting(sent.images)
            if seen and count > most:
                raise HTTPException(422, f"seen=true: expected at most {most} images of this size, found {count}")
            found = await served.ask(sent.images, sent.cluttered)
        caller: Key = request.scope["caller"]
        records = answers.to_records(service.name, caller.name, found, served.version, service.asked_share)
        records = [replace(record, picture=one) for record, one in zip(records, sent.pictures, strict=True)]
        service.recorder.add(records)
        content = answers.to_predictions(service.name, served.champion.classes, records, seen)
        _count(service.metrics, served, records)
        return Response(json.dumps(content), media_type="application/json")


def _count(metrics: Metrics, served: Served, records: list[Record]) -> None:
    version, classes = served.version.number, served.champion.classes
    for record in records:
        best = int(record.probabilities.argmax())
        metrics.predictions.labels(version, classes[best]).inc()
        metrics.confidence.labels(version).observe(float(record.probabilities[best]))
        if record.reason:
            metrics.abstentions.labels(version, record.reason).inc()


def _add_labels(app: FastAPI, service: Service) -> None:
    labels = Labels(service.log, service.recorder)

    @app.post(
        "/feedback",
        responses=REFUSED | {404: REFUSED[422] | {"description": "There is no such prediction in the log."}},
        openapi_extra=feedback_body(service.champions.current.champion.classes[0]),
    )
    async def feedback(request: Request) -> answers.Corrected:
        """The true label of a prediction; given again, it corrects the one before."""
        given = await read_json(request, Feedback)
        source = _source(request.scope["caller"], given.source)
        classes = service.champions.current.champion.classes
        if given.label not in classes:
            raise HTTPException(422, f"label: expected one of {', '.join(classes)}, found {given.label!r}")
        label = Label(classes.index(given.label), given.label)
        previous = await labels.write(given.prediction_id, label, source)
        service.metrics.labels.inc()
        before = previous.among(classes) if previous else None
        return answers.Corrected(prediction_id=given.prediction_id, label=given.label, previous=before)

    @app.get("/wanted", response_model=list[answers.Wanted], responses=refused(401, 403, 503))
    async def wanted(queue: Annotated[Queue, Query()]) -> Response:
        """Some of the predictions whose label was asked for at random and has not come, the oldest first."""
        found = await labels.wanted(service.name, MOST_WANTED, queue.after)
        found = found[: service.limits.fitting([one.image for one in found])]
        return JSONResponse([vars(one) | {"image": answers.to_lists(one.image)} for one in found])

    @app.get(
        "/wanted/picture",
        response_class=Response,
        responses=refused(401, 403, 503)
        | {200: {"content": {"image/jpeg": {}, "image/webp": {}}}}
        | {404: REFUSED[422] | {"description": "That prediction waits for no label, or its picture is not kept."}},
    )
    async def picture(wanted: Annotated[PredictionId, Query()]) -> Response:
        """The picture that was sent for one of the predictions of /wanted, reduced to 400 pixels and encoded anew."""
        content = await labels.picture(service.name, wanted.id)
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return Response(content, headers=headers, media_type=media_type(content))


def _source(caller: Key, said: str) -> str:
    """Return who says so, for the log: the name of the key, and behind a slash, as far as there is room, the claim."""
    return f"{caller.name}/{said}"[:SOURCE_LENGTH]


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        """Whether the process answers."""
        return {"healthy": True}

    @app.get("/readyz")
    async def readyz(request: Request) -> answers.Ready:
        """Which version answers, and whether registry and log are there; why they are not, to whoever may operate."""
        caller: Key | None = request.scope["caller"]
        reasons = caller is not None and Right.OPERATE in caller.may
        return answers.describe_readiness(service.champions, service.recorder, reasons)

    @app.get("/metrics", responses=refused(401, 403) | {200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/model", responses=refused(401, 403, 503))
    async def model() -> answers.Model:
        """The version that answers: lineage, gates, classes, limits."""
        return answers.describe_model(service.name, service.champions.current)

    @app.post("/model/refresh", responses=refused(401, 403, 413, 503))
    async def refresh() -> answers.Ready:
        """Look at the registry now, and change to the champion that it names. Many who ask at once share a look."""
        try:
            await asyncio.wait_for(service.champions.look(), LOOK_SECONDS)
        except TimeoutError as error:
            raise ServiceError(f"The registry has not answered within {LOOK_SECONDS:g} seconds") from error
        return answers.describe_readiness(service.champions, service.recorder, reasons=True)

    @app.get("/samples", response_model=list[answers.Sample], responses=refused(401, 403, 503))
    async def samples() -> Response:
        """Some images of the test set, others each time; none where it is not on this machine."""
        drawn = await asyncio.to_thread(service.draw_samples)
        drawn = drawn[: service.limits.fitting([image for image, _ in drawn])]
        return JSONResponse([{"image": answers.to_lists(image), "label": label} for image, label in drawn])


def _add_page(app: FastAPI) -> None:
    files = {path.name: path.read_bytes() for path in PAGE.iterdir()}

    def send(name: str) -> Response:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        return Response(files[name], headers=headers, media_type=mimetypes.guess_type(name)[0])

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return send("index.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def page(name: str) -> Response:
        if name not in files:
            raise HTTPException(404, f"no file {name!r}")
        return send(name)
