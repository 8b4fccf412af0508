"""From labelled predictions in a real log to batches, and what the next stages make of them."""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from itertools import repeat

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import delete, func, select, update
from typer.testing import CliRunner

from fashion.adapters.git import commit_file
from fashion.adapters.predictions import PredictionLog, Retention, count_waiting, read_use
from fashion.adapters.predictions.tables import labels as label_table
from fashion.adapters.predictions.tables import predictions
from fashion.adapters.versioning import data_version
from fashion.adapters.versioning.pinning import pin
from fashion.cli import app
from fashion.errors import DataError, ServiceError
from fashion.evaluation.survey import Survey
from fashion.images.synthetic import draw
from fashion.loop.collect import KEPT, REFUSED, TOO_OFTEN, collect
from fashion.loop.new_labels import COPY, IN_TEST, IN_TRAIN
from fashion.pages.needs import of_log
from fashion.serving.recorder import Recorder
from fashion.settings import predictions_url
from fashion.stages.dataset import has_recent, load_split
from fashion.stages.fetch import fetch
from fashion.stages.prepare import prepare
from fashion.stages.raw import read_batches, read_raw
from fashion.stages.validate import validate
from fashion.storage import file_digest
from tests.advice import follow
from tests.projects import edit_params, git, log_predictions, read_suite, write_suite
from tests.servers import wait_until
from tests.traffic import Traffic, frames

ENOUGH = 150


@pytest.fixture
def served(larger_project, fixed_salt):
    """A project with 1,500 training images, and the parameters to collect from 150 labels on."""
    return larger_project, edit_params(larger_project, {"collect": {"at_least": ENOUGH}})


def test_labelled_predictions_become_a_batch_that_data_dvc_pins(served, power_cut):
    project, params = served
    before = data_version(project)
    images, labels = draw(ENOUGH + 10, 10, (28, 28), seed=11)
    ids = log_predictions(project, images, [*labels[:ENOUGH], *[None] * 10])
    collected = collect(project, params)
    assert (collected.images, collected.in_quarantine, collected.pictures) == (ENOUGH, 0, None)
    assert power_cut.lost[collected.batch] == set()
    batch = read_batches(project, params.data)[collected.batch]
    np.testing.assert_array_equal(batch.images, images[:ENOUGH])
    np.testing.assert_array_equal(batch.labels, labels[:ENOUGH])
    assert list(pd.read_csv(project.batches / collected.batch / "predictions.csv")["id"]) == ids[:ENOUGH]
    assert data_version(project) != before
    assert not pin(project)
    for name, value in (("name", "test"), ("email", "test@localhost")):
        git(project.root, "config", f"user.{name}", value)
    commit_file(project, project.root / "data.dvc", "New data")
    assert git(project.root, "show", "--name-only", "--format=%s").split() == ["New", "data", "data.dvc"]


def test_the_command_says_what_it_made_and_pushes_it_to_the_remote(served, tmp_path):
    project, _ = served
    remote = tmp_path / "remote"
    config = project.root / ".dvc" / "config.local"
    config.write_text(f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {remote}\n")
    log_predictions(project, *draw(ENOUGH, 10, (28, 28), seed=11))
    result = CliRunner().invoke(app, ["collect"], env={"FASHION_HOME": str(project.root)})
    assert result.exit_code == 0, result.output
    assert re.search(r"data/batches/\S+: 150 images, 0 in quarantine\. Learn from them with: dvc repro", result.output)
    digest = data_version(project).removesuffix(".dir")
    assert (remote / "files" / "md5" / digest[:2] / f"{digest[2:]}.dir").is_file()
    for name, value in (("name", "test"), ("email", "test@localhost")):
        git(project.root, "config", f"user.{name}", value)
    result = CliRunner().invoke(app, ["collect", "--commit"], env={"FASHION_HOME": str(project.root)})
    assert result.exit_code == 0, result.output
    assert git(project.root, "log", "-1", "--format=%s").strip() == "Data: as pinned since the last commit"
    assert not git(project.root, "status", "--short", "data.dvc")


def test_the_command_says_why_images_are_in_quarantine_and_where_they_are_shown(served):
    project, params = served
    images, labels = draw(ENOUGH + 3, 10, (28, 28), seed=11)
    images[:3], images[3] = read_raw(project, params.data)["test"].images[:3], 0
    log_predictions(project, images, labels)
    result = CliRunner().invoke(app, ["collect"], env={"FASHION_HOME": str(project.root)})
    assert result.exit_code == 0, result.output
    assert "3 left out: the same image is in the test set\n" in result.output
    assert "150 images, 1 in quarantine" in result.output
    assert re.search(r"^  1 images: blank", result.output, re.MULTILINE), result.output
    (folder,) = re.findall(r"Look at (\S+): quarantine.png, quarantine.csv", result.output)
    assert len(pd.read_csv(project.root / folder / "quarantine.csv")) == 1
    assert (project.root / folder / "quarantine.png").is_file()


def test_with_nothing_new_there_is_no_batch(served):
    project, params = served
    before = data_version(project)
    assert collect(project, params).images == 0
    log_predictions(project, *draw(ENOUGH - 1, 10, (28, 28), seed=11))
    assert collect(project, params).images == ENOUGH - 1
    log_predictions(project, *draw(1, 10, (28, 28), seed=12))
    assert collect(project, params).batch is not None
    assert collect(project, params).images == 0
    assert data_version(project) != before


def test_a_corrected_label_counts_and_of_too_many_the_newest_are_taken(served):
    project, params = served
    params = edit_params(project, {"collect": {"at_most": ENOUGH}})
    images, labels = draw(ENOUGH + 5, 10, (28, 28), seed=11)
    ids = log_predictions(project, images, labels)
    log = PredictionLog(predictions_url(project))
    log.add_label(ids[-1], (int(labels[-1]) + 1) % 10, "second look")
    log.close()
    collected = collect(project, params)
    batch = read_batches(project, params.data)[collected.batch]
    np.testing.assert_array_equal(batch.images, images[5:])
    assert batch.labels[-1] == (labels[-1] + 1) % 10


def test_predictions_from_before_a_time_can_be_left_out(served):
    project, params = served
    log_predictions(project, *draw(ENOUGH, 10, (28, 28), seed=11))
    assert collect(project, params, since=datetime.now(UTC) + timedelta(seconds=1)).images == 0


def waiting_in(project):
    log = PredictionLog(predictions_url(project))
    waiting = count_waiting(log)
    log.close()
    return waiting


def test_the_log_is_told_what_was_collected_and_keeps_the_rest(served, monkeypatch):
    project, params = served
    images, labels = draw(2 * ENOUGH, 10, (28, 28), seed=11)
    log_predictions(project, images[: ENOUGH - 1], labels[: ENOUGH - 1])
    collect(project, params)
    assert waiting_in(project) == ENOUGH - 1
    test = read_raw(project, params.data)["test"]
    log_predictions(project, [*images[ENOUGH - 1 :], test.images[0]], [*labels[ENOUGH - 1 :], test.labels[0]])
    params = edit_params(project, {"collect": {"at_most": ENOUGH}})
    with monkeypatch.context() as patch, pytest.raises(ServiceError):
        patch.setattr("fashion.loop.collect.mark_collected", away)
        collect(project, params)
    assert len(list(project.batches.iterdir())) == 1
    assert waiting_in(project) == 2 * ENOUGH + 1
    assert collect(project, params).images == ENOUGH
    assert waiting_in(project) == 0


def away(*_):
    raise ServiceError("The log is away")


def test_with_an_earlier_version_of_the_data_its_labels_are_new_again(served):
    project, params = served
    log_predictions(project, *draw(ENOUGH, 10, (28, 28), seed=11))
    collected = collect(project, params)
    shutil.rmtree(project.batches / collected.batch)
    pin(project)
    assert collect(project, params) == collected


@pytest.mark.advice("dvc pull", "adapters/versioning/pinning.py")
def test_a_batch_that_is_pinned_and_missing_here_is_not_dropped_from_what_is_pinned(served):
    """As in a clone after `git pull` without `dvc pull`."""
    project, params = served
    log_predictions(project, *draw(ENOUGH, 10, (28, 28), seed=11))
    batch, pinned = collect(project, params).batch, data_version(project)
    shutil.rmtree(project.batches / batch)
    with pytest.raises(DataError, match=r"\d of them missing") as told:
        collect(project, params)
    assert data_version(project) == pinned
    follow(project, told.value, "dvc pull data.dvc")
    assert collect(project, params).images == 0
    assert data_version(project) == pinned


def test_another_model_in_the_same_log_starts_with_none_of_its_rows(served):
    project, params = served
    log_predictions(project, *draw(ENOUGH, 10, (28, 28), seed=11), model="another")
    assert collect(project, params).images == 0
    images, labels = draw(ENOUGH, 10, (28, 28), seed=12)
    log_predictions(project, images, labels)
    collected = collect(project, params)
    np.testing.assert_array_equal(read_batches(project, params.data)[collected.batch].images, images)
    assert waiting_in(project) == ENOUGH


def test_labels_are_collected_by_the_names_of_the_classes_and_others_are_left_out_and_counted(served):
    project, params = served
    images, labels = draw(ENOUGH + 3, 10, (28, 28), seed=11)
    ids = log_predictions(project, images, [None] * len(images))
    log = PredictionLog(predictions_url(project))
    for number, (one, label) in enumerate(zip(ids, labels, strict=True)):
        name = params.data.classes[label] if number >= 3 else "Hat"
        log.add_label(one, 9 - int(label), "test", name)  # As a champion with the reverse order would number them.
    log.close()
    result = CliRunner().invoke(app, ["collect"], env={"FASHION_HOME": str(project.root)})
    assert "3 left out: the label is not one of this project's classes (data.classes)\n" in result.output
    (batch,) = read_batches(project, params.data).values()
    np.testing.assert_array_equal(batch.labels, labels[3:])
    assert waiting_in(project) == 3


def test_labels_of_earlier_code_are_collected_for_the_versions_of_this_model(trained_project):
    project = trained_project
    params = edit_params(project, {"collect": {"at_least": ENOUGH}})
    traffic = Traffic(project, params)
    traffic.send(10, labelled=True)
    traffic.identity = "1-of another registry"
    traffic.send(20, labelled=True)
    traffic.log.close()
    assert collect(project, params).images == 10


@pytest.mark.advice("fashion collect", "serving/recorder.py", "pages/needs.py")
def test_labels_that_are_removed_before_they_were_collected_are_said_and_collecting_ends_that(
    served, monkeypatch, caplog
):
    project, params = served
    monkeypatch.setattr("fashion.adapters.predictions.retention.KEPT_FOR_LABELS", ENOUGH)
    log_predictions(project, *draw(ENOUGH + 10, 10, (28, 28), seed=11))
    log = PredictionLog(predictions_url(project))
    recorder = Recorder(log, Retention(90, 1, pictures=0))
    wait_until(lambda: recorder.labels_lost)
    recorder.close()
    assert (recorder.kept, recorder.labels_lost, count_waiting(log)) == (ENOUGH, 9, ENOUGH + 1)
    assert "9 of them had labels that were never collected" in caplog.text
    ways = [need.ways for need in of_log(read_use(log, params.register_.name, windows=1), params)]
    follow(project, ways, "fashion collect")
    assert count_waiting(log) == 0
    log.close()


def shuffled(labels):
    return np.random.default_rng(0).permutation(labels)


def under_another_name(labels):
    return np.where(labels == 5, 8, labels)


def exchanged(labels):
    return np.where(labels == 5, 8, np.where(labels == 8, 5, labels))


@pytest.mark.parametrize(
    ("poison", "complaint"),
    [
        (shuffled, "were they mixed up"),
        (exchanged, "is it confused with another"),
    ],
)
def test_poisoned_labels_do_not_enter_the_data(served, poison, complaint):
    project, params = served
    before = data_version(project)
    for number in range(KEPT):
        (project.state / "refused" / f"batch of long ago {number}").mkdir(parents=True)
    images, labels = draw(ENOUGH, 10, (28, 28), seed=11)
    log_predictions(project, images, poison(labels))
    with pytest.raises(DataError, match=complaint):
        collect(project, params)
    assert not project.batches.exists()
    assert data_version(project) == before
    *others, refused = sorted((project.state / "refused").iterdir(), key=lambda path: path.stat().st_mtime)
    assert len(others) == KEPT - 1
    assert {path.name for path in refused.iterdir()} >= {"docs", "predictions.csv", "sample.png", "summary.txt"}


def of_classes(counts, seed):
    """Drawn images and labels, so many of each class."""
    images, labels = draw(14 * max(counts), 10, (28, 28), seed=seed)
    chosen = np.concatenate([np.flatnonzero(labels == label)[:count] for label, count in enumerate(counts)])
    chosen = np.random.default_rng(seed).permutation(chosen)
    return images[chosen], labels[chosen]


def test_of_a_class_that_comes_too_often_some_wait_for_a_later_batch(served):
    project, params = served
    images, labels = of_classes([200, *[16] * 9], seed=11)
    log_predictions(project, images, labels)
    collected = collect(project, params)
    assert (collected.images, collected.left_out) == (193, {TOO_OFTEN: 151})
    batch = read_batches(project, params.data)[collected.batch]
    assert list(np.bincount(batch.labels)) == [49, *[16] * 9]
    np.testing.assert_array_equal(batch.images[batch.labels == 0], images[labels == 0][-49:])  # The newest ones.
    validate(project, params)
    left = collect(project, params)
    assert (left.batch, left.images, left.left_out) == (None, 0, {TOO_OFTEN: 151})
    log_predictions(project, *of_classes([0, *[30] * 9], seed=12))
    later = collect(project, params)
    assert later.images - 9 * 30 == 151 - later.left_out[TOO_OFTEN] > 0


def test_where_a_class_goes_by_the_name_of_another_there_is_nothing_to_learn_from_and_nothing_fails(served):
    project, params = served
    images, labels = draw(ENOUGH, 10, (28, 28), seed=11)
    log_predictions(project, images, under_another_name(labels))
    collected = collect(project, params)
    assert (collected.batch, collected.images, collected.left_out) == (None, 0, {TOO_OFTEN: ENOUGH})


def test_refused_labels_are_not_tried_again_before_they_are_corrected(served):
    project, params = served
    images, labels = draw(ENOUGH, 10, (28, 28), seed=11)
    ids = log_predictions(project, images, shuffled(labels))
    with pytest.raises(DataError, match="were they mixed up"):
        collect(project, params)
    again = collect(project, params)
    assert (again.batch, again.images, again.left_out) == (None, 0, {REFUSED: ENOUGH})
    fresh = draw(ENOUGH, 10, (28, 28), seed=12)
    log_predictions(project, *fresh)
    collected = collect(project, params)
    assert (collected.images, collected.left_out) == (ENOUGH, {REFUSED: ENOUGH})
    assert learned(project, params) == pairs(*fresh)
    correct(project, ids, labels)
    corrected = collect(project, params)
    assert (corrected.images, corrected.left_out) == (ENOUGH, {})


def test_refused_labels_are_tried_again_when_the_rules_have_changed(served):
    project, params = served
    log_predictions(project, *with_bad_ones(ENOUGH // 2, seed=11))
    with pytest.raises(DataError, match="too many bad images"):
        collect(project, params)
    assert collect(project, params).left_out == {REFUSED: ENOUGH}
    assert collect(project, edit_params(project, {"validate": {"max_quarantined": 0.5}})).images == ENOUGH


def test_labels_of_one_source_that_are_refused_do_not_keep_the_others_from_being_learned(served):
    project, params = served
    good = draw(ENOUGH, 10, (28, 28), seed=11)
    images, labels = draw(6 * ENOUGH, 10, (28, 28), seed=12)
    log_predictions(project, *good, given_by="anna")
    bad = log_predictions(project, images, shuffled(labels), given_by="bob")
    collected = collect(project, params)
    (refused,) = (project.state / "refused").iterdir()
    assert collected.left_out == {f"given by bob, refused: see .state/refused/{refused.name}": 6 * ENOUGH}
    assert learned(project, params) == pairs(*good)
    assert collect(project, params).left_out == {REFUSED: 6 * ENOUGH}
    more = draw(ENOUGH, 10, (28, 28), seed=13)
    log_predictions(project, *more, given_by="bob")
    assert collect(project, params).images == ENOUGH  # Bob's other labels are as good as anybody's.
    correct(project, bad, labels)
    assert collect(project, params).images == 6 * ENOUGH


def test_what_the_same_source_said_before_is_refused_with_its_label_and_what_others_said_is_tried(served):
    project, params = served
    images, labels = draw(2 * ENOUGH, 10, (28, 28), seed=11)
    log_predictions(project, images[:ENOUGH], shuffled(labels[:ENOUGH]), given_by="bob")
    log_predictions(project, images[ENOUGH:], labels[ENOUGH:], given_by="anna")
    log_predictions(project, images, shuffled(labels), given_by="bob")
    with pytest.raises(DataError, match="The labels given by bob are left out from now on"):
        collect(project, params)
    assert waiting_in(project) == 4 * ENOUGH
    assert collect(project, params).images == ENOUGH
    assert learned(project, params) == pairs(images[ENOUGH:], labels[ENOUGH:])


def test_where_too_few_are_left_without_the_source_that_spoils_them_only_its_labels_are_refused(served):
    project, params = served
    (images, labels), bad = draw(ENOUGH, 10, (28, 28), seed=11), draw(ENOUGH, 10, (28, 28), seed=12)
    log_predictions(project, images[:20], labels[:20], given_by="anna")
    log_predictions(project, bad[0], shuffled(bad[1]), given_by="bob")
    with pytest.raises(DataError, match="The labels given by bob are left out from now on"):
        collect(project, params)
    log_predictions(project, images[20:], labels[20:], given_by="anna")
    collected = collect(project, params)
    assert (collected.images, collected.left_out) == (ENOUGH, {REFUSED: ENOUGH})
    assert learned(project, params) == pairs(images, labels)


def test_data_that_are_unfit_without_the_new_labels_are_not_blamed_on_them(served):
    project, params = served
    log_predictions(project, *draw(ENOUGH, 10, (28, 28), seed=11))
    sound = read_suite(project, "test")
    (count,) = (one for one in sound["expectations"] if one["type"] == "expect_table_row_count_to_equal")
    count["kwargs"]["value"] += 1
    write_suite(project, "test", sound)
    with pytest.raises(DataError, match="with the new labels or without them"):
        collect(project, params)
    count["kwargs"]["value"] -= 1
    write_suite(project, "test", sound)
    assert collect(project, params).images == ENOUGH


def test_bad_and_leaked_images_are_not_learned_from_and_the_rest_is_divided(served):
    project, params = served
    images, labels = draw(ENOUGH + 3, 10, (28, 28), seed=11)
    images[:3], images[3] = read_raw(project, params.data)["test"].images[:3], 0
    log_predictions(project, images, labels)
    for number in range(KEPT):
        (project.state / "quarantine" / f"batch of long ago {number}").mkdir(parents=True)
    collected = collect(project, params)
    assert (collected.in_quarantine, collected.left_out) == (1, {IN_TEST: 3})
    assert (project.root / collected.pictures).is_dir()
    assert len(list((project.state / "quarantine").iterdir())) == KEPT
    assert validate(project, params).quarantined == 1
    prepared = prepare(project, params)
    assert has_recent(project)
    recent, train, validation = (load_split(project, name) for name in ("recent", "train", "validation"))
    learned = images[4:]
    tested = {image.tobytes() for image in recent.images}
    trained = {image.tobytes() for image in (*train.images, *validation.images)}
    assert not tested & trained
    assert sum(image.tobytes() in tested for image in learned) == len(recent.labels) == prepared.images["recent"]
    assert all(image.tobytes() in tested | trained for image in learned)
    assert not any(image.tobytes() in tested | trained for image in images[:4])
    copies = sum(image.tobytes() in {one.tobytes() for one in learned} for image in train.images)
    assert copies % params.prepare.recent_copies == 0
    assert len(train.labels) == prepared.images["train"]


def made(project, params):
    """The images of training, validation and recent test set, by their bytes, after the stages that divide them."""
    validate(project, params)
    prepared = prepare(project, params)
    names = ("train", "validation", *(["recent"] if has_recent(project) else []))
    return prepared, [{image.tobytes() for image in load_split(project, name).images} for name in names]


def test_only_what_was_asked_for_at_random_is_tested_on_and_all_else_is_learned_from(served):
    project, params = served
    images, labels = draw(2 * ENOUGH, 10, (28, 28), seed=11)
    asked = np.arange(2 * ENOUGH) % 3 == 0
    told = [None if number in (0, 3, 297) else label for number, label in enumerate(labels)]
    log_predictions(project, images, told, asked=asked)
    batch = collect(project, params).batch
    survey = json.loads((project.batches / batch / "survey.json").read_text())
    assert survey == {"asked": 99, "answered": 97, "number": 1}  # The last one may still come.
    prepared, (train, validation, recent) = made(project, params)
    assert 15 <= len(recent) <= 45
    assert recent <= {image.tobytes() for image in images[asked]}
    assert train | validation >= {image.tobytes() for image in images[~asked]}
    assert prepared.survey == Survey(99, 97)
    assert prepared.collected == 297 - len(recent)


def test_batches_of_earlier_code_are_learned_from_alone(served):
    project, params = served
    images, labels = draw(ENOUGH, 10, (28, 28), seed=11)
    log_predictions(project, images, labels)
    folder = project.batches / collect(project, params).batch
    table = pd.read_csv(folder / "predictions.csv", dtype="str")
    table.drop(columns="asked").to_csv(folder / "predictions.csv", index=False)
    (folder / "survey.json").unlink()
    prepared, (train, validation) = made(project, params)
    assert train | validation >= {image.tobytes() for image in images}
    assert (prepared.collected, prepared.survey) == (ENOUGH, Survey(0, 0))


def test_a_correction_that_nobody_asked_for_takes_no_image_out_of_the_test(served):
    """Of an image that came twice, asked for once; and of one that is in a batch already."""
    project, params = served
    images, labels = draw(ENOUGH, 10, (28, 28), seed=11)
    log_predictions(project, images, labels)
    log_predictions(project, images[:40], (labels[:40] + 1) % 10, asked=repeat(False))
    collect(project, params)
    _, (_, _, before) = made(project, params)
    assert any(image.tobytes() in before for image in images[:40])
    log_predictions(project, images[:40], labels[:40], asked=repeat(False))
    log_predictions(project, *draw(ENOUGH, 10, (28, 28), seed=12), asked=repeat(False))
    collect(project, params)
    _, (_, _, after) = made(project, params)
    assert after == before


def test_what_was_learned_from_is_not_tested_on_when_it_is_asked_for_later(served):
    project, params = served
    images, labels = draw(ENOUGH, 10, (28, 28), seed=11)
    log_predictions(project, images, labels, asked=repeat(False))
    collect(project, params)
    log_predictions(project, images[:40], (labels[:40] + 1) % 10)
    log_predictions(project, *draw(ENOUGH, 10, (28, 28), seed=12))
    collect(project, params)
    _, (_, _, recent) = made(project, params)
    assert not recent & {image.tobytes() for image in images}


def test_batches_have_an_order_of_their_own_whenever_their_predictions_were_made(served):
    """The later batch has predictions of the day before, as when somebody works off an old queue."""
    project, params = served
    images, labels = draw(ENOUGH, 10, (28, 28), seed=11)
    log_predictions(project, images, [*(labels[:40] + 1) % 10, *labels[40:]], asked=repeat(False))
    first = collect(project, params).batch
    yesterday = datetime.now(UTC) - timedelta(days=1)
    log_predictions(project, images[:40], labels[:40], made=yesterday)
    log_predictions(project, *draw(ENOUGH, 10, (28, 28), seed=12), made=yesterday)
    assert collect(project, params).batch < first
    prepared, (_, _, recent) = made(project, params)
    assert not recent & {image.tobytes() for image in images}
    assert prepared.survey == Survey(ENOUGH + 40, ENOUGH + 40)


def test_labels_that_are_corrected_back_do_not_replace_the_batch_in_which_they_came_first(served):
    project, params = served
    images, labels = draw(ENOUGH, 10, (28, 28), seed=11)
    wrong = [*(labels[:40] + 1) % 10, *labels[40:]]
    params = edit_params(project, {"collect": {"at_least": 40}})
    before = read_suite(project, "batch")
    write_suite(project, "batch", before | {"expectations": before["expectations"][:2]})
    ids = log_predictions(project, images[:40], labels[:40])
    names = [collect(project, params).batch]
    for each in (wrong[:40], labels[:40]):
        correct(project, ids, each)
        names.append(collect(project, params).batch)
    assert sorted(names) == sorted(read_batches(project, params.data)) == sorted(set(names))


def test_a_correction_brings_no_near_copy_of_what_was_learned_from_into_the_test(served):
    """The first of each pair of near copies was learned from, unasked, before the second came and the first again."""
    project, params = served
    images, labels = draw(ENOUGH, 10, (28, 28), seed=11)
    ids = log_predictions(project, images, [*(labels[:40] + 1) % 10, *labels[40:]], asked=repeat(False))
    collect(project, params)
    log_predictions(project, np.roll(images, 1, axis=2), labels)
    collect(project, params)
    _, (_, _, before) = made(project, params)  # Some show another thing, since they went over the edge.
    correct(project, ids[:40], labels[:40])
    log_predictions(project, *draw(ENOUGH, 10, (28, 28), seed=12), asked=repeat(False))
    assert collect(project, params).images == ENOUGH + 40
    _, (_, _, after) = made(project, params)
    assert after == before


def test_frames_of_one_object_are_on_one_side_of_every_split(served):
    """Of ten objects 20 frames each, in two batches; of every second frame the label is asked for."""
    project, params = served
    params = edit_params(project, {"prepare": {"recent_test_fraction": 0.4}})
    objects, labels = draw(10, 10, (28, 28), seed=11)
    seen = [frames(one, 40, seed=number) for number, one in enumerate(objects)]
    for part in (slice(20), slice(20, 40)):
        images = np.concatenate([each[part] for each in seen])
        log_predictions(project, images, np.repeat(labels, 20), asked=np.arange(200) % 2 == 0)
        collect(project, params)
    _, sides = made(project, params)
    for each in seen:
        there = [bool(side & {frame.tobytes() for frame in each}) for side in sides]
        assert sum(there) == 1, there
    assert sides[2]


def test_near_copies_of_the_datasets_images_are_on_their_side_of_every_split(served):
    """As clients do that send a picture of the dataset again, compressed anew or in other light."""
    project, params = served
    params = edit_params(project, {"prepare": {"recent_test_fraction": 0.9, "validation_fraction": 0.3}})
    made(project, params)
    splits = {name: load_split(project, name) for name in ("train", "validation", "test")}
    noise = np.random.default_rng(0).integers(-3, 4, (50, 28, 28, 1))
    seen = {name: (0.9 * split.images[:50] + noise).clip(0, 255).astype(np.uint8) for name, split in splits.items()}
    labels = np.concatenate([split.labels[:50] for split in splits.values()])
    log_predictions(project, np.concatenate([*seen.values()]), labels)
    log_predictions(project, *draw(ENOUGH, 10, (28, 28), seed=11))
    assert collect(project, params).images == 2 * ENOUGH
    _, (train, validation, recent) = made(project, params)
    sides = {"train": train, "validation": validation, "recent": recent}
    found = {
        name: {side for side, there in sides.items() if there & {image.tobytes() for image in images}}
        for name, images in seen.items()
    }
    assert found == {"train": {"train"}, "validation": {"validation"}, "test": {"recent"}}


def repeated(images, labels, times):
    """As clients do that send again what was not answered in time."""
    return np.concatenate([images] * times), np.concatenate([labels] * times)


def test_what_is_let_in_does_not_fail_the_next_training_however_often_it_was_sent(served):
    project, params = served
    raw, fresh = read_raw(project, params.data), draw(ENOUGH, 10, (28, 28), seed=11)
    log_predictions(project, raw["test"].images[:60], raw["test"].labels[:60])  # By the buttons of the page.
    log_predictions(project, raw["train"].images[:40], raw["train"].labels[:40])
    log_predictions(project, *repeated(*fresh, times=3))
    collected = collect(project, params)
    assert collected.left_out == {IN_TEST: 60, IN_TRAIN: 40, COPY: 2 * ENOUGH}
    np.testing.assert_array_equal(read_batches(project, params.data)[collected.batch].images, fresh[0])
    assert validate(project, params).quarantined == 0
    log_predictions(project, *repeated(*fresh, times=2))
    assert collect(project, params).images == 0


def with_bad_ones(number, seed):
    """Enough labelled images for a batch, some of them blank, each in another grey."""
    images, labels = draw(ENOUGH, 10, (28, 28), seed=seed)
    images[:number] = (np.arange(number, dtype=np.uint8) + 2 * seed)[:, None, None, None]
    return images, labels


def test_bad_images_of_old_and_new_batches_together_are_not_let_in_beyond_the_limit(served):
    """10 of 1,850 images pass the limit of 1 %, 10 and 15 of 2,000 do not."""
    project, params = served
    log_predictions(project, *with_bad_ones(10, seed=11))
    assert collect(project, params).in_quarantine == 10
    validate(project, params)
    before = data_version(project)
    log_predictions(project, *with_bad_ones(15, seed=60))
    with pytest.raises(DataError, match=r"(?s)With the 150 new labels .*too many bad images.*25 of them.*15 images: "):
        collect(project, params)
    assert (data_version(project), len(list(project.batches.iterdir()))) == (before, 1)
    (refused,) = (project.state / "refused").iterdir()
    assert len(pd.read_csv(refused / "quarantine.csv")) == 15
    params = edit_params(project, {"validate": {"max_quarantined": 0.02}})
    assert collect(project, params).in_quarantine == 15
    validate(project, params)


def correct(project, ids, labels, hours=0):
    """Give labels to predictions that have one; `hours` from now by the clock of the service."""
    log = PredictionLog(predictions_url(project))
    for one, label in zip(ids, labels, strict=True):
        log.add_label(one, int(label), "second look")
        if hours:
            with log.transaction() as connection:
                shifted = {"time": datetime.now(UTC) + timedelta(hours=hours)}
                newest = select(func.max(label_table.c.number)).scalar_subquery()
                connection.execute(update(label_table).where(label_table.c.number == newest).values(shifted))
    log.close()


def learned(project, params):
    """The labels by which each collected image is learned from or tested on, by its pixels."""
    validate(project, params)
    prepare(project, params)
    parts = [load_split(project, name) for name in ("train", "validation", "recent")]
    dataset = {image.tobytes() for split in read_raw(project, params.data).values() for image in split.images}
    found = {}
    for part in parts:
        for image, label in zip(part.images, part.labels, strict=True):
            if image.tobytes() not in dataset:
                found.setdefault(image.tobytes(), []).append(int(label))
    assert all(len(labels) in (1, params.prepare.recent_copies) for labels in found.values())
    return {image: labels[0] for image, labels in found.items() if len(set(labels)) == 1}


def pairs(images, labels):
    return {image.tobytes(): int(label) for image, label in zip(images, labels, strict=True)}


@pytest.mark.parametrize(
    ("hours", "earlier_code"),
    [(0, False), (-1, False), (0, True)],
    ids=["plainly", "the clock went back", "in a batch of earlier code"],
)
def test_a_label_that_was_corrected_after_its_batch_was_made_comes_again_and_replaces_it(served, hours, earlier_code):
    project, params = served
    images, labels = draw(3 * ENOUGH - 10, 10, (28, 28), seed=11)
    ids = log_predictions(project, images[:ENOUGH], labels[:ENOUGH])
    first = project.batches / collect(project, params).batch
    if earlier_code:
        path = first / "predictions.csv"
        pd.read_csv(path, dtype="str").drop(columns="labelled").to_csv(path, index=False)
    corrected = labels.copy()
    corrected[:5] = (labels[:5] + 1) % 10
    correct(project, ids[:5], corrected[:5], hours)
    assert collect(project, params).images == 5  # They wait for more.
    there = 2 * ENOUGH - 5
    log_predictions(project, images[ENOUGH:there], labels[ENOUGH:there])
    assert collect(project, params).images == ENOUGH
    assert learned(project, params) == pairs(images[:there], corrected[:there])
    assert collect(project, params).images == 0
    correct(project, ids[:5], labels[:5], hours)
    log_predictions(project, images[there:], labels[there:])
    assert collect(project, params).images == ENOUGH
    assert learned(project, params) == pairs(images, labels)


def test_of_an_image_that_was_sent_again_the_last_label_counts_and_an_earlier_one_does_not_come_back(served):
    project, params = served
    images, labels = draw(2 * ENOUGH, 10, (28, 28), seed=11)
    log_predictions(project, images[:ENOUGH], labels[:ENOUGH])
    collect(project, params)
    again = log_predictions(project, images[:5], (labels[:5] + 1) % 10)
    log_predictions(project, images[ENOUGH:-5], labels[ENOUGH:-5])
    assert collect(project, params).images == ENOUGH
    log = PredictionLog(predictions_url(project))
    with log.transaction() as connection:  # As when they are too old to be kept.
        connection.execute(delete(predictions).where(predictions.c.id.in_(again)))
        connection.execute(delete(label_table).where(label_table.c.prediction_id.in_(again)))
    log.close()
    assert collect(project, params).images == 0
    assert learned(project, params) == pairs(images[:-5], [*(labels[:5] + 1) % 10, *labels[5:-5]])


def test_what_was_tested_on_stays_so_when_more_comes_in(served):
    project, params = served
    params = edit_params(project, {"validate": {"max_quarantined": 0.5}})
    for seed in (11, 12):
        log_predictions(project, *draw(ENOUGH, 10, (28, 28), seed=seed))
        collect(project, params)
        validate(project, params)
        prepare(project, params)
        if seed == 11:
            first = {image.tobytes() for image in load_split(project, "recent").images}
    assert first < {image.tobytes() for image in load_split(project, "recent").images}


@pytest.mark.advice("dvc remote --default", "stages/fetch.py")
@pytest.mark.advice("fashion fetch --force", "stages/fetch.py")
def test_fetching_does_not_forget_batches_that_are_missing_here(served, tmp_path):
    project, params = served
    log_predictions(project, *draw(ENOUGH, 10, (28, 28), seed=11))
    batch = project.batches / collect(project, params).batch
    (project.data / "SYNTHETIC").unlink()
    pin(project)
    names = ("train_images", "train_labels", "test_images", "test_labels")
    drawn = {name: file_digest(project.data / getattr(params.data, name).name) for name in names}
    params = edit_params(project, {"data": {name: {"sha256": digest} for name, digest in drawn.items()}})
    aside = shutil.copytree(project.root / ".dvc" / "cache", tmp_path / "aside")  # As a remote has it, too.
    pinned = data_version(project)

    def lose():
        shutil.rmtree(batch)
        shutil.rmtree(project.root / ".dvc" / "cache")
        with pytest.raises(DataError, match=r"the batches of\s+collected images are not available") as told:
            fetch(project, params)
        assert data_version(project) == pinned
        assert {path.name for path in project.data.iterdir()} >= {getattr(params.data, name).name for name in names}
        return str(told.value)

    add = "dvc remote add --default"
    follow(project, lose().replace(f"{add} NAME ADDRESS", add), add, f"storage {aside}")
    fetch(project, params)
    assert data_version(project) == pinned
    assert (batch / "predictions.csv").exists()
    git(project.root, "checkout", "--", ".dvc/config")
    follow(project, lose(), "fashion fetch --force")
    assert data_version(project) != pinned
