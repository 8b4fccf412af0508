"""Where MLflow is, and whether it answers."""

import logging
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache, wraps
from http import HTTPStatus
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from requests.exceptions import SSLError  # MLflow's own client raises it; ours is httpx everywhere.
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from fashion.adapters.tracking.relocation import relocate
from fashion.errors import ParamsError, ServiceError, SetupError
from fashion.locks import hold
from fashion.params import Params
from fashion.paths import Project
from fashion.settings import SQLITE, load_settings, tracking_uri
from fashion.storage import may_write, writing_explained

EXPERIMENT, TUNING = "fashion", "fashion-tuning"
"""MLflow's experiments: one run for each training of the pipeline; one for each search, with its trials below it."""
DATABASES = ("postgresql", "mysql", "mssql")
"""The kinds that MLflow takes, besides SQLite."""
PATIENCE_SECONDS = 5.0
"""Seconds for a tracking server to say that it is well."""

REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
CREDENTIALS = (
    "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to what the server knows."
)
CERTIFICATE = "Set MLFLOW_TRACKING_SERVER_CERT_PATH to a file with its certificate, or with that of who signed it."

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Registry:
    """Where runs and models are kept: MLflow's address, the folder for artifacts of a local store, the model's name."""

    uri: str
    artifacts: Path
    name: str
    experiment: str = EXPERIMENT
    """The experiment of new runs."""
    root: str | None = None
    """Where artifacts go if the address is a database server, as an address; None: nobody said."""

    @property
    def is_database(self) -> bool:
        """Whether a database server stands at the address, and nothing that has a store of its own for artifacts."""
        return urlsplit(self.uri).scheme.partition("+")[0] in DATABASES

    @property
    def artifact_location(self) -> str | None:
        """For a new experiment; None: the server knows. For a bare database MLflow would use the working directory.

        Raises:
            ParamsError: nobody said where the artifacts of a database server go.
        """
        if self.uri.startswith(SQLITE):
            return self.artifacts.as_uri()
        if self.is_database and self.root is None:
            raise ParamsError(
                f"MLFLOW_TRACKING_URI is a database, {self.uri}, and nothing says where the files of runs and versions "
                "go. Set MLFLOW_DEFAULT_ARTIFACT_ROOT to a place that every machine reaches: s3://bucket/path, or an "
                "absolute folder"
            )
        return self.root if self.is_database else None


def registry_of(project: Project, params: Params) -> Registry:
    """Return the registry that the project uses."""
    root = load_settings().artifact_root
    return Registry(tracking_uri(project), project.state / "mlflow", params.register_.name, root=root)


@contextmanager
def explained(registry: Registry) -> Iterator[None]:
    """Turn what MLflow refuses in the block into an error in words.

    Raises:
        DiskError: the disk is full.
        ServiceError: MLflow or its store of artifacts went away, or refused.
        SetupError: that store is S3, and what asks it is not installed.
    """
    # MLflow prints a traceback of every error of its database, and raises it all the same.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    try:
        with writing_explained(registry.artifacts):
            _open_database(registry)
            yield
    except ModuleNotFoundError as error:
        if error.name not in ("boto3", "botocore"):
            raise
        raise SetupError(
            f"The files of {registry.uri} are in S3, and boto3 is not installed. Type: make setup"
        ) from error
    except _refusals() as error:
        raise ServiceError(
            f"MLflow at {registry.uri} went away or refused: {error}\n{_advice(registry, error)}"
            "What was registered stays; when MLflow is well, the same command goes on from there."
        ) from error


def _refusals() -> tuple[type[Exception], ...]:
    """Return what MLflow and its database raise, and what boto3 does, which is imported only where S3 is in use."""
    of_s3 = {"botocore.exceptions": ("BotoCoreError", "ClientError"), "boto3.exceptions": ("Boto3Error",)}
    known = [(sys.modules[module], names) for module, names in of_s3.items() if module in sys.modules]
    return (
        MlflowException,
        SQLAlchemyError,
        OSError,
        *(getattr(module, name) for module, names in known for name in names),
    )


@lru_cache
def _open_database(registry: Registry) -> None:
    """Let one process at a time make the tables of a database file, and follow a moved project; once in each process.

    MLflow sees to that for its registry's tables alone. Of two processes that meet a new file, a killed run's stage and
    the next command, say, one would find the other's migration half done and fail.
    """
    if registry.uri.startswith(SQLITE):
        path = Path(registry.uri.removeprefix(SQLITE))
        lock = hold(path.with_name(f"{path.name}.lock"), on_wait=lambda _: None)
        # Who may only read makes nothing, and waits for nobody who does.
        with nullcontext() if path.exists() and not may_write(path.parent) else lock:
            MlflowClient(registry.uri)
            relocate(path, registry.artifacts)


def _advice(registry: Registry, error: Exception) -> str:
    if "database is locked" in str(error):
        return "Another program holds its database; end that program. "
    folder = Path(registry.uri.removeprefix(SQLITE)).parent
    if registry.uri.startswith(SQLITE) and not may_write(folder):
        return f"{folder} must be writable for this user. "
    if isinstance(error, MlflowException) and error.get_http_status_code() in REFUSED:
        return f"{CREDENTIALS} "
    return ""


def in_words(function: Callable[Concatenate[Registry, P], T]) -> Callable[Concatenate[Registry, P], T]:
    """Decorate a function of a registry so that its errors are `explained`."""

    @wraps(function)
    def call(registry: Registry, /, *arguments: P.args, **options: P.kwargs) -> T:
        with explained(registry):
            return function(registry, *arguments, **options)

    return call


def check(uri: str) -> None:
    """Find out in seconds whether MLflow can be used, before anything expensive starts.

    Raises:
        ServiceError: nothing answers at the address, or the database file is not one.
    """
    if uri.startswith(SQLITE):
        _check_database(Path(uri.removeprefix(SQLITE)))
    elif uri.startswith(("http://", "https://")):
        _check_server(uri)
    elif uri.startswith("postgresql"):
        _check_postgresql(uri)


def _check_postgresql(uri: str) -> None:
    """MLflow itself would try again for minutes."""
    engine = create_engine(uri, connect_args={"connect_timeout": int(PATIENCE_SECONDS)})
    try:
        engine.connect().close()
    except SQLAlchemyError as error:
        raise ServiceError(
            f"MLflow's database {uri} cannot be used ({error}). Start it, or correct MLFLOW_TRACKING_URI."
        ) from error
    finally:
        engine.dispose()


def _check_database(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(path, timeout=PATIENCE_SECONDS) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except (sqlite3.Error, OSError) as error:
        raise ServiceError(
            f"MLflow's database {path} cannot be used ({error}). Free it, restore it from a backup, or set "
            "MLFLOW_TRACKING_URI to another address."
        ) from error


def _check_server(uri: str) -> None:
    """Ask as MLflow itself asks: with its credentials, certificates and plugins."""
    try:
        server = get_default_host_creds(uri)
        answer = http_request(server, "/health", "GET", max_retries=0, timeout=PATIENCE_SECONDS, raise_on_status=False)
    except MlflowException as error:
        if isinstance(error.__context__, SSLError):
            raise ServiceError(f"{uri} is not trusted ({error.__context__}). {CERTIFICATE}") from error
        reason = type(error.__context__ or error).__name__
        raise ServiceError(
            f"No MLflow server answers at {uri} ({reason}). Start it, correct MLFLOW_TRACKING_URI, or use the local "
            "database: unset MLFLOW_TRACKING_URI"
        ) from error
    if answer.status_code in REFUSED:
        raise ServiceError(f"{uri}/health answered {answer.status_code}. {CREDENTIALS}")
    if answer.status_code != HTTPStatus.OK:
        raise ServiceError(f"{uri}/health answered {answer.status_code}; expected a healthy MLflow server there.")
