"""The process: assembling the service at start, and the socket."""

import logging
import socket
from collections.abc import Callable
from functools import partial

import numpy as np
import uvicorn

from fashion.adapters.predictions import PredictionLog, Retention
from fashion.arrays import Bytes
from fashion.errors import ArtifactError, ParamsError, ServiceError
from fashion.pages.status import Board
from fashion.params import Params, load_params
from fashion.paths import Project
from fashion.registry.champion import find_champion
from fashion.serving.app import Service, create_app
from fashion.serving.champions import Champions
from fashion.serving.decoding import Pictures
from fashion.serving.keys import Keys, keys_file
from fashion.serving.memory import return_what_is_freed
from fashion.serving.recorder import Recorder
from fashion.settings import LOOPBACK, load_settings, predictions_url
from fashion.stages.dataset import load_split

SAMPLES = 12
"""Images of the test set shown on the page, fewer of large ones."""
DRAIN_SECONDS = 2
"""For requests in progress at shutdown; with the log's share the service exits within five seconds."""

logger = logging.getLogger(__name__)


def serve(project: Project, params: Params, host: str, port: int) -> None:
    """Answer until SIGTERM or Ctrl-C; then requests are finished and predictions written.

    Raises:
        ParamsError: other machines can reach the address and there is no key.
        ServiceError: there is no champion, or the address is in use.
        ArtifactError: the champion, or the file of keys, is damaged.
    """
    return_what_is_freed()
    settings = load_settings()
    public = settings.serve_origin if host in LOOPBACK else host or "every address"
    needs_key = _keys(project).needed
    if public and not needs_key:
        raise ParamsError(
            f"At {public} others can reach the service, so it needs a key; set one with: export FASHION_SERVE_KEY=...; "
            "or make one for each caller, with: fashion key add NAME --may predict"
        )
    with _listen(host, port) as listener:
        service = build_service(project, params)
        version, trouble = service.champions.current.version, service.champions.trouble
        address = listener.getsockname()[:2]
        logger.info("%s version %s answers at http://%s:%d", service.name, version.number, *address)
        if trouble:
            logger.warning("This is the last champion known here: %s", trouble)
        config = uvicorn.Config(
            create_app(service),
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listener])


def build_service(project: Project, params: Params) -> Service:
    """Build the service; raise ServiceError if there is no champion, ArtifactError if it is damaged."""
    settings = load_settings()
    find = partial(find_champion, project, params)
    champions = Champions(find, find())
    log = PredictionLog(predictions_url(project))
    retention = Retention(
        settings.predictions_keep_days, settings.predictions_keep_rows, settings.predictions_keep_pictures
    )
    return Service(
        name=params.register_.name,
        champions=champions,
        log=log,
        recorder=Recorder(log, retention),
        draw_samples=_sampler(project, champions),
        asked_share=params.collect.asked_share,
        keys=_keys(project),
        origin=settings.serve_origin,
        pictures=Pictures(kept=retention.pictures > 0),
        board=Board(project, params, log),
    )


def _keys(project: Project) -> Keys:
    default = load_settings().serve_key
    return Keys(keys_file(project), default.get_secret_value() if default else None)


def _sampler(project: Project, champions: Champions) -> Callable[[], list[tuple[Bytes, str]]]:
    random = np.random.default_rng()

    def draw() -> list[tuple[Bytes, str]]:
        champion = champions.current.champion
        try:
            test, classes = load_split(project, "test"), load_params(project.params).data.classes
        except (ArtifactError, ParamsError):
            return []
        if test.images.shape[1:] != champion.form.shape:
            return []
        # Of the classes that the project has now, the champion may not know all: on those nobody can correct it.
        common = [label for label, name in enumerate(classes) if name in champion.classes]
        known = np.flatnonzero(np.isin(test.labels, common))
        chosen = random.choice(known, min(SAMPLES, len(known)), replace=False)
        return [(image, classes[label]) for image, label in zip(test.images[chosen], test.labels[chosen], strict=True)]

    return draw


def _listen(host: str, port: int) -> socket.socket:
    try:
        host.encode("idna")  # As the socket does, which reports a name that cannot be encoded as a wrong type.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, UnicodeError) as error:  # UnicodeError: the host's name is invalid.
        reason = getattr(error, "strerror", None) or error
        raise ServiceError(
            f"cannot listen on {host}:{port} ({reason}). Stop the program that listens there, or "
            "choose another port with: fashion serve --port"
        ) from error
