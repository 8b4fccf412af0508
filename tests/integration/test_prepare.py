import json

import numpy as np
import pandas as pd
import pytest

from fashion.errors import ArtifactError, DataError
from fashion.images.idx import write_idx
from fashion.params import load_params
from fashion.stages.dataset import load_split
from fashion.stages.prepare import prepare
from fashion.stages.raw import read_raw
from tests.projects import edit_params, make_small


@pytest.fixture
def params(small_project):
    return load_params(small_project.params)


def write_quarantine(project, rows=()):
    project.validation.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows, columns=["split", "index", "label", "reason"])
    table.to_csv(project.validation / "quarantine.csv", index=False)


def write_labels(project, file, labels):
    (project.data / file.name).write_bytes(write_idx(np.asarray(labels, np.uint8)))


def test_every_split_is_stored_and_the_test_set_stays_whole(small_project, params):
    write_quarantine(small_project)
    prepared = prepare(small_project, params)
    raw = read_raw(small_project, params.data)
    assert prepared.images == {"train": 540, "validation": 60, "test": 200}
    test = load_split(small_project, "test")
    np.testing.assert_array_equal(test.images, raw["test"].images)
    np.testing.assert_array_equal(test.labels, raw["test"].labels)
    parts = [load_split(small_project, name) for name in ("train", "validation")]
    divided = sorted(
        (image.tobytes(), label) for part in parts for image, label in zip(part.images, part.labels, strict=True)
    )
    assert divided == sorted(
        (image.tobytes(), label) for image, label in zip(raw["train"].images, raw["train"].labels, strict=True)
    )


def test_arrays_are_mapped_into_memory_and_cannot_be_changed(small_project, params):
    write_quarantine(small_project)
    prepare(small_project, params)
    images = load_split(small_project, "train").images
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_grey_images_without_channels_are_read_as_earlier_code_stored_them(small_project, params):
    write_quarantine(small_project)
    prepare(small_project, params)
    path = small_project.dataset / "test_images.npy"
    images = np.load(path)
    np.save(path, images[..., 0])
    np.testing.assert_array_equal(load_split(small_project, "test").images, images)


def test_classes_keep_their_shares_and_the_counts_are_written(small_project, params):
    write_quarantine(small_project)
    prepare(small_project, params)
    written = json.loads((small_project.dataset / "dataset.json").read_text())
    assert written["classes"] == list(params.data.classes)
    assert written["images_of_class"]["validation"] == dict.fromkeys(params.data.classes, 6)
    assert written["images_of_class"]["train"] == dict.fromkeys(params.data.classes, 54)
    assert (written["seed"], written["validation_fraction"], written["synthetic"]) == (0, 0.1, True)


def test_quarantined_training_images_are_left_out_and_test_images_are_not(small_project, params):
    raw = read_raw(small_project, params.data)
    write_quarantine(small_project, [("train", 17, 0, "bad"), ("test", 3, 0, "bad")])
    prepared = prepare(small_project, params)
    assert prepared.quarantined == 1
    assert prepared.images["test"] == 200
    kept = {image.tobytes() for name in ("train", "validation") for image in load_split(small_project, name).images}
    assert len(kept) == 599
    assert raw["train"].images[17].tobytes() not in kept


def test_the_same_seed_gives_the_same_files_and_another_seed_others(small_project, params):
    write_quarantine(small_project)
    prepare(small_project, params)
    first = (small_project.dataset / "validation_images.npy").read_bytes()
    prepare(small_project, params)
    assert (small_project.dataset / "validation_images.npy").read_bytes() == first
    prepare(small_project, edit_params(small_project, {"prepare": {"seed": 1}}))
    assert (small_project.dataset / "validation_images.npy").read_bytes() != first


def test_a_label_outside_the_classes_in_the_test_set_is_an_error(small_project, params):
    write_quarantine(small_project)
    labels = read_raw(small_project, params.data)["test"].labels.copy()
    labels[5] = 10
    write_labels(small_project, params.data.test_labels, labels)
    with pytest.raises(DataError, match=r"t10k-labels.*expected labels 0 to 9 .*found 1 others, the first of them 10"):
        prepare(small_project, params)
    assert not small_project.dataset.exists()


def test_a_class_with_too_few_images_is_named(small_project, params):
    labels = read_raw(small_project, params.data)["train"].labels
    rows = [("train", int(index), 6, "bad") for index in np.flatnonzero(labels == 6)]
    write_quarantine(small_project, rows[2:])
    refused = rf"Too few training images of {params.data.classes[6]} \(58 are in artifacts/.*quarantine.csv\) .*found 2"
    with pytest.raises(DataError, match=refused):
        prepare(small_project, params)
    write_quarantine(small_project, rows)
    refused = rf"train-labels.*found none of {params.data.classes[6]} \(60 are in artifacts.*\)\. Add images, or remove"
    with pytest.raises(DataError, match=refused):
        prepare(small_project, params)


def test_a_class_missing_from_the_test_set_is_named(small_project, params):
    write_quarantine(small_project)
    labels = read_raw(small_project, params.data)["test"].labels.copy()
    labels[labels == 2] = 0
    write_labels(small_project, params.data.test_labels, labels)
    with pytest.raises(DataError, match=rf"t10k-labels.*found none of {params.data.classes[2]}\. Add images, "):
        prepare(small_project, params)


def test_without_validation_the_command_to_type_is_named(small_project, params):
    with pytest.raises(ArtifactError, match=r"quarantine.csv is missing; make it with: dvc repro validate"):
        prepare(small_project, params)


@pytest.mark.parametrize(
    "content",
    ["", "a,b\n1,2\n", "split,index,label,reason\ntrain,x,0,bad\n", "split,index,label,reason\ntrain,600,0,bad\n"],
)
def test_a_damaged_list_of_quarantined_images_is_an_error(small_project, params, content):
    write_quarantine(small_project)
    (small_project.validation / "quarantine.csv").write_text(content)
    with pytest.raises(ArtifactError, match=r"quarantine.csv .*make it with: dvc repro validate"):
        prepare(small_project, params)


def test_another_number_of_classes_and_another_size_need_no_code(project):
    params = make_small(project, train=140, test=35, classes=7, size=(20, 24))
    write_quarantine(project)
    prepared = prepare(project, params)
    assert prepared.images_of_class["test"] == dict.fromkeys(params.data.classes, 5)
    assert load_split(project, "train").images.shape == (126, 20, 24, 1)
