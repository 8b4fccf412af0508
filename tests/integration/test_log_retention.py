"""What is removed from the prediction log, and what stays until it was collected."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, func, select

from fashion.adapters.predictions import (
    Forgotten,
    Model,
    ModelVersion,
    count_waiting,
    forget,
    mark_collected,
    read_survey,
    read_wanted,
)
from fashion.adapters.predictions.tables import removed_requests
from fashion.adapters.predictions.wanted import count_wanted
from fashion.evaluation.survey import Survey
from tests.logs import record, record_at

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
SHAPE = (28, 28, 1)
OURS = Model("ours", tuple("abc"))


def write(log, count, labelled=0, moment=NOW, **changes):
    """Log predictions, of which the first ones have a label; their ids."""
    records = [record_at(moment, **changes) for _ in range(count)]
    log.write(records)
    for one in records[:labelled]:
        log.add_label(one.id, 1, "test")
    return [one.id for one in records]


def there(log):
    return list(log.read_window().ids)


def test_labelled_predictions_stay_until_they_were_collected(log):
    ids = write(log, 6, labelled=2)
    assert forget(log, NOW - DAY, beyond=1) == Forgotten(removed=3, kept=2)
    assert there(log) == [*ids[:2], ids[5]]
    assert count_waiting(log) == 2
    mark_collected(log, log.read_labels(SHAPE)[:1])
    assert forget(log, NOW - DAY, beyond=1) == Forgotten(removed=1, kept=1)
    mark_collected(log, log.read_labels(SHAPE))
    assert forget(log, NOW - DAY, beyond=1) == Forgotten(removed=1)
    assert there(log) == ids[5:]


def test_a_label_that_was_corrected_since_it_was_collected_waits_again(log):
    (one,) = write(log, 1, labelled=1)
    log.add_label(one, 2, "test")
    read = log.read_labels(SHAPE)
    log.add_label(one, 3, "test")
    mark_collected(log, read)
    assert not log.read_labels(SHAPE)["collected"].any()
    assert forget(log, NOW + DAY, beyond=0) == Forgotten(removed=0, kept=1)
    mark_collected(log, log.read_labels(SHAPE))
    assert count_waiting(log) == 0
    assert forget(log, NOW + DAY, beyond=0) == Forgotten(removed=1)


def test_of_too_many_labelled_predictions_the_oldest_are_removed_and_counted(log, monkeypatch):
    monkeypatch.setattr("fashion.adapters.predictions.retention.KEPT_FOR_LABELS", 2)
    ids = write(log, 6, labelled=5)
    assert forget(log, NOW + DAY, beyond=0) == Forgotten(removed=4, kept=2, lost=3)
    assert there(log) == ids[3:5]
    assert forget(log, NOW + DAY, beyond=0) == Forgotten(removed=0, kept=2)


def test_what_is_old_is_removed_part_by_part_past_what_stays(log, monkeypatch):
    monkeypatch.setattr("fashion.adapters.predictions.retention.AT_ONCE", 2)
    monkeypatch.setattr("fashion.adapters.predictions.retention.IDS_AT_ONCE", 2)
    ids = write(log, 5, labelled=5) + write(log, 6)
    assert forget(log, NOW - DAY, beyond=1) == Forgotten(removed=5, kept=5)
    mark_collected(log, log.read_labels(SHAPE))
    assert forget(log, NOW - DAY, beyond=1) == Forgotten(removed=5)
    assert there(log) == ids[-1:]


def test_a_clock_that_was_ahead_keeps_nothing_and_one_that_was_behind_removes_nothing_young(log):
    write(log, 1, moment=NOW - 5 * DAY)
    write(log, 1, moment=NOW + 400 * DAY)
    write(log, 1, moment=NOW - 4 * DAY)
    young = write(log, 1, moment=NOW - DAY)
    behind = write(log, 1, moment=datetime(1970, 1, 1, tzinfo=UTC))
    ahead = write(log, 1, moment=NOW + 400 * DAY)
    assert forget(log, NOW - 2 * DAY, beyond=100) == Forgotten(removed=3)
    assert there(log) == [*young, *behind, *ahead]


def test_a_label_for_what_was_removed_is_for_a_prediction_that_is_not_known(log):
    (one,) = write(log, 1)
    forget(log, NOW + DAY, beyond=0)
    assert not log.knows(one)


def test_rows_that_were_collected_are_read_as_ever(log):
    """With an earlier version of the data their labels are new again."""
    log.write([one := record()])
    log.add_label(one.id, 4, "test")
    mark_collected(log, log.read_labels(SHAPE))
    found = log.read_labels(SHAPE)
    assert (list(found["id"]), list(found["collected"])) == ([one.id], [True])
    assert list(log.read_window().labels) == [4]


def request(log, count, labelled=0, model="ours"):
    return write(log, count, labelled, model=model, asked=True)


def count_removed_requests(log):
    with log.transaction() as connection:
        return connection.scalar(select(func.count()).select_from(removed_requests))


def test_requests_that_are_removed_unanswered_lower_the_response_until_the_labels_are_collected(log):
    """Labels that wait stay in the log: of what is left, all have one."""
    request(log, 10, labelled=1)
    request(log, 10, labelled=1)
    request(log, 5, model="another")
    write(log, 3)
    assert read_survey(log, OURS) == Survey(11, 2)
    for _ in range(2):
        forget(log, NOW + DAY, beyond=0)
        assert read_survey(log, OURS) == Survey(11, 2)
        assert read_survey(log, Model("another", ())) == Survey(0, 0)
    request(log, 4, labelled=4)
    assert read_survey(log, OURS) == Survey(24, 6)
    mark_collected(log, log.read_labels(SHAPE))
    request(log, 3, labelled=2)
    forget(log, NOW - DAY, beyond=3)
    assert read_survey(log, OURS) == Survey(2, 2)
    assert count_removed_requests(log) == 0


def test_requests_that_are_removed_lower_the_response_of_the_windows_in_which_they_were(log):
    """Else 100 labels given to mistakes alone count as a random sample as soon as nobody has looked for a month."""
    ids = request(log, 10, labelled=1)
    request(log, 8, labelled=1)
    request(log, 5, model="another")
    young = request(log, 3, labelled=2)
    ours = ModelVersion("1", None, NOW - DAY, "ours")
    read = log.read_labels(SHAPE)
    mark_collected(log, read[read["label_number"] == 2])
    before = log.read_window(version=ours).survey
    assert before == Survey(21, 4)
    forget(log, NOW - DAY, beyond=3)
    window = log.read_window(version=ours)
    assert list(window.ids) == [ids[0], *young]
    assert window.survey == before
    assert window.part(slice(1, None)).survey == Survey(20, 3)
    assert log.read_window(version=ours, limit=3).survey == Survey(3, 2)
    assert log.read_window(version=ModelVersion("1", None, NOW - DAY, "another")).survey == Survey(0, 0)
    assert log.read_window().survey == Survey(26, 4)


def test_requests_that_are_removed_with_a_collected_label_still_count_as_answered(log):
    request(log, 1, labelled=1)
    (waiting,) = log.read_labels(SHAPE)["id"]
    request(log, 8, labelled=8)
    read = log.read_labels(SHAPE)
    mark_collected(log, read[read["id"] != waiting])
    request(log, 1)
    forget(log, NOW + DAY, beyond=0)
    assert there(log) == [waiting]
    assert read_survey(log, OURS) == Survey(9, 9)


def test_of_too_many_removed_requests_the_newest_are_counted(log, monkeypatch):
    monkeypatch.setattr("fashion.adapters.predictions.retention.KEPT_FOR_LABELS", 3)
    request(log, 6, labelled=1)
    forget(log, NOW + DAY, beyond=0)
    assert count_removed_requests(log) == 3
    request(log, 1, labelled=1)
    assert read_survey(log, OURS) == Survey(5, 2)


@pytest.mark.parametrize("log", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "read",
    [
        lambda log, _: read_wanted(log, "ours", 10),
        lambda log, ids: read_wanted(log, "ours", 10, after=ids[0]),
        lambda log, _: count_wanted(log, "ours"),
        lambda log, _: read_survey(log, OURS),
        lambda log, _: forget(log, NOW - DAY, beyond=1),
    ],
    ids=["wanted", "wanted after one", "count", "survey", "forget"],
)
def test_requests_for_labels_are_found_without_reading_the_other_predictions(log, read):
    ids = write(log, 3, asked=True, model="ours")
    plans = []

    def explain(connection, cursor, statement, parameters, context, executemany):
        if "predictions.asked" in statement:
            plan = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append([row[3] for row in plan])

    event.listen(log._engine, "before_cursor_execute", explain)
    read(log, ids)
    assert plans
    for plan in plans:
        assert any("ix_predictions_asked" in step for step in plan)
        assert not any(step.startswith("SCAN predictions") and "ix_predictions_asked" not in step for step in plan)
