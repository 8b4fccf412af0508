"""What is removed from the prediction log, and what stays until it was collected."""

from datetime import UTC, datetime, timedelta

from fashion.adapters.predictions import Forgotten, count_waiting, forget, mark_collected
from tests.logs import record, record_at

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
SHAPE = (28, 28, 1)


def write(log, count, labelled=0, moment=NOW):
    """Log predictions, of which the first ones have a label; their ids."""
    records = [record_at(moment) for _ in range(count)]
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
