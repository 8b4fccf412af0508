"""The prediction log in SQLite and in PostgreSQL."""

import os
import socket
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from sqlalchemy import delete, text
from sqlalchemy.exc import IntegrityError

from fashion.adapters.predictions import (
    JudgedWindow,
    Label,
    ModelVersion,
    PredictionLog,
    WindowHistory,
    forget,
    mark_collected,
    new_id,
)
from fashion.adapters.predictions.log import KEPT_LABELS
from fashion.adapters.predictions.tables import predictions
from fashion.errors import DataError, ParamsError, ServiceError
from fashion.evaluation.alarm import Verdict
from fashion.images.descriptors import content_hashes, describe
from fashion.settings import predictions_url
from tests.logs import record
from tests.servers import end, postgresql

NOW = datetime.now(UTC)


def version(number, identity=None, created=NOW - timedelta(days=1)):
    return ModelVersion(number, identity, created)


def test_everything_that_was_written_is_read_again(log):
    records = [record(), record(reason="unsure"), record()]
    log.write(records)
    window = log.read_window()
    assert list(window.ids) == [one.id for one in records]
    assert (window.images == np.stack([one.image for one in records])).all()
    assert (window.probabilities == np.stack([one.probabilities for one in records])).all()
    assert (window.embeddings == np.stack([one.embedding for one in records])).all()
    assert (window.predicted == window.probabilities.argmax(axis=1)).all()
    assert window.reasons == (None, "unsure", None)
    assert list(window.versions) == ["1"] * 3
    assert list(window.labels) == [-1] * 3
    assert [time.astype(datetime).replace(tzinfo=UTC) for time in window.times] == [one.time for one in records]
    expected = describe(window.images)
    assert (window.descriptors[expected.columns] == expected).all(axis=None)


def test_the_newest_label_counts(log):
    records = [record() for _ in range(3)]
    log.write(records)
    assert log.add_label(records[1].id, 4, "test") is None
    assert log.add_label(records[1].id, 7, "test", "Sneaker") == Label(4, None)
    assert log.add_label(records[1].id, 7, "test") == Label(7, "Sneaker")
    assert log.add_label(records[2].id, 0, "test") is None
    assert list(log.read_window().labels) == [-1, 7, 0]


def test_labels_are_read_in_the_order_in_which_they_came_and_their_images_as_far_as_they_are_still_there(log):
    records = [record() for _ in range(3)]
    log.write([*records, record(size=(12, 9))])
    before = datetime.now(UTC).replace(tzinfo=None)
    for number, label in ((2, 4), (0, 5), (2, 6), (1, 7)):
        log.add_label(records[number].id, label, "test")
    found = log.read_labels((28, 28, 1))
    assert list(found["id"]) == [records[number].id for number in (0, 2, 1)]
    assert list(found["label"]) == [5, 6, 7]
    assert found["labelled"].between(before, datetime.now(UTC).replace(tzinfo=None)).all()
    assert list(found["content_hash"]) == content_hashes(np.stack([records[number].image for number in (0, 2, 1)]))
    with log.transaction() as connection:
        connection.execute(delete(predictions).where(predictions.c.id == records[0].id))
    labelled = log.read_labelled(found, (28, 28, 1))
    assert list(labelled.ids) == [records[1].id, records[2].id]
    assert list(labelled.labels) == [7, 6]
    assert (labelled.images == np.stack([one.image for one in records[1:]])).all()
    assert len(log.read_labels((28, 28, 1), since=datetime.now(UTC) + timedelta(seconds=1))) == 0
    assert log.read_labelled(found[:0], (28, 28, 1)).images.shape == (0, 28, 28, 1)


def test_of_many_labels_on_one_prediction_the_last_ones_are_kept(log):
    records = [record() for _ in range(2)]
    log.write(records)
    log.add_label(records[0].id, 9, "test")
    for number in range(3 * KEPT_LABELS):
        log.add_label(records[1].id, number % 7, "test")
    assert log.add_label(records[1].id, 5, "test") == Label((3 * KEPT_LABELS - 1) % 7, None)
    assert list(log.read_window().labels) == [9, 5]
    with log.transaction() as connection:
        assert connection.scalar(text("SELECT count(*) FROM labels")) == 1 + KEPT_LABELS


def test_windows_go_on_where_the_last_one_ended(log):
    log.write(first := [record() for _ in range(10)])
    after = int(log.read_window().numbers[-1])
    log.write(second := [record() for _ in range(15)])
    assert list(log.read_window().ids) == [one.id for one in (*first, *second)]
    assert list(log.read_window(after=after).ids) == [one.id for one in second]


def test_of_too_many_predictions_the_newest_are_read_in_their_order(log):
    log.write(records := [record() for _ in range(25)])
    assert list(log.read_window(limit=10).ids) == [one.id for one in records[15:]]


def test_a_window_ends_before_a_moment_and_holds_one_version(log):
    log.write([record("1"), record("2")])
    time.sleep(0.01)
    moment = datetime.now(UTC)
    log.write([late := record("2")])
    assert late.id not in log.read_window(until=moment).ids
    assert list(log.read_window(since=moment).ids) == [late.id]
    assert len(log.read_window(version=version("2"))) == 2
    assert len(log.read_window(until=moment, version=version("2"))) == 1


def test_versions_of_one_number_are_told_apart_by_their_identity_and_where_there_is_none_by_time(log):
    """A registry that was made anew begins again with version 1."""
    old, new = record(model_identity="1-old"), record(model_identity="1-new")
    unknown = record()
    log.write([old, new, unknown])
    assert list(log.read_window(version=version("1", "1-new")).ids) == [new.id, unknown.id]
    later = version("1", "1-new", created=unknown.time + timedelta(microseconds=1))
    assert list(log.read_window(version=later).ids) == [new.id]
    history = WindowHistory(log, "m")
    judged_old = replace(judged(1, [old]), model_identity="1-old")
    history.add(judged_old)
    assert history.read(10, version("1", "1-old")) == [judged_old]
    assert history.read(10, version("1", "1-new")) == []


def test_an_empty_window_has_empty_arrays(log):
    log.write([record()])
    window = log.read_window(after=int(log.read_window().numbers[-1]))
    assert len(window) == len(window.images) == len(window.probabilities) == len(window.descriptors) == 0


def test_predictions_of_models_of_different_sizes_are_read_by_version(log):
    log.write([record("1"), record("2", size=(12, 9), classes=3)])
    with pytest.raises(DataError, match="read those of one version"):
        log.read_window()
    assert log.read_window(version=version("2")).images.shape == (1, 12, 9, 1)


def test_images_in_colour_are_read_as_they_were_and_apart_from_grey_ones_of_their_size(log):
    grey, colour = record("1"), record("2", channels=3)
    log.write([grey, colour])
    for one in (grey, colour):
        log.add_label(one.id, 1, "test")
    with pytest.raises(DataError, match="read those of one version"):
        log.read_window()
    for one in (grey, colour):
        shape = one.image.shape
        found = log.read_labels(shape)
        assert list(found["id"]) == [one.id]
        for images in (
            log.read_window(version=version(one.model_version)).images,
            log.read_labelled(found, shape).images,
        ):
            assert images.shape == (1, *shape)
            assert (images == one.image).all()


def test_a_model_without_an_embedding_is_logged_too(log):
    log.write([record(embedding=np.empty(0, np.float32))])
    assert log.read_window().embeddings.shape == (1, 0)


def test_writing_again_what_is_there_changes_nothing(log):
    records = [record(), record()]
    log.write(records[:1])
    log.write(records)
    assert log.count() == 2


def test_a_batch_that_the_database_refuses_leaves_nothing_behind_and_is_not_called_a_log_that_is_away(log):
    with pytest.raises(IntegrityError):
        log.write([record(), record(id=None)])
    assert log.count() == 0


def test_an_error_of_whoever_uses_a_transaction_is_not_blamed_on_the_log(log):
    with pytest.raises(PermissionError, match="not mine"), log.transaction():
        raise PermissionError("not mine")
    assert log.count() == 0


def test_old_and_surplus_predictions_are_forgotten_with_their_labels(log):
    records = [record() for _ in range(6)]
    log.write(records)
    for one in records:
        log.add_label(one.id, 1, "test")
    mark_collected(log, log.read_labels((28, 28, 1)))
    long_ago = NOW - timedelta(days=1)
    assert forget(log, before=long_ago, beyond=4).removed == 2
    assert list(log.read_window().ids) == [one.id for one in records[2:]]
    assert forget(log, before=long_ago, beyond=100).removed == 0
    assert forget(log, before=datetime.now(UTC) + timedelta(seconds=1), beyond=100).removed == 4
    assert not log.knows(records[5].id)


@pytest.mark.parametrize("moment", [datetime(1969, 12, 31, tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
def test_from_a_moment_before_1970_on_everything_is_read_and_nothing_is_older(log, moment):
    log.write(records := [record() for _ in range(2)])
    log.add_label(records[0].id, 1, "test")
    assert len(log.read_window(since=moment)) == 2
    assert len(log.read_window(until=moment)) == 0
    assert list(log.read_labels((28, 28, 1), since=moment)["id"]) == [records[0].id]
    assert forget(log, before=moment, beyond=100).removed == 0


def test_many_threads_write_and_label_at_once(log):
    def work():
        for _ in range(10):
            one = record()
            log.write([one])
            log.add_label(one.id, 3, "test")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (log.read_window().labels == 3).sum() == 40


def judged(number, records, version="1", verdict=Verdict.CLEAN, first=1):
    return JudgedWindow(
        number=number,
        time=NOW,
        model_version=version,
        first_id=records[0].id,
        last_id=records[-1].id,
        first_number=first,
        last_number=first + len(records) - 1,
        start=records[0].time,
        end=records[-1].time,
        predictions=len(records),
        scores={"embeddings": 0.25, "class mix": -1.5},
        verdict=verdict,
        because="10 predictions like the reference",
        estimated_accuracy=0.9,
        by_class={},
    )


def test_windows_that_were_judged_are_read_again(log):
    log.write(records := [record() for _ in range(4)])
    history = WindowHistory(log, "m")
    added = [judged(1, records[:2]), judged(2, records[2:3], "2", first=3)]
    added.append(replace(judged(3, records[3:], verdict=Verdict.ALARM, first=4), model="m", classes=("a", "b")))
    for one in added:
        history.add(one)
    assert history.read(10) == added
    assert history.read(2) == added[1:]
    assert history.read(10, version=version("1")) == [added[0], added[2]]
    with pytest.raises(ServiceError, match="Window 3 of m was recorded by another monitor") as raised:
        history.add(judged(3, records))
    assert "Start the database" not in str(raised.value)
    assert not WindowHistory(log, "n").add(replace(judged(3, records), model="n"))
    assert history.read(10) == added


def test_labels_that_come_later_are_counted_in_their_windows(log):
    records = [record(asked=True) for _ in range(6)]
    log.write([*records[:3], other := record("2", asked=True), *records[3:]])
    history = WindowHistory(log, "m")
    history.add(replace(judged(1, records[:3]), last_number=4))
    history.add(judged(2, records[3:], first=5))
    right, wrong = int(records[0].probabilities.argmax()), (int(records[1].probabilities.argmax()) + 1) % 10
    for one, label in ((records[0], right), (records[1], right), (records[1], wrong), (other, right)):
        log.add_label(one.id, label, "test")
    history.refresh(1)
    assert [window.labelled for window in history.read(10)] == [0, 0]
    history.refresh(2)
    first, second = history.read(10)
    assert (first.labelled, first.correct, second.labelled) == (2, 1, 0)
    counted = {str(right): (1, 1), str(wrong): (1, 0)} if right != wrong else {str(right): (2, 1)}
    assert first.by_class == counted
    mark_collected(log, log.read_labels((28, 28, 1)))
    forget(log, before=datetime.now(UTC) + timedelta(seconds=1), beyond=0)
    history.refresh(2)
    assert history.read(10)[0] == first


def test_ids_sort_by_time_and_are_uuids_of_version_7():
    made = []
    for _ in range(50):
        made.append(new_id())
        time.sleep(0.0005)
    assert made == sorted(made)
    assert {(one[14], one[19] in "89ab", len(one)) for one in made} == {("7", True, 36)}


def test_sqlite_lets_others_read_while_it_writes(tmp_path):
    log = PredictionLog(f"sqlite:///{tmp_path}/log.db")
    log.write([record()])
    with sqlite3.connect(tmp_path / "log.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    log.close()


def test_a_database_that_another_program_holds_is_not_called_away(tmp_path, monkeypatch):
    monkeypatch.setattr("fashion.adapters.predictions.engine.PATIENCE_SECONDS", 0)
    log = PredictionLog(f"sqlite:///{tmp_path}/log.db")
    log.write([record()])
    with closing(sqlite3.connect(tmp_path / "log.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ServiceError, match="Another program has locked it") as raised:
            log.write([record()])
    assert "Start the database" not in str(raised.value)
    log.write([record()])
    log.close()


def test_a_new_database_that_another_program_holds_for_a_moment_is_waited_for(tmp_path, monkeypatch):
    with closing(sqlite3.connect(tmp_path / "log.db")) as other:
        other.execute("CREATE TABLE theirs (number)")
        other.execute("BEGIN EXCLUSIVE")
        # As where two processes change the journal at once, SQLite does not wait; the pause is when the other one ends.
        engine = "fashion.adapters.predictions.engine"
        monkeypatch.setattr(f"{engine}.PATIENCE_SECONDS", 0)
        clock = SimpleNamespace(sleep=lambda _: other.rollback(), monotonic=lambda: 0)
        monkeypatch.setattr(f"{engine}.time", clock)
        with closing(PredictionLog(f"sqlite:///{tmp_path}/log.db")) as log:
            log.write([record()])
            assert log.count() == 1


def test_a_database_that_went_away_is_used_again_once_it_is_back(tmp_path):
    folder = tmp_path / "state"
    folder.write_text("in the way")
    log = PredictionLog(f"sqlite:///{folder}/log.db")
    with pytest.raises(ServiceError, match="FASHION_PREDICTIONS_URL"):
        log.write([record()])
    folder.unlink()
    log.write([record()])
    assert log.count() == 1
    log.close()


def test_a_postgresql_that_is_killed_is_one_clear_error():
    with postgresql() as (address, process):
        log = PredictionLog(address)
        log.write([record()])
        end(process)
        with pytest.raises(ServiceError, match="Start the database"):
            log.write([record()])
        log.close()


def test_a_postgresql_that_takes_too_long_or_goes_without_a_word_is_given_up(postgresql_server, monkeypatch):
    monkeypatch.setattr("fashion.adapters.predictions.engine.STATEMENT_SECONDS", 0.1)
    log = PredictionLog(f"{postgresql_server}?keepalives_idle=60")
    log.write([record()])
    with log.transaction() as holder:
        holder.execute(text("LOCK TABLE predictions IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(ServiceError, match="statement timeout"):
            log.write([record()])
    with log.transaction() as connection, closing(socket.socket(fileno=os.dup(descriptor(connection)))) as line:
        assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
        assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
    log.close()


def descriptor(connection):
    return connection.connection.driver_connection.fileno()


def test_many_old_predictions_are_forgotten_part_by_part(log, monkeypatch):
    monkeypatch.setattr("fashion.adapters.predictions.retention.AT_ONCE", 2)
    log.write(records := [record() for _ in range(7)])
    for one in records:
        log.add_label(one.id, 1, "test")
    mark_collected(log, log.read_labels((28, 28, 1)))
    assert forget(log, before=NOW - timedelta(days=1), beyond=2).removed == 5
    assert list(log.read_window().ids) == [one.id for one in records[5:]]
    with log.transaction() as connection:
        assert connection.scalar(text("SELECT count(*) FROM labels")) == 2


def test_a_password_is_not_shown():
    log = PredictionLog("postgresql://someone:secret@127.0.0.1:9/log")
    with pytest.raises(ServiceError) as raised:
        log.count()
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    ["no address", "mysql://127.0.0.1/log", "", "postgresql://127.0.0.1:port/log", "sqlite:///log.db?timeout=long"],
)
def test_an_address_of_another_kind_is_refused(url):
    with pytest.raises(ParamsError, match="FASHION_PREDICTIONS_URL"):
        PredictionLog(url)


def test_the_default_lies_below_the_project(project, monkeypatch):
    assert predictions_url(project) == f"sqlite:///{project.root}/.state/predictions.db"
    monkeypatch.setenv("FASHION_PREDICTIONS_URL", "postgresql://somewhere/log")
    assert predictions_url(project) == "postgresql://somewhere/log"
