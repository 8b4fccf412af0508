"""From labelled predictions in a real log to batches, and what the next stages make of them."""

import re
import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from fashion.adapters.git import commit_file
from fashion.adapters.pinning import pin
from fashion.adapters.predictions import PredictionLog
from fashion.adapters.versioning import data_version
from fashion.cli import app
from fashion.errors import DataError
from fashion.images.synthetic import draw
from fashion.settings import predictions_url
from fashion.stages.collect import KEPT, collect
from fashion.stages.dataset import has_recent, load_split, read_batches
from fashion.stages.fetch import fetch
from fashion.stages.prepare import prepare
from fashion.stages.validate import validate
from fashion.storage import file_digest
from tests.advice import follow
from tests.projects import edit_params, git, log_predictions, make_small

ENOUGH = 150


@pytest.fixture
def served(project):
    """A project with 1,500 training images, and the parameters to collect from 150 labels on."""
    make_small(project, train=1500, test=200)
    return project, edit_params(project, {"collect": {"at_least": ENOUGH}})


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


def test_the_command_says_why_images_are_in_quarantine_and_where_they_are_shown(served):
    project, params = served
    images, labels = draw(ENOUGH, 10, (28, 28), seed=11)
    images[:3], images[3] = read_test_images(project, params)[:3], 0
    log_predictions(project, images, labels)
    result = CliRunner().invoke(app, ["collect"], env={"FASHION_HOME": str(project.root)})
    assert result.exit_code == 0, result.output
    assert "150 images, 4 in quarantine" in result.output
    assert re.search(r"^  3 images: [^(]*test", result.output, re.MULTILINE), result.output
    assert re.search(r"^  1 images: ", result.output, re.MULTILINE), result.output
    (folder,) = re.findall(r"Look at (\S+): quarantine.png, quarantine.csv", result.output)
    assert len(pd.read_csv(project.root / folder / "quarantine.csv")) == 4
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
        (under_another_name, "does one go by the name of another"),
        (exchanged, "does it go by another name"),
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


def test_bad_and_leaked_images_of_a_batch_are_quarantined_and_the_rest_is_divided(served):
    project, params = served
    test_images = read_test_images(project, params)
    images, labels = draw(ENOUGH, 10, (28, 28), seed=11)
    images[:3], images[3] = test_images[:3], 0
    log_predictions(project, images, labels)
    for number in range(KEPT):
        (project.state / "quarantine" / f"batch of long ago {number}").mkdir(parents=True)
    collected = collect(project, params)
    assert collected.in_quarantine == 4
    assert (project.root / collected.pictures).is_dir()
    assert len(list((project.state / "quarantine").iterdir())) == KEPT
    assert validate(project, params).quarantined == 4
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


def read_test_images(project, params):
    from fashion.stages.dataset import read_raw

    return read_raw(project, params.data)["test"].images


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
        with pytest.raises(DataError, match=r"the batches of\s+collected images are not to be had") as told:
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
