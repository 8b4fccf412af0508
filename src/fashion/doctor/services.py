"""The data, and the services that keep the project's records."""

import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from fashion.adapters import tracking, versioning
from fashion.adapters.predictions import PredictionLog, count_waiting
from fashion.adapters.tracking.address import registry_of
from fashion.doctor.finding import NOTE, PROBLEM, WELL, Finding
from fashion.errors import FashionError, without_secrets
from fashion.locks import try_hold
from fashion.params import load_params
from fashion.paths import SERVICES_LOCK, Project
from fashion.settings import LOOPBACK, is_missing, load_settings, predictions_url

PATIENCE_SECONDS = 5.0
"""Seconds for a server to answer."""


def check_data(project: Project) -> Finding:
    """Check that the files that data.dvc pins are present."""
    try:
        pinned = versioning.pinned_files(project)
    except FashionError as error:
        return Finding("data", PROBLEM, str(error))
    there = sum(path.is_file() for path in project.data.rglob("*"))
    if there < pinned:
        said = f"{there} of the {pinned} files that data.dvc pins are in data/"
        return Finding("data", NOTE, said, "get them with: fashion fetch; a training does so by itself")
    return Finding("data", WELL, f"{there} files")


def check_ports(project: Project) -> Finding:
    """Check that the ports of `make up` and `fashion serve` are free, or used by this project's services."""
    settings = load_settings()
    ports = {"FASHION_MLFLOW_PORT": settings.mlflow_port, "FASHION_SERVE_PORT": settings.serve_port}
    prefect = urlsplit(settings.prefect_api_url)
    if prefect.hostname in LOOPBACK and prefect.port:
        ports["PREFECT_API_URL"] = prefect.port
    taken = {name: port for name, port in ports.items() if port and not _is_free(port)}
    if not taken:
        return Finding("ports", WELL, f"{_listed(ports.values())} are free")
    up = _services_are_up(project)
    others = {name: port for name, port in taken.items() if not _is_own(port, up, serves=name == "FASHION_SERVE_PORT")}
    if others:
        said = "; ".join(f"{port} is in use{_by_whom(port)}" for port in others.values())
        return Finding("ports", PROBLEM, said, f"stop what listens there, or set {' and '.join(others)} to free ports")
    return Finding("ports", WELL, f"this project's services are at {_listed(taken.values())}")


def check_prefect(_: Project) -> Finding:
    """Check that a Prefect server answers."""
    address = load_settings().prefect_api_url
    try:
        httpx.get(f"{address}/health", timeout=PATIENCE_SECONDS).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        said = f"no server answers at {without_secrets(address)} ({type(error).__name__})"
        if urlsplit(address).hostname in LOOPBACK:
            return Finding("Prefect", WELL, f"{said}: a run starts its own; `make up` starts a permanent one")
        return Finding("Prefect", PROBLEM, said, "start that server, or correct PREFECT_API_URL")
    return Finding("Prefect", WELL, f"a server answers at {without_secrets(address)}")


def check_registry(project: Project) -> Finding:
    """Check that MLflow answers, and find the champion."""
    registry = registry_of(project, load_params(project.params))
    if is_missing(registry.uri):
        return Finding("MLflow", WELL, "no database yet: the first training creates it")
    try:
        tracking.check_place(registry)
        champion = tracking.version_with_alias(registry, tracking.CHAMPION)
    except FashionError as error:
        return Finding("MLflow", PROBLEM, str(error))
    found = (
        f"version {champion.number} of {registry.name} is champion" if champion else f"{registry.name} has no champion"
    )
    return Finding("MLflow", WELL, f"{without_secrets(registry.uri)}: {found}")


def check_prediction_log(project: Project) -> Finding:
    """Check that the log can be read, what it keeps for `fashion collect`, and whether the clocks agree."""
    url = predictions_url(project)
    if is_missing(url):
        return Finding("prediction log", WELL, "no database yet: the service creates it")
    try:
        with closing(PredictionLog(url)) as log:
            said = f"{log.count():,} predictions, {count_waiting(log):,} of them with a label not collected yet"
            clock = log.describe_clock()
    except FashionError as error:
        return Finding("prediction log", PROBLEM, str(error))
    if clock:
        return Finding("prediction log", NOTE, said, clock)
    return Finding("prediction log", WELL, said)


SLOW: Sequence[Callable[[Project], Finding]] = (
    check_data,
    check_ports,
    check_prefect,
    check_registry,
    check_prediction_log,
)


def _is_free(port: int) -> bool:
    try:
        socket.create_server((LOOPBACK[0], port)).close()
    except OSError:
        return False
    return True


def _services_are_up(project: Project) -> bool:
    with try_hold(project.state / SERVICES_LOCK) as lock:
        return lock is None


def _is_own(port: int, up: bool, serves: bool) -> bool:
    """Whether a program of this environment listens where it may: `fashion serve`, or what `make up` started."""
    with suppress(psutil.Error):
        if process := _listener(port):
            return (up or serves) and Path(*process.cmdline()[:1]).is_relative_to(sys.prefix)
    return up


def _by_whom(port: int) -> str:
    with suppress(psutil.Error):
        if process := _listener(port):
            return f" by {process.name()} (process {process.pid})"
    return ""


def _listener(port: int) -> psutil.Process | None:
    """Return the process that listens; None if the system does not say, as about other users' programs."""
    for one in psutil.net_connections("tcp"):
        if one.pid and one.status == psutil.CONN_LISTEN and one.laddr.port == port:
            return psutil.Process(one.pid)
    return None


def _listed(ports: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(ports)))
