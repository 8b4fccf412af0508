"""Several models share a log: each reads its own rows, and labels by the names of its classes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from fashion.adapters.predictions import JudgedWindow, Model, ModelVersion, WindowHistory, read_use
from fashion.evaluation.alarm import Verdict
from tests.logs import judged, record

SHAPE = (28, 28, 1)
CLOTHES = ("Bag", "Coat", "Dress")
CREATED = datetime.now(UTC) - timedelta(days=1)


def says(number, **changes):
    """A prediction that answers with the class of this number."""
    return record(probabilities=np.eye(3, dtype=np.float32)[number], **changes)


def version(identity=None, model="clothes", classes=None):
    return ModelVersion("1", identity, CREATED, model, classes)


def test_labels_are_the_numbers_of_the_readers_classes_by_their_names(log):
    log.write(records := [says(0, model="clothes") for _ in range(5)])
    for one, (number, name) in zip(records, [(0, "Bag"), (1, "Coat"), (2, None), (9, None), (2, "Hat")], strict=True):
        log.add_label(one.id, number, "test", name)
    turned = tuple(reversed(CLOTHES))
    found = log.read_labels(SHAPE, model=Model("clothes", turned))
    assert list(found["label"]) == [2, 1, 2, -1, -1]
    window = log.read_window(version=version(classes=turned))
    assert (list(window.labels), window.unknown_labels) == ([2, 1, 2, -1, -1], 2)
    assert list(log.read_window().labels) == [0, 1, 2, 9, 2]


def test_a_model_begins_with_none_of_another_ones_rows(log):
    log.write([theirs := says(0, model="clothes"), ours := says(1, model="shoes")])
    for one in (theirs, ours):
        log.add_label(one.id, 0, "test", "Bag")
    assert list(log.read_labels(SHAPE, model=Model("shoes", CLOTHES))["id"]) == [ours.id]
    assert list(log.read_window(version=version(model="shoes")).ids) == [ours.id]
    assert not log.has_unnamed_labels()


def test_rows_of_earlier_code_belong_to_the_model_whose_version_made_them(log):
    old, other, unknown = says(0, model_identity="1-a"), says(0, model_identity="1-b"), says(0)
    log.write([old, other, unknown])
    for one in (old, other, unknown):
        log.add_label(one.id, 1, "test")
    assert log.has_unnamed_labels()
    versions = (version("1-a", model=None), ModelVersion("2", "2-c", CREATED))
    found = log.read_labels(SHAPE, model=Model("clothes", CLOTHES, versions))
    assert list(found["id"]) == [old.id, unknown.id]  # Of the last one the number and the time say so.
    later = (replace(versions[0], created=datetime.now(UTC) + timedelta(seconds=1)),)
    assert list(log.read_labels(SHAPE, model=Model("clothes", CLOTHES, later))["id"]) == [old.id]
    assert len(log.read_labels(SHAPE, model=Model("clothes", CLOTHES))) == 0


def test_labels_of_earlier_code_get_the_names_that_their_numbers_had(log):
    old, other, named = says(0, model_identity="1-a"), says(0, model_identity="1-b"), says(0, model="clothes")
    log.write([old, other, named])
    for one, name in ((old, None), (other, None), (named, "Dress")):
        log.add_label(one.id, 1, "test", name)
    log.name_labels(version("1-a"), CLOTHES)
    turned = tuple(reversed(CLOTHES))
    versions = (version("1-a", model=None), version("1-b", model=None))
    found = log.read_labels(SHAPE, model=Model("clothes", (*turned, "Hat"), versions)).set_index("id")["label"]
    assert (found[old.id], found[other.id], found[named.id]) == (1, 1, 0)
    assert log.add_label(old.id, 0, "test", "Bag").name == "Coat"
    assert log.add_label(other.id, 0, "test", "Bag").name is None


def test_windows_count_labels_by_name_whichever_numbers_they_had_when_they_came(log):
    """The champion of today has other classes than the one whose window it is."""
    log.write(records := [says(number, model="clothes", asked=True) for number in (0, 1, 2, 0)])
    history = WindowHistory(log, "clothes")
    first, last = records[0], records[-1]
    window = JudgedWindow(
        number=1,
        time=first.time,
        model_version="1",
        first_id=first.id,
        last_id=last.id,
        first_number=1,
        last_number=4,
        start=first.time,
        end=last.time,
        predictions=4,
        scores={},
        verdict=Verdict.CLEAN,
        because="",
        estimated_accuracy=1.0,
        by_class={},
        model="clothes",
        classes=CLOTHES,
    )
    history.add(window)
    for one, name in zip(records, ("Bag", "Bag", "Dress", "Hat"), strict=True):
        log.add_label(one.id, ("Hat", "Dress", "Bag").index(name), "test", name)
    history.refresh(10)
    (counted,) = history.read(10)
    assert counted.by_class == {"0": (2, 1), "2": (1, 1)}
    assert replace(counted, by_class={}) == window


def test_windows_and_counts_of_a_model_are_its_own(log):
    log.write([says(0, model="clothes"), says(1, model="clothes"), theirs := says(0, model="shoes")])
    log.add_label(theirs.id, 0, "test")
    ours, others = WindowHistory(log, "clothes"), WindowHistory(log, "shoes")
    ours.add(window := replace(judged(1), model="clothes"))
    for number in (2, 3):
        others.add(replace(judged(number), model="shoes", first_number=3, last_number=3))
    assert ours.read(2) == [window]
    assert (ours.next_number(), others.next_number()) == (4, 4)
    ours_used, others_used = read_use(log, "clothes", windows=2), read_use(log, "shoes", windows=2)
    assert (ours_used.unjudged, ours_used.uncollected, len(ours_used.windows)) == (1, 0, 1)
    assert (others_used.unjudged, others_used.uncollected, len(others_used.windows)) == (0, 1, 2)


def test_what_was_asked_for_and_who_sent_it_goes_with_the_images(log):
    log.write(records := [says(0, asked=True, source="a"), says(1)])
    for one in records:
        log.add_label(one.id, 0, "test")
    window, labels = log.read_window(), log.read_labels(SHAPE)
    labelled = log.read_labelled(labels, SHAPE)
    assert list(window.asked) == list(labels["asked"]) == list(labelled.asked) == [True, False]
    assert window.sources == labelled.sources == ("a", None)
    assert labelled.asked.dtype == window.asked.dtype == np.bool_
