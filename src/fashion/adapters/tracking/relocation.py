"""A local registry whose project was moved or copied: MLflow's database holds the absolute place of every artifact."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fashion.errors import ServiceError

COLUMNS = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}
"""Where MLflow keeps the places of artifacts, by table."""

logger = logging.getLogger(__name__)


def relocate(database: Path, artifacts: Path) -> None:
    """Let every place in the database that was `artifacts` before the project was moved or copied be `artifacts` now.

    A place counts as that if it ends as `artifacts` does (.state/mlflow), and `artifacts` has something of what the
    database knows to be there, or nothing is there any more. Places of other projects that share the database stay.

    Args:
        database: beside the folder `artifacts`; of one elsewhere nobody knows to which project it belongs.

    Raises:
        ServiceError: this user may not write to the database.
    """
    if database.parent != artifacts.parent or not database.is_file():
        return
    with closing(sqlite3.connect(database)) as connection, connection:
        for former in _former_places(connection, artifacts):
            if _was_moved(connection, former, artifacts):
                _move(connection, database, former, artifacts.as_uri())


def _former_places(connection: sqlite3.Connection, artifacts: Path) -> list[str]:
    """Return the places of experiments that end as `artifacts` does and are not it, as addresses."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not COLUMNS.keys() <= tables:
        return []  # MLflow is about to make them.
    ending = "/".join(("", *artifacts.parts[-2:]))
    found = connection.execute(
        "SELECT DISTINCT artifact_location FROM experiments WHERE artifact_location LIKE 'file:///%'"
    )
    return [place for (place,) in found if place.endswith(ending) and place != artifacts.as_uri()]


def _was_moved(connection: sqlite3.Connection, former: str, artifacts: Path) -> bool:
    if not Path(unquote(urlsplit(former).path)).exists():
        return True
    return any((artifacts / unquote(path)).exists() for path in _known_below(connection, former))


def _known_below(connection: sqlite3.Connection, place: str) -> Iterator[str]:
    """Yield the paths of the folders of runs and models, relative to the place."""
    for table, column in (("runs", "artifact_uri"), ("logged_models", "artifact_location")):
        for (address,) in connection.execute(f"SELECT {column} FROM {table}"):  # noqa: S608, names from above
            if address and address.startswith(f"{place}/"):
                yield address.removeprefix(f"{place}/")


def _move(connection: sqlite3.Connection, database: Path, former: str, place: str) -> None:
    logger.info("The project was moved or copied from %s: its registry follows", former)
    try:
        for table, columns in COLUMNS.items():
            for column in columns:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608, names from above
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (place, len(former) + 1, former, len(former) + 1, f"{former}/"),
                )
    except sqlite3.OperationalError as error:
        raise ServiceError(
            f"The project was moved or copied from {former}, and its registry {database} still points there ({error}). "
            "As a user who may write to it, type: fashion models"
        ) from error
