"""Pictures in the log, beside what the models saw: written with their predictions, removed with them or before."""

import tracemalloc
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import func, select

from fashion.adapters.predictions import (
    Forgotten,
    forget,
    forget_pictures,
    mark_collected,
    read_pictures,
    read_wanted,
    read_wanted_picture,
)
from fashion.adapters.predictions.tables import pictures
from tests.logs import record

LONG_AGO = datetime.now(UTC) - timedelta(days=1)
SHAPE = (28, 28, 1)


def write(log, count, labelled=0, **changes):
    """Log predictions with pictures, of which the first ones have a label; their ids."""
    records = [record(picture=f"picture {number}".encode(), **changes) for number in range(count)]
    log.write(records)
    for one in records[:labelled]:
        log.add_label(one.id, 1, "test")
    return [one.id for one in records]


def pictured(log, ids):
    return [one for one, picture in zip(ids, read_pictures(log, ids), strict=True) if picture]


def count_pictures(log):
    with log.transaction() as connection:
        return connection.scalar(select(func.count()).select_from(pictures))


def test_pictures_come_back_in_the_order_that_was_asked_for(log, monkeypatch):
    monkeypatch.setattr("fashion.adapters.predictions.pictures.AT_ONCE", 2)
    log.write([plain := record(), several := record(size=(4, 6), picture=b"colours", channels=3)])
    ids = write(log, 5)
    wanted = np.array([ids[4], plain.id, ids[0], "unknown", ids[2], several.id, ids[1]])
    found = [b"picture 4", None, b"picture 0", None, b"picture 2", b"colours", b"picture 1"]
    assert list(read_pictures(log, wanted)) == found
    assert list(read_pictures(log, [])) == []


def test_what_is_written_again_has_its_picture_once(log):
    log.write([one := record(picture=b"once")])
    log.write([one, other := record(picture=b"other")])
    assert list(read_pictures(log, [one.id, other.id])) == [b"once", b"other"]


def test_many_pictures_are_read_part_by_part(log):
    size = 100_000
    ids = []
    for _ in range(6):
        records = [record(picture=bytes(size)) for _ in range(100)]
        log.write(records)
        ids += [one.id for one in records]
    tracemalloc.start()
    assert sum(map(len, read_pictures(log, ids))) == len(ids) * size
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < len(ids) * size / 2


def test_only_pictures_of_the_newest_predictions_stay(log, monkeypatch):
    monkeypatch.setattr("fashion.adapters.predictions.retention.AT_ONCE", 2)
    ids = write(log, 7)
    assert forget_pictures(log, beyond=2) == 5
    assert pictured(log, ids) == ids[5:]
    log.write([record()])  # Without a picture: it counts all the same.
    assert forget_pictures(log, beyond=2) == 1
    assert (pictured(log, ids), log.count()) == (ids[6:], 8)


def test_none_is_kept_where_pictures_are_switched_off(log):
    ids = write(log, 5, labelled=2)
    assert forget_pictures(log, beyond=0) == 5
    assert (pictured(log, ids), log.count()) == ([], 5)


def test_pictures_with_a_label_stay_until_they_were_collected_but_not_too_many(log, monkeypatch):
    monkeypatch.setattr("fashion.adapters.predictions.retention.KEPT_FOR_LABELS", 2)
    ids = write(log, 6, labelled=3)
    assert forget_pictures(log, beyond=1) == 3
    assert pictured(log, ids) == [*ids[1:3], ids[5]]
    mark_collected(log, log.read_labels(SHAPE))
    assert forget_pictures(log, beyond=1) == 2
    assert pictured(log, ids) == ids[5:]


def test_a_picture_goes_with_its_prediction(log, monkeypatch):
    monkeypatch.setattr("fashion.adapters.predictions.retention.AT_ONCE", 2)
    ids = write(log, 6)
    assert forget(log, LONG_AGO, beyond=1) == Forgotten(removed=5)
    assert (pictured(log, ids), count_pictures(log)) == (ids[5:], 1)


def test_the_picture_of_a_prediction_is_shown_to_whoever_is_asked_for_its_label(log):
    asked = write(log, 2, asked=True, model="bands")
    unasked, others = write(log, 1, model="bands"), write(log, 1, asked=True, model="other")
    log.write([plain := record(asked=True, model="bands")])
    queue = read_wanted(log, "bands", 10)
    assert [(one.id, one.has_picture) for one in queue] == [(asked[0], True), (asked[1], True), (plain.id, False)]
    assert read_wanted_picture(log, "bands", asked[1]) == b"picture 1"
    for hidden in (plain.id, *unasked, *others, "unknown"):
        assert read_wanted_picture(log, "bands", hidden) is None
    log.add_label(asked[1], 1, "test")
    assert read_wanted_picture(log, "bands", asked[1]) is None
