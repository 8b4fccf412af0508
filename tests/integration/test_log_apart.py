"""Answers to a batch in the prediction log: there for who reads the table, left out of everything else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from fashion.adapters.predictions import (
    BATCH,
    Forgotten,
    Model,
    count_waiting,
    forget,
    id_of,
    mark_collected,
    read_use,
    write_apart,
)
from fashion.serving.keys import NAME
from tests.logs import record

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
SHAPE = (28, 28, 1)


def batch(count, first=0):
    """Answers to a batch, the same ones for the same numbers."""
    return [replace(record(), id=id_of(NOW, f"plan {first + number}"), source=BATCH) for number in range(count)]


def stored(log, condition="number < 0"):
    with log.transaction() as connection:
        chosen = text(f"SELECT id, number FROM predictions WHERE {condition} ORDER BY number DESC")
        return connection.execute(chosen).all()


def test_they_are_written_once_and_stand_outside_of_the_order(log):
    log.write([record()])
    apart = batch(3)
    write_apart(log, apart)
    write_apart(log, apart)
    write_apart(log, batch(2, first=3))
    log.write([record()])
    rows = stored(log)
    assert [row.id for row in rows] == [one.id for one in [*apart, *batch(2, first=3)]]
    assert all(row.number < 0 for row in rows)
    assert [row.number for row in stored(log, "number > 0")] == [2, 1]
    assert not NAME.fullmatch(BATCH)


def test_monitoring_collecting_and_the_state_of_the_log_leave_them_out(log):
    kept = [record(model="it") for _ in range(3)]
    log.write(kept)
    apart = [replace(one, model="it") for one in batch(4)]
    write_apart(log, apart)
    ids = [one.id for one in kept]
    assert [log.knows(one.id) for one in (kept[0], apart[0])] == [True, False]  # Nobody would read its label.
    assert list(log.read_window().ids) == ids
    assert list(log.read_window(limit=2).ids) == ids[1:]
    assert list(log.read_window(since=NOW - DAY).ids) == ids
    log.add_label(ids[0], 1, "test", "a")
    log.add_label(apart[0].id, 1, "test", "a")
    read = log.read_labels(SHAPE, model=Model("it", tuple("abcdefghij")))
    assert list(read["id"]) == ids[:1]
    assert count_waiting(log) == 1
    mark_collected(log, read)
    assert count_waiting(log) == 0
    use = read_use(log, "it", 5)
    assert (use.predictions, use.unjudged, use.uncollected, log.count()) == (3, 3, 0, 3)


def test_retention_neither_counts_nor_removes_them(log):
    write_apart(log, batch(4))
    assert forget(log, NOW + DAY, beyond=0) == Forgotten(removed=0)
    assert log.describe_clock() is None
    log.write([record() for _ in range(5)])
    assert forget(log, NOW - DAY, beyond=5) == Forgotten(removed=0)
    assert forget(log, NOW - DAY, beyond=2) == Forgotten(removed=3)
    write_apart(log, batch(3, first=4))
    assert forget(log, NOW + DAY, beyond=10) == Forgotten(removed=2)
    assert len(stored(log)) == 7
    assert not len(log.read_window())


def test_an_id_says_when_its_plan_was_made_and_is_the_same_again():
    one = UUID(id_of(NOW, "a"))
    assert one == UUID(id_of(NOW, "a"))
    assert one != UUID(id_of(NOW, "b"))
    assert (one.version, one.variant) == (7, "specified in RFC 4122")
    assert one.int >> 80 == int(NOW.timestamp() * 1000)
