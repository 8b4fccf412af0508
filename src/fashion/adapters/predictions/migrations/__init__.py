"""Alembic: the log's tables, whatever earlier code has made of them, become those of `tables`; a script for each step.

The log's version stands in a table of its own, since MLflow keeps its own in `alembic_version` and may share the
database. A log that is up to date is known by one question, without Alembic.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select, text

from fashion.errors import ServiceError

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

NEWEST = "0006"
"""The revision of `tables`."""
VERSION_TABLE = "prediction_log_version"
LOCK_SECONDS = 60
"""For a change of PostgreSQL's tables, which waits for everybody who reads them."""

_version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32)))


def upgrade(connection: Connection) -> None:
    """Bring the log up to date. Others must be kept out for the duration of this transaction.

    Raises:
        ServiceError: later code has made it.
    """
    if _revision(connection) == NEWEST:
        return
    if connection.dialect.name == "postgresql":
        # Not by the limit that statements have otherwise: a large log takes minutes.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
    _run_scripts(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(select(_version.c.version_num))


def _run_scripts(connection: Connection) -> None:
    # It says at INFO what it imports and does, which is nobody's concern.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Imported here, since most processes have no use for it.
    from alembic.operations import Operations  # noqa: PLC0415
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415

    scripts = _scripts()
    _check_known(scripts, _revision(connection))

    def steps(revision: Any, _: Any) -> Iterable[Any]:
        return scripts._upgrade_revs(NEWEST, revision)

    # Alembic's own `op` and `context` are one for the whole process, in which MLflow may be at work with them.
    context = MigrationContext.configure(connection, opts={"fn": steps, "version_table": VERSION_TABLE})
    context.run_migrations(operations=Operations(context))


def _scripts() -> "ScriptDirectory":
    from alembic.script import ScriptDirectory  # noqa: PLC0415, as above

    here = Path(__file__).parent
    return ScriptDirectory(here, version_locations=[here])


def _check_known(scripts: "ScriptDirectory", revision: str | None) -> None:
    known = {script.revision for script in scripts.walk_revisions()}
    if revision is not None and revision not in known:
        raise ServiceError(
            f"The prediction log was made by later code: its tables have the revision {revision}, and this code knows "
            f"those up to {NEWEST}. Bring the code up to date, or set FASHION_PREDICTIONS_URL to another log"
        )
