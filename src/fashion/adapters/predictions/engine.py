"""Reaching the database of the prediction log: its address, how long to be patient with it, and what if it is away."""

import sqlite3
import time
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from fashion.errors import ParamsError, ServiceError

DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
PATIENCE_SECONDS = 5
"""Seconds to wait for a database that another process writes to, or for a server to answer."""
RETRY_SECONDS = 0.05
STATEMENT_SECONDS = 60
"""For one statement of PostgreSQL's; the longest one here, a look at the largest window, takes a few."""
PATIENT = {
    "connect_timeout": PATIENCE_SECONDS,
    "keepalives": 1,
    "keepalives_idle": PATIENCE_SECONDS,
    "keepalives_interval": PATIENCE_SECONDS,
    "keepalives_count": 3,
    "tcp_user_timeout": 4 * PATIENCE_SECONDS * 1000,
}
"""Unless the address says otherwise: a server that is gone without a word is given up after 20 seconds, not hours."""


def make_engine(url: str) -> Engine:
    try:
        address = make_url(url)
        kind = address.get_backend_name()
    except (ArgumentError, ValueError) as error:  # The number of a port that is none.
        raise ParamsError(f"FASHION_PREDICTIONS_URL is not the address of a database: {error}") from error
    if kind not in DRIVERS:
        raise ParamsError(f"FASHION_PREDICTIONS_URL: expected sqlite:// or postgresql://, found {kind}://")
    # The driver that is installed, whichever form of the address is written.
    address = address.set(drivername=DRIVERS[kind])
    is_server = kind == "postgresql"
    patient = {name: value for name, value in PATIENT.items() if name not in address.query}
    arguments = patient if is_server else {"timeout": PATIENCE_SECONDS}
    try:
        engine = create_engine(address, connect_args=arguments, pool_pre_ping=is_server)
        engine.dialect.create_connect_args(address)
    except (SQLAlchemyError, ValueError) as error:
        raise ParamsError(f"FASHION_PREDICTIONS_URL has an option that cannot be used: {error}") from error
    event.listen(engine, "connect", _set_up_postgresql if is_server else _set_up_sqlite)
    return engine


def _set_up_postgresql(connection: Any, _: Any) -> None:
    connection.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
    connection.commit()


def _set_up_sqlite(connection: Any, _: Any) -> None:
    """Let readers not wait for the writer. A killed process loses nothing it has committed; a power cut may."""
    _keep_a_journal_ahead(connection)
    connection.execute("PRAGMA synchronous=NORMAL")


def _keep_a_journal_ahead(connection: Any) -> None:
    """Switch to write-ahead logging. For this change SQLite does not always wait while others hold the database."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(RETRY_SECONDS)
        else:
            return


def lock_out_others(connection: Connection) -> None:
    """Wait for whoever prepares or changes the log's tables, and keep others waiting until this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(7_201_634)))
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def unusable(engine: Engine, error: Exception) -> ServiceError:
    """Return the error that says why the log cannot be used, and what to do."""
    where = engine.url.render_as_string(hide_password=True)
    reason = " ".join(str(getattr(error, "orig", None) or error).split())
    return ServiceError(f"The prediction log {where} cannot be used ({reason}). {_advice(reason)}")


def _advice(reason: str) -> str:
    if "database is locked" in reason:
        return "Another program has locked it; end that program and try again."
    return "Start the database, free disk space, or point FASHION_PREDICTIONS_URL to another one."
