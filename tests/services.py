"""The service on models whose answers are known, without a registry."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import uvicorn

from fashion.adapters.predictions import PredictionLog, Retention
from fashion.adapters.tracking import Champion, Version
from fashion.evaluation.abstention import Abstention
from fashion.images.photos import Form
from fashion.pages.status import Board
from fashion.params import PicturesParams, load_params
from fashion.paths import Project
from fashion.registry.champion import Found
from fashion.serving.app import Service, create_app
from fashion.serving.champions import Champions
from fashion.serving.keys import Keys
from fashion.serving.limits import Limits
from fashion.serving.recorder import Recorder
from fashion.stages.reference import Reference, write_reference
from tests.litert_models import band_images, write_band_model
from tests.projects import SOURCE
from tests.servers import wait_until

SIZE, CLASSES = (28, 28), ("top", "upper", "middle", "lower", "bottom")
FORM = Form(SIZE, PicturesParams())
IMAGES = band_images(10, SIZE, len(CLASSES))


def make_champion(folder: Path, number: str, reference: bool = True, known: float = 0.5) -> Found:
    """A version on disk. The embeddings of all images but a black one point to `known`, 0.5, if that is positive."""
    files = folder / number / "extra_files"
    files.mkdir(parents=True)
    model = files / "model.tflite"
    model.write_bytes(_model())
    if reference:
        rule = Abstention(np.full((3, 4), known, np.float32), distance_limit=0.5, confidence_limit=0.25)
        few = np.zeros(3, np.uint8)
        outputs = Reference(np.ones((3, 4), np.float32), np.ones((3, 5), np.float32), few, few, rule)
        write_reference(files, outputs, IMAGES[:3])
    return found_champion(folder, number)


def found_champion(folder: Path, number: str) -> Found:
    """A version that `make_champion` has written."""
    model = folder / number / "extra_files" / "model.tflite"
    champion = Champion(number, model, folder / number / "model.keras", CLASSES, FORM)
    tags = {"gates": "passed", "git_commit": "abc"}
    version = Version(number, "run", tags, ("champion",), "2026-01-01T00:00:00+00:00", f"{number}-of this registry")
    return Found(champion, version, None)


@cache
def _model() -> bytes:
    with TemporaryDirectory() as folder:
        return write_band_model(Path(folder, "model.tflite"), SIZE, len(CLASSES)).read_bytes()


def make_service(
    folder: Path,
    url: str | None = None,
    key: str | None = None,
    origin: str | None = None,
    limits: Limits | None = None,
    capacity: int = 1000,
    keys: Keys | None = None,
) -> Service:
    """Version 1 answers, and stays the champion. `key` may do everything."""
    first = make_champion(folder / "champions", "1")
    log = PredictionLog(url or f"sqlite:///{folder}/log.db")
    return Service(
        name="bands",
        champions=Champions(lambda: first, first),
        log=log,
        recorder=Recorder(log, Retention(90, 1_000_000, pictures=1000), capacity),
        draw_samples=lambda: [(IMAGES[0], "top")],
        keys=keys or Keys(default=key),
        origin=origin,
        limits=limits or Limits(),
        board=Board(Project(folder), load_params(SOURCE / "params.yaml"), log),
    )


@contextmanager
def running(service: Service, drain_seconds: int | None = None) -> Iterator[str]:
    """The address at which the service answers, from a thread of this process."""
    config = uvicorn.Config(
        create_app(service), log_config=None, access_log=False, timeout_graceful_shutdown=drain_seconds
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
