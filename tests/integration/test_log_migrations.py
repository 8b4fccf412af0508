"""A prediction log of earlier code becomes one of today's, with everything that is in it."""

import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from fashion.adapters.predictions import (
    Model,
    PredictionLog,
    WindowHistory,
    count_waiting,
    migrations,
    read_pictures,
    read_survey,
)
from fashion.adapters.predictions.migrations import NEWEST, VERSION_TABLE, _scripts
from fashion.adapters.predictions.tables import metadata
from fashion.errors import ServiceError
from fashion.evaluation.survey import Survey
from tests.logs import KINDS, clear, connected, make_earlier, record_at, write_as_earlier

THEN = datetime(2026, 1, 1, tzinfo=UTC)
WRITE = """
import sys
from fashion.adapters.predictions import PredictionLog
from tests.logs import record
log = PredictionLog(sys.argv[1])
log.write([record() for _ in range(10)])
log.close()
"""
OPEN = """
import logging, sys
logging.basicConfig(level=logging.INFO)
from fashion.adapters.predictions import PredictionLog
log = PredictionLog(sys.argv[1])
print(log.count(), "alembic" in sys.modules)
"""


@pytest.fixture(params=KINDS)
def url(request, tmp_path):
    """The address of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/log.db"
    address = request.getfixturevalue("postgresql_server")
    clear(address)
    return address


@pytest.fixture(params=[True, False], ids=["0.1.0", "before identities"])
def earlier(request, url):
    """The address of a log of earlier code with six predictions, and these; the first of their ids came last."""
    records = [record_at(THEN + timedelta(seconds=second)) for second in range(6)]
    make_earlier(url, identity=request.param)
    write_as_earlier(url, [*records[1:], records[0]], identity=request.param)
    with connected(url) as connection:
        for index, label in ((1, 3), (2, 4), (1, 5)):
            row = {"id": records[index].id, "label": label, "time": THEN.replace(tzinfo=None)}
            insert = "INSERT INTO labels (prediction_id, label, time, source) VALUES (:id, :label, :time, 'test')"
            connection.execute(text(insert), row)
        add_window(connection, 1, "00000000-0000-7000-8000-000000000000", "00000000-0000-7000-8000-000000000001")
        add_window(connection, 2, records[0].id, records[2].id)
    return url, records


def add_window(connection, number, first, last):
    row = {"number": number, "first": first, "last": last, "time": THEN.replace(tzinfo=None)}
    names = (
        'number, time, model_version, first_id, last_id, start, "end", predictions, scores, verdict, drifted, alarm, '
    )
    names += "because, estimated_accuracy, labelled, correct, by_class"
    values = ":number, :time, '1', :first, :last, :time, :time, 3, '{\"class mix\": 0.5}', 'clean', false, false, "
    values += "'3 predictions', 0.9, 0, 0, '{\"3\": [1, 0]}'"
    connection.execute(text(f"INSERT INTO windows ({names}) VALUES ({values})"), row)


def test_a_log_of_earlier_code_goes_on_with_everything_that_is_in_it(earlier):
    url, records = earlier
    for _ in range(2):  # The second time nothing is left to do.
        with closing(PredictionLog(url)) as log:
            window = log.read_window()
            assert list(window.ids) == [one.id for one in records]
            assert (window.images == [one.image for one in records]).all()
            assert list(window.numbers) == [1, 2, 3, 4, 5, 6]
            assert list(window.labels) == [-1, 5, 4, -1, -1, -1]
            assert (list(window.asked), set(window.sources)) == ([False] * 6, {None})
            gone, judged = WindowHistory(log, "m").read(10)
            assert (judged.first_number, judged.last_number, judged.by_class) == (1, 3, {"3": (1, 0)})
            assert gone.first_number > gone.last_number
            assert count_waiting(log) == 2
    with closing(PredictionLog(url)) as log:
        log.write([later := record_at(THEN - timedelta(days=1))])
        assert list(log.read_window(after=judged.last_number).ids) == [*(one.id for one in records[3:]), later.id]
        WindowHistory(log, "m").refresh(10)
        # Nobody asked for these labels: what earlier code has counted stays.
        assert [one.by_class for one in WindowHistory(log, "m").read(10)][1] == {"3": (1, 0)}


@pytest.mark.parametrize("revision", ["0002", "0003", "0004", "0005"])
def test_a_log_of_an_earlier_revision_keeps_its_rows_and_takes_pictures(url, monkeypatch, revision):
    """0.2.0 made 0002."""
    with monkeypatch.context() as earlier:
        earlier.setattr(migrations, "NEWEST", revision)
        with closing(PredictionLog(url)) as log:
            log.count()
    write_as_earlier(url, records := [record_at(THEN + timedelta(seconds=second)) for second in range(3)])
    with closing(PredictionLog(url)) as log:
        assert list(log.read_window().ids) == [one.id for one in records]
        log.write([pictured := record_at(THEN + timedelta(days=1), picture=b"sent")])
        ids = [one.id for one in (*records, pictured)]
        assert list(read_pictures(log, ids)) == [None, None, None, b"sent"]
        assert list(log.read_window().numbers) == [1, 2, 3, 4]


@pytest.mark.parametrize(("thinned", "survey"), [(True, Survey(8, 5)), (False, Survey(22, 7))])
def test_requests_among_which_earlier_code_has_removed_some_do_not_count_as_asked_for(
    url, monkeypatch, thinned, survey
):
    """Earlier code kept what was answered, and did not count what it removed."""
    with monkeypatch.context() as earlier, closing(PredictionLog(url)) as log:
        earlier.setattr(migrations, "NEWEST", "0005")
        log.write(records := [record_at(THEN, model="ours", asked=True) for _ in range(22)])
        for index in (3, 9, 14, 15, 16, 18, 21):
            log.add_label(records[index].id, 1, "test")
    with connected(url) as connection:
        if thinned:
            answered = "id IN (SELECT prediction_id FROM labels)"
            connection.execute(text(f"DELETE FROM predictions WHERE number <= 14 AND NOT {answered}"))
    with closing(PredictionLog(url)) as log:
        assert read_survey(log, Model("ours", ("a", "b"))) == survey
        assert log.read_window().survey == survey
        assert count_waiting(log) == 7


def test_processes_that_open_a_log_of_earlier_code_at_once_write_one_after_the_other(url):
    make_earlier(url)
    write_as_earlier(url, [record_at(THEN + timedelta(seconds=second)) for second in range(6)])
    processes = [subprocess.Popen([sys.executable, "-c", WRITE, url]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    with closing(PredictionLog(url)) as log:
        assert list(log.read_window().numbers) == list(range(1, 27))


def test_what_earlier_code_writes_beside_this_one_is_numbered_when_the_log_is_opened(earlier):
    url, records = earlier
    with closing(PredictionLog(url)) as log:
        log.write([ours := record_at(THEN + timedelta(days=1))])
    write_as_earlier(url, [theirs := record_at(THEN + timedelta(hours=1))])
    with closing(PredictionLog(url)) as log:
        assert list(log.read_window(after=len(records)).ids) == [ours.id, theirs.id]


def test_the_scripts_make_the_tables_that_the_code_knows(url):
    with closing(PredictionLog(url)) as log:
        log.count()
    assert _scripts().get_current_head() == NEWEST
    with connected(url) as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []


def test_a_log_of_later_code_is_refused_and_left_as_it_is(url):
    with closing(PredictionLog(url)) as log:
        log.count()
    with connected(url) as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with (
        closing(PredictionLog(url)) as log,
        pytest.raises(ServiceError, match=r"later code.* 9999, .* to 0\d+\. Bring"),
    ):
        log.count()
    with connected(url) as connection:
        assert connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == "9999"


def test_the_version_of_another_tool_in_the_same_database_is_not_ours(url):
    """MLflow keeps its own in `alembic_version`."""
    with connected(url) as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('theirs')"))
    with closing(PredictionLog(url)) as log:
        assert log.count() == 0
    with connected(url) as connection:
        assert connection.scalars(text("SELECT version_num FROM alembic_version")).all() == ["theirs"]
        connection.execute(text("DROP TABLE alembic_version"))


def test_migrations_print_nothing_and_a_log_that_is_up_to_date_costs_no_import(tmp_path):
    for expected in ("0 True", "0 False"):
        command = [sys.executable, "-c", OPEN, f"sqlite:///{tmp_path}/log.db"]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        assert (found.stdout.strip(), found.stderr) == (expected, "")
