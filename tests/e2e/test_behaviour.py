"""How the default network behaves on real images, after a short training on a part of them."""

import numpy as np
import pytest

from fashion.arrays import LabelledImages
from fashion.images.augmentation import move
from fashion.images.idx import read_idx
from fashion.model.networks import answer
from fashion.model.training import Plan, Watch, train
from fashion.params import load_params
from tests.projects import SOURCE

TRAINED, TESTED = 12_000, 2_000
SILENT = Watch(on_epoch=lambda state: None, on_step=lambda done, total: None)


@pytest.fixture(scope="module")
def tested(real_data):
    """Real test images and their labels."""
    return LabelledImages(*(array[:TESTED] for array in read_pair(real_data, "t10k")))


@pytest.fixture(scope="module")
def model(real_data):
    params = load_params(SOURCE / "params.yaml")
    images, labels = read_pair(real_data, "train")
    parts = (LabelledImages(images[part], labels[part]) for part in (slice(TRAINED), slice(TRAINED, TRAINED + 1000)))
    recipe = params.train.chosen.model_copy(update={"epochs": 3})
    return train(Plan(recipe, *parts, len(params.data.classes), seed=1), SILENT).model


def read_pair(folder, name):
    with (
        (folder / f"{name}-images-idx3-ubyte.gz").open("rb") as images,
        (folder / f"{name}-labels-idx1-ubyte.gz").open("rb") as labels,
    ):
        return read_idx(images, "images", 3)[..., np.newaxis], read_idx(labels, "labels", 1)


def predictions(model, images):
    return answer(model, images).probabilities.argmax(axis=1)


def test_a_short_training_on_real_images_already_beats_85_percent(model, tested):
    assert np.mean(predictions(model, tested.images) == tested.labels) > 0.85


@pytest.mark.parametrize(("down", "right"), [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_a_shift_by_one_pixel_rarely_changes_the_answer(model, tested, down, right):
    everywhere = np.ones(TESTED, int)
    moved = move(tested.images, down * everywhere, right * everywhere)
    assert np.mean(predictions(model, moved) == predictions(model, tested.images)) > 0.85


@pytest.mark.parametrize("factor", [0.8, 0.9])
def test_a_darker_picture_rarely_changes_the_answer(model, tested, factor):
    darker = (tested.images * factor).astype(np.uint8)
    assert np.mean(predictions(model, darker) == predictions(model, tested.images)) > 0.9


def test_what_has_no_left_and_right_may_be_mirrored(model, tested):
    """Shoes point somewhere, but shirts, trousers and dresses do not."""
    symmetric = np.isin(tested.labels, [0, 1, 2, 3, 4, 6])
    same = predictions(model, tested.images[:, :, ::-1]) == predictions(model, tested.images)
    assert np.mean(same[symmetric]) > 0.85


def test_an_image_is_judged_alone(model, tested):
    """The answer for an image must not depend on which images come with it."""
    alone = np.concatenate([answer(model, tested.images[i : i + 1]).probabilities for i in range(5)])
    together = answer(model, tested.images).probabilities[:5]
    assert alone == pytest.approx(together, abs=1e-5)
