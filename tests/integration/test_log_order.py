"""Predictions are in the order in which they arrive, whatever the clocks say."""

import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, text

from fashion.adapters.predictions import PredictionLog
from fashion.adapters.predictions.order import take_numbers
from fashion.adapters.predictions.rows import to_rows
from fashion.adapters.predictions.tables import predictions
from tests.logs import record, record_at
from tests.servers import wait_until

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


def address(log):
    return log._engine.url.render_as_string(hide_password=False)


@pytest.mark.parametrize("skew", [-HOUR, HOUR], ids=["went back", "was ahead and is right again"])
def test_a_clock_that_changes_loses_no_prediction_to_a_reader_that_goes_on(log, skew):
    log.write(before := [record_at(NOW + max(skew, 0 * HOUR))])
    last = int(log.read_window().numbers[-1])
    log.write(after := [record_at(NOW + min(skew, 0 * HOUR) + timedelta(seconds=second)) for second in range(3)])
    assert list(log.read_window(after=last).ids) == [one.id for one in after]
    assert list(log.read_window().ids) == [one.id for one in (*before, *after)]
    assert list(log.read_window(limit=2).ids) == [one.id for one in after[1:]]


def test_two_services_whose_clocks_differ_by_two_seconds_are_read_to_the_last_prediction(log):
    read, last = [], 0
    for second in range(4):
        for skew in (0, 2):
            log.write([record_at(NOW + timedelta(seconds=second + skew))])
        window = log.read_window(after=last)
        last = int(window.numbers[-1])
        read += list(window.ids)
    assert len(set(read)) == len(read) == 8


def test_who_sees_a_number_sees_all_smaller_ones(log):
    """One writer has its numbers and is slow to end; another one comes after it, and a reader looks meanwhile."""
    slow, fast = record(), record()
    thread = threading.Thread(target=log.write, args=([fast],))
    with log.transaction() as connection:
        (number,) = take_numbers(connection, 1)
        connection.execute(insert(predictions), to_rows([slow])[0] | {"number": number})
        thread.start()
        if connection.dialect.name == "postgresql":  # In SQLite there is one writer at a time anyway.
            wait_until(lambda: connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))
        with closing(PredictionLog(address(log))) as other:
            assert len(read_only(other)) == 0
    thread.join()
    assert list(log.read_window().ids) == [slow.id, fast.id]


def read_only(log):
    """What a reader finds that does not wait for writers, as one whose log is open already."""
    log._ready = True
    return log.read_window()


def test_a_reader_that_goes_on_passes_nothing_over_while_others_write(log):
    written, read, last = [], [], 0
    records = [[record() for _ in range(12)] for _ in range(4)]

    def write(batch):
        for one in batch:
            log.write([one])
            written.append(one.id)

    threads = [threading.Thread(target=write, args=(batch,)) for batch in records]
    for thread in threads:
        thread.start()
    at_work = True
    while at_work:
        at_work = any(thread.is_alive() for thread in threads)
        window = log.read_window(after=last)
        read += list(window.ids)
        last = max([last, *window.numbers])
    assert (len(read), set(read)) == (48, set(written))


def test_a_writing_that_fails_leaves_no_hole_and_takes_no_number(log):
    log.write([first := record()])
    with pytest.raises(RuntimeError), log.transaction() as connection:
        take_numbers(connection, 100)
        raise RuntimeError
    log.write([first, second := record()])
    assert list(log.read_window().ids) == [first.id, second.id]
    assert list(log.read_window().numbers) == [1, 3]  # What was there already keeps its number.


def test_a_newest_prediction_from_the_future_is_said(log):
    assert log.describe_clock() is None
    log.write([record_at(NOW + timedelta(minutes=2))])
    assert log.describe_clock() is None
    log.write([record_at(NOW + 2 * HOUR)])
    assert "ahead of this machine's" in log.describe_clock()
    log.write([record()])
    assert log.describe_clock() is None
