"""Where searches are kept, and who goes on with one."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from fashion.adapters.studies.study import TENTHS, Study
from fashion.errors import ArtifactError, ParamsError, ServiceError
from fashion.locks import try_hold
from fashion.storage import writing_explained

AT_RANDOM = 5
"""Trials before the search learns from earlier ones, and before one is stopped for being worse than the others."""
PATIENCE_SECONDS = 5
POSTGRESQL, ENDING = "postgresql", ".log"


@dataclass(frozen=True)
class Place:
    """Where a study is kept."""

    name: str
    url: str | None
    """PostgreSQL's address; None: a file in the folder."""
    folder: Path

    def __str__(self) -> str:
        return f"PostgreSQL, study {self.name}" if self.url else str(self.path)

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}{ENDING}"


@contextmanager
def open_study(place: Place, seed: int, pruned_before: float) -> Iterator[Study]:
    """Open a study, begun now if there is none of that name, for this process alone.

    Args:
        seed: of the search; what is suggested also depends on the trials that there are.
        pruned_before: share of a training before which no trial is stopped.

    Raises:
        ArtifactError: the study's file is damaged.
        ServiceError: the database is away, or another process goes on with the study.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("optuna").setLevel(logging.ERROR)
    with _held(place), _explained(place):
        study = _load(place)
        tried = len(study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=AT_RANDOM, seed=(seed + tried) % 2**32)
        study.pruner = optuna.pruners.MedianPruner(AT_RANDOM, n_warmup_steps=round(pruned_before * TENTHS))
        yield Study(study)


def forget_study(place: Place) -> None:
    """Remove a study and all its trials.

    Raises:
        ServiceError: the database is away, or another process goes on with the study.
    """
    with _held(place), _explained(place):
        if place.url is None:
            place.path.unlink(missing_ok=True)
        elif place.name in optuna.get_all_study_names(storage := _storage(place)):
            optuna.delete_study(study_name=place.name, storage=storage)


def study_names(place: Place) -> list[str]:
    """Return the names of all studies that are kept where this one is, or would be.

    Raises:
        ServiceError: the database is away.
    """
    if place.url is None:
        return sorted(path.name.removesuffix(ENDING) for path in place.folder.glob(f"*{ENDING}"))
    with _explained(place):
        return sorted(optuna.get_all_study_names(_storage(place)))


def _load(place: Place) -> optuna.Study:
    return optuna.create_study(
        storage=_storage(place), study_name=place.name, direction="maximize", load_if_exists=True
    )


def _storage(place: Place) -> BaseStorage:
    if place.url:
        return RDBStorage(_driver(place.url), engine_kwargs={"connect_args": {"connect_timeout": PATIENCE_SECONDS}})
    with writing_explained(place.path):
        _forget_half_a_line(place.path)
        return JournalStorage(JournalFileBackend(str(place.path)))


def _forget_half_a_line(path: Path) -> None:
    """Cut off what a power cut left at the end of the journal: Optuna would write the next line behind it."""
    if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
        with path.open("rb+") as file:
            file.truncate(content.rfind(b"\n") + 1)


def _driver(url: str) -> str:
    """Return the address with the driver that is installed.

    Raises:
        ParamsError: it is not the address of a PostgreSQL database.
    """
    try:
        address = make_url(url)
        if address.get_backend_name() != POSTGRESQL:
            raise ParamsError(f"FASHION_STUDIES_URL: expected postgresql://, found {address.get_backend_name()}://")
    except (ArgumentError, ValueError) as error:
        raise ParamsError(f"FASHION_STUDIES_URL is not the address of a database: {error}") from error
    return address.set(drivername=f"{POSTGRESQL}+psycopg").render_as_string(hide_password=False)


@contextmanager
def _held(place: Place) -> Iterator[None]:
    """Hold the study for the duration of the block; the lock of a process that dies is free again.

    Raises:
        ServiceError: another process holds it.
    """
    with _lock_file(place) if place.url is None else _lock_in_database(place) as is_held:
        if not is_held:
            raise ServiceError(
                f"The study {place.name} is being worked on by another `fashion tune`. Wait for it, or begin another "
                "study beside it: fashion tune --study NAME"
            )
        yield


@contextmanager
def _lock_file(place: Place) -> Iterator[bool]:
    with try_hold(place.path.with_suffix(".lock")) as lock:
        yield lock is not None


@contextmanager
def _lock_in_database(place: Place) -> Iterator[bool]:
    engine = create_engine(_driver(str(place.url)), connect_args={"connect_timeout": PATIENCE_SECONDS})
    try:
        with _explained(place), engine.connect() as connection:
            name = {"name": f"fashion tune {place.name}"}
            yield bool(connection.scalar(text("SELECT pg_try_advisory_lock(hashtext(:name))"), name))
    finally:
        engine.dispose()


@contextmanager
def _explained(place: Place) -> Iterator[None]:
    """Turn what the storage raises into an error in words."""
    try:
        yield
    except SQLAlchemyError as error:
        raise ServiceError(
            f"The database of the studies ({place.url}) went away or refused: {error}\nWhat was tried stays; when it "
            "is well, the same command goes on from there."
        ) from error
    except StorageInternalError as error:
        raise ServiceError(f"The database of the studies ({place.url}) refused: {error}") from error
    except (ValueError, KeyError) as error:
        if place.url is None and _is_damaged(place.path):
            raise ArtifactError(
                f"The study {place.path} is damaged ({error}). Restore it from a backup, or begin it anew: "
                "fashion tune --restart"
            ) from error
        raise


def _is_damaged(path: Path) -> bool:
    """Return whether the journal cannot be read from its beginning to its end."""
    try:
        JournalStorage(JournalFileBackend(str(path))).get_all_studies()
    except Exception:  # noqa: BLE001, whatever a damaged line makes of it
        return True
    return False
