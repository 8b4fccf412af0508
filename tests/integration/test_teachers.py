"""Who teaches: how much of a batch one source may fill, and whether it can choose what is tested on."""

import numpy as np
import pytest
from typer.testing import CliRunner

from fashion.adapters.predictions import PredictionLog
from fashion.adapters.versioning.pinning import pin
from fashion.cli import app
from fashion.errors import DataError
from fashion.images.split import held_out
from fashion.images.synthetic import draw
from fashion.loop.collect import collect
from fashion.settings import predictions_url
from fashion.stages.dataset import RECENT, load_split
from fashion.stages.prepare import prepare
from fashion.stages.raw import SALT, read_batches, read_salt
from fashion.stages.validate import validate
from tests.advice import follow
from tests.projects import edit_params, git, log_predictions

ENOUGH = 100
FRACTION = 0.3


@pytest.fixture
def served(larger_project):
    changes = {"collect": {"at_least": ENOUGH}, "prepare": {"recent_test_fraction": FRACTION}}
    return larger_project, edit_params(larger_project, changes)


def teach(project, source, count, seed):
    """Let a source give labels for drawn images; the images."""
    images, labels = draw(count, 10, (28, 28), seed=seed)
    give_labels(project, images, labels, [source] * count)
    return images


def give_labels(project, images, labels, sources):
    ids = log_predictions(project, images, [None] * len(images))
    log = PredictionLog(predictions_url(project))
    for one, label, source in zip(ids, labels, sources, strict=True):
        log.add_label(one, int(label), source)
    log.close()


def learned_of(project, params, batch, images):
    """How many of these images are in a batch."""
    there = {image.tobytes() for image in read_batches(project, params.data)[batch].images}
    return len(there & {image.tobytes() for image in images})


def test_a_source_among_others_fills_no_more_than_its_share_of_a_batch_and_the_rest_waits(served):
    project, params = served
    shop = teach(project, "shop/line 3", 160, seed=11)
    clinic = teach(project, "clinic/page", 60, seed=12)
    collected = collect(project, params)
    assert [learned_of(project, params, collected.batch, images) for images in (shop, clinic)] == [60, 60]
    assert learned_of(project, params, collected.batch, shop[-60:]) == 60
    ((reason, count),) = collected.left_out.items()
    assert reason.startswith("shop gave more than 50% of a batch (collect.at_most_from_one_source)")
    assert count == 100
    clinic = teach(project, "clinic/page", 100, seed=13)
    collected = collect(project, params)
    assert [learned_of(project, params, collected.batch, images) for images in (shop, clinic)] == [100, 100]
    assert collected.left_out == {}


def test_a_source_alone_among_several_teaches_nothing_and_the_command_says_why(served):
    project, params = served
    teach(project, "clinic/page", 1, seed=12)
    teach(project, "shop/line 3", 160, seed=11)
    result = CliRunner().invoke(app, ["collect"], env={"FASHION_HOME": str(project.root)})
    assert result.exit_code == 0, result.output
    assert "159 left out: shop gave more than 50% of a batch" in result.output
    assert "Nothing to learn from: 2 new labels; at least 100 are needed" in result.output
    params = edit_params(project, {"collect": {"at_most_from_one_source": 1.0}})
    assert collect(project, params).images == 161


def test_labels_of_one_key_are_of_one_source_whatever_they_claim_and_so_are_those_from_before_there_were_names(served):
    project, params = served
    for number, source in enumerate(("shop/line 3", "shop/clinic", "shop/default")):
        teach(project, source, 50, seed=11 + number)
    assert collect(project, params).images == 150
    teach(project, "user", 30, seed=21)
    teach(project, "page", 30, seed=22)
    teach(project, "default/page", 60, seed=23)
    collected = collect(project, edit_params(project, {"collect": {"at_least": 10}}))
    assert (collected.batch, collected.images, sum(collected.left_out.values())) == (None, 0, 120)


def test_of_several_keys_the_one_that_spoils_a_batch_is_left_out_whatever_it_claims(served):
    project, _ = served
    params = edit_params(project, {"collect": {"at_most_from_one_source": 1.0}})
    clinic = teach(project, "clinic/page", ENOUGH, seed=11)
    images, labels = draw(6 * ENOUGH, 10, (28, 28), seed=12)
    claims = [f"shop/{number}" for number in range(len(images))]
    give_labels(project, images, np.random.default_rng(0).permutation(labels), claims)
    collected = collect(project, params)
    assert learned_of(project, params, collected.batch, clinic) == collected.images == ENOUGH
    ((reason, count),) = collected.left_out.items()
    assert reason.startswith("given by shop, refused: see .state/refused/")
    assert count == 6 * ENOUGH


def share_tested(project, params, images):
    """The share of these images that is in the recent test set."""
    validate(project, params)
    prepare(project, params)
    there = {image.tobytes() for image in load_split(project, RECENT).images}
    return sum(image.tobytes() in there for image in images) / len(images)


def test_a_caller_cannot_choose_by_content_what_is_tested_on(served):
    """All images are such that, without the secret, every one of them would be in the recent test set."""
    project, params = served
    images, labels = draw(1000, 10, (28, 28), seed=11)
    chosen = held_out(images, FRACTION)
    log_predictions(project, images[chosen], labels[chosen])
    assert collect(project, params).batch is not None
    assert share_tested(project, params, images[chosen]) == pytest.approx(FRACTION, abs=0.15)


def test_the_secret_is_made_once_kept_by_dvc_alone_and_divides_collected_images(served):
    project, params = served
    assert read_salt(project) == b""
    images = teach(project, "shop/line 3", 150, seed=11)
    collect(project, params)
    salt = read_salt(project)
    assert len(salt) == 32
    assert "salt" not in git(project.root, "status", "--porcelain", "--untracked-files=all", "--", "data")
    images = np.concatenate([images, teach(project, "shop/line 3", 150, seed=12)])
    collect(project, params)
    assert read_salt(project) == salt
    assert share_tested(project, params, images) == held_out(images, FRACTION, salt).mean()


def test_data_of_earlier_code_are_divided_as_they_were(served):
    project, params = served
    images = teach(project, "user", 150, seed=11)
    collect(project, params)
    (project.data / SALT).unlink()
    pin(project)
    assert share_tested(project, params, images) == held_out(images, FRACTION).mean()


def test_a_damaged_secret_is_told_and_comes_back_as_data_dvc_pins_it(served):
    project, params = served
    teach(project, "shop/line 3", 150, seed=11)
    collect(project, params)
    validate(project, params)
    path, salt = project.data / SALT, read_salt(project)
    for content in (b"", b"00" * 31, b"xy" * 32, b"\xff"):
        path.unlink()  # A link into DVC's cache, or a file that may only be read.
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"{path} is damaged") as told:
            prepare(project, params)
    path.unlink()
    follow(project, told.value, "dvc pull data.dvc")
    assert read_salt(project) == salt
