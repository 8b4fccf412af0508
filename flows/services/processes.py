"""The processes of `make up`: their commands, environments, addresses and ports."""

import os
import socket
import sys
from urllib.parse import urlsplit

from fashion.errors import ServiceError
from fashion.paths import Project
from fashion.settings import LOOPBACK, load_settings, tracking_uri

POOL = "fashion"
OWN = ("127.0.0.1", "localhost")
"""By which a browser of this machine reaches the servers."""
HTTP_PORT = 80
"""The port of an address that names none."""
PREFECT, MLFLOW, WORKER = "prefect", "mlflow", "worker"


def service_commands(project: Project) -> dict[str, list[str]]:
    """What runs here: the worker always, the servers unless they are elsewhere."""
    commands = {}
    if urlsplit(prefect_address()).hostname in LOOPBACK:
        where = ["--host", "127.0.0.1", "--port", str(_prefect_port())]
        commands[PREFECT] = _python("prefect", "server", "start", *where)
    if is_local(tracking_uri(project)):
        where = ["--host", "127.0.0.1", "--port", str(load_settings().mlflow_port), "--workers", "1"]
        artifacts = ["--artifacts-destination", str(project.state / "mlflow")]
        commands[MLFLOW] = _python("mlflow", "server", *where, *artifacts, "--uvicorn-opts", "--log-level warning")
    commands[WORKER] = _python("flows.services", "work")
    return commands


def service_environments(project: Project) -> dict[str, dict[str, str]]:
    """The environment of each service: who may ask the servers, and what `ps` must not show to other users.

    A page is known by its origin; MLflow would take every Host that begins like a private address (10.evil.example).
    """
    origins = ",".join(f"http://{host}:{_prefect_port()}" for host in OWN)
    hosts = ",".join(f"{host}:{load_settings().mlflow_port}" for host in OWN)
    return {
        PREFECT: {"PREFECT_SERVER_CORS_ALLOWED_ORIGINS": origins} | os.environ,
        MLFLOW: {"MLFLOW_SERVER_ALLOWED_HOSTS": hosts, **os.environ, "MLFLOW_BACKEND_STORE_URI": tracking_uri(project)},
        WORKER: dict(os.environ),
    }


def check_ports(project: Project) -> None:
    """Before anything starts, so that nothing is half up."""
    ports = {
        PREFECT: (_prefect_port(), "PREFECT_API_URL"),
        MLFLOW: (load_settings().mlflow_port, "FASHION_MLFLOW_PORT"),
    }
    for name in service_commands(project).keys() & ports.keys():
        port, variable = ports[name]
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            raise ServiceError(
                f"Port {port} for {name} is taken ({error.strerror}). End the program that listens there, or choose "
                f"another port by {variable} (in .env or the environment)."
            ) from error


def prefect_address() -> str:
    return os.environ.setdefault("PREFECT_API_URL", "http://127.0.0.1:4200/api").removesuffix("/api")


def _prefect_port() -> int:
    return urlsplit(prefect_address()).port or HTTP_PORT


def mlflow_address(project: Project) -> str:
    uri = tracking_uri(project)
    return f"http://127.0.0.1:{load_settings().mlflow_port}" if is_local(uri) else uri


def is_local(uri: str) -> bool:
    """Whether MLflow's store is a database that a server here can show, and not a server itself."""
    return not uri.startswith(("http://", "https://"))


def _python(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]
