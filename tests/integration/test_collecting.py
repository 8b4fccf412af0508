"""Clones that collect labels from one log in PostgreSQL: in turn, and knowing what the last one made."""

import logging
import subprocess
import sys
from contextlib import closing

import pytest

from fashion.adapters.predictions import Collection, PredictionLog, collecting, last_collection
from fashion.errors import ServiceError
from tests.logs import clear, connected
from tests.projects import SOURCE

HOLD = """
import sys
from fashion.adapters.predictions import Collection, PredictionLog, collecting
with collecting(PredictionLog(sys.argv[1]), "garments", "ann@here:/fashion") as turn:
    turn.record(Collection("never", "1", "ann@here:/fashion"))
    print("holding", flush=True)
    sys.stdin.read()
"""
MADE = Collection("20261101T120000-ab", "0123.dir", "ann@here:/fashion")


@pytest.fixture
def log(postgresql_server):
    clear(postgresql_server)
    with closing(PredictionLog(postgresql_server)) as log:
        yield log


@pytest.fixture
def holder(log, postgresql_server):
    """Another process in which a clone collects."""
    log.count()
    command = [sys.executable, "-c", HOLD, postgresql_server]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=SOURCE, text=True, **pipes) as process:
        assert process.stdout.readline() == "holding\n"
        yield process
        process.kill()


class OnFirstWord(logging.Handler):
    """Does something as soon as somebody says for whom it waits."""

    def __init__(self, do):
        super().__init__()
        self.said, self._do = [], do

    def emit(self, record):
        self.said.append(record.getMessage())
        self._do()


def test_a_clone_waits_for_another_one_and_not_if_that_is_killed(log, holder):
    listener = OnFirstWord(holder.kill)
    logger = logging.getLogger("fashion.adapters.predictions.collecting")
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    try:
        with collecting(log, "garments", "bob@there:/fashion") as turn:
            assert turn.last() is None
    finally:
        logger.removeHandler(listener)
        logger.setLevel(logging.NOTSET)
    assert listener.said[0] == "Waiting for fashion collect in ann@here:/fashion"


def test_labels_of_another_model_are_nobody_elses_turn(log, holder):
    with collecting(log, "shoes", "bob@there:/fashion") as turn:
        assert turn is not None
    assert holder.poll() is None


def test_what_was_collected_last_is_known_to_the_others_when_the_turn_ends_well(log):
    with pytest.raises(ValueError, match="refused"), collecting(log, "garments", MADE.clone) as turn:
        turn.record(MADE)
        raise ValueError("refused")
    assert last_collection(log, "garments") is None
    for batch in ("earlier", MADE.batch):
        with collecting(log, "garments", MADE.clone) as turn:
            turn.record(Collection(batch, MADE.data_version, MADE.clone))
    assert last_collection(log, "garments") == MADE
    assert last_collection(log, "shoes") is None


def test_a_turn_that_was_lost_meanwhile_is_told(log, postgresql_server):
    with pytest.raises(ServiceError, match="cannot be used"), collecting(log, "garments", MADE.clone) as turn:
        with connected(postgresql_server) as others:
            others.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ann@here:/fashion'"
            )
        turn.record(MADE)
    assert last_collection(log, "garments") is None


def test_a_log_in_sqlite_has_no_turns(tmp_path):
    with closing(PredictionLog(f"sqlite:///{tmp_path}/log.db")) as log, collecting(log, "garments", "ann") as turn:
        assert turn is None
