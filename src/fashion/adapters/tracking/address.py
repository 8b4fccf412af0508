"""Where MLflow is, and whether it answers."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import requests

from fashion.errors import ServiceError

SQLITE = "sqlite:///"
PATIENCE = 5.0
"""Seconds for a tracking server to say that it is well."""


@dataclass(frozen=True)
class Registry:
    """Where runs and models are kept: MLflow's address, the folder for artifacts of a local store, the model's name."""

    uri: str
    artifacts: Path
    name: str

    @property
    def artifact_location(self) -> str | None:
        """For a new experiment. A server has a store of its own; a bare database would use the working directory."""
        return self.artifacts.as_uri() if self.uri.startswith(SQLITE) else None


def check(uri: str) -> None:
    """Find out in seconds whether MLflow can be used, before anything expensive starts.

    Raises:
        ServiceError: nothing answers at the address, or the database file is not one.
    """
    if uri.startswith(SQLITE):
        _check_database(Path(uri.removeprefix(SQLITE)))
    elif uri.startswith(("http://", "https://")):
        _check_server(uri)


def _check_database(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(path, timeout=PATIENCE) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except (sqlite3.Error, OSError) as error:
        raise ServiceError(
            f"MLflow's database {path} cannot be used ({error}). Free it, restore it from a backup, or set "
            "MLFLOW_TRACKING_URI to another address."
        ) from error


def _check_server(uri: str) -> None:
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=PATIENCE)
    except requests.RequestException as error:
        raise ServiceError(
            f"No MLflow server answers at {uri} ({type(error).__name__}). Start it (make up), correct "
            "MLFLOW_TRACKING_URI, or unset it to use the local database."
        ) from error
    if answer.status_code != requests.codes.ok:
        raise ServiceError(f"{uri}/health answered {answer.status_code}; expected a healthy MLflow server there.")
