import json

import numpy as np
import pandas as pd
import pytest

from fashion.errors import DataError, SuiteError
from fashion.images.idx import write_idx, write_images
from fashion.params import load_params
from fashion.stages.raw import read_raw
from fashion.stages.restoring import SYNTHETIC
from fashion.stages.validate import validate
from tests.projects import edit_params, read_suite, write_suite

QUARTER = {"validate": {"max_quarantined": 0.25}}


@pytest.fixture
def params(small_project):
    return load_params(small_project.params)


@pytest.fixture
def splits(small_project, params):
    """The images and labels of the project, to be changed and written again."""
    return {
        name: (split.images.copy(), split.labels.copy()) for name, split in read_raw(small_project, params.data).items()
    }


def write(project, params, splits):
    for file, array in zip(params.data.files, (*splits["train"], *splits["test"]), strict=True):
        (project.data / file.name).write_bytes(write_images(array) if array.ndim == 4 else write_idx(array))


def report(project):
    return json.loads((project.validation / "report.json").read_text())


def quarantine(project):
    return pd.read_csv(project.validation / "quarantine.csv")


def test_good_data_pass_and_everything_is_written(small_project, params):
    summary = validate(small_project, params)
    assert (summary.success, summary.images, summary.quarantined, summary.synthetic) == (True, 800, 0, True)
    written = report(small_project)
    assert (written["success"], written["images"], written["quarantined"], written["synthetic"]) == (True, 800, 0, True)
    assert set(written["files"]) == {file.name for file in params.data.files}
    assert all(each["success"] for each in written["expectations"])
    assert list(quarantine(small_project).columns) == ["split", "index", "label", "reason"]
    assert len(pd.read_parquet(small_project.validation / "descriptors.parquet")) == 800
    assert "# Validation: the data are fit" in (small_project.validation / "summary.md").read_text()
    assert "drawn" in (small_project.validation / "summary.md").read_text()
    for name in ("quarantine.png", "docs/index.html"):
        assert (small_project.validation / name).stat().st_size > 1000


def test_bad_images_are_quarantined_each_with_its_reasons(small_project, params, splits):
    (images, labels), (test_images, _) = splits["train"], splits["test"]
    images[3] = 0
    images[4] = 255
    images[6] = images[5]
    images[7] = test_images[0]
    labels[8] = 200
    images[9], labels[9] = 7, 200
    write(small_project, params, splits)
    params = edit_params(small_project, QUARTER)
    summary = validate(small_project, params)
    table = quarantine(small_project)
    assert (summary.quarantined, summary.reported_in_test) == (6, 0)
    assert table["split"].unique().tolist() == ["train"]
    assert table["index"].tolist() == [3, 4, 6, 7, 8, 9]
    reasons = dict(zip(table["index"], table["reason"], strict=True))
    assert "blank" in reasons[3]
    assert "saturated" in reasons[4]
    assert reasons[6] == "a copy of an earlier image"
    assert reasons[7] == "a copy of a test image"
    assert reasons[8] == "its label is not a class"
    assert reasons[9].startswith("its label is not a class; blank")


def test_bad_test_images_are_reported_apart(small_project, params, splits):
    splits["test"][0][11] = 0
    write(small_project, params, splits)
    summary = validate(small_project, params)
    assert (summary.quarantined, summary.reported_in_test) == (0, 1)
    assert quarantine(small_project)[["split", "index"]].to_numpy().tolist() == [["test", 11]]


def test_too_many_bad_images_fail_the_run_but_leave_the_report(small_project, params, splits):
    splits["train"][0][:9] = np.arange(9, dtype=np.uint8)[:, None, None, None]  # 9 of 800 are more than 1 %.
    write(small_project, params, splits)
    with pytest.raises(
        DataError, match=r"(?s)too many bad images .*9 of them quarantined .*1.12%, at most 1.00%.*quarantine.csv"
    ):
        validate(small_project, params)
    assert not report(small_project)["success"]
    assert len(quarantine(small_project)) == 9
    assert "the data are not fit" in (small_project.validation / "summary.md").read_text()


def test_classes_out_of_balance_fail_the_run(small_project, params, splits):
    splits["train"][1][splits["train"][1] == 3] = 4
    write(small_project, params, splits)
    with pytest.raises(
        DataError, match=r"(?s)train.json, expect_column_kl_divergence.*the classes are not equally frequent"
    ):
        validate(small_project, params)
    assert not report(small_project)["success"]


def test_a_number_of_images_that_changed_fails_the_run(small_project, params, splits):
    splits["test"] = tuple(array[:190] for array in splits["test"])
    write(small_project, params, splits)
    with pytest.raises(DataError, match=r"(?s)test.json.*expected value 200, found 190"):
        validate(small_project, params)


def test_inverted_images_fail_the_run(small_project, params, splits):
    splits["train"] = (255 - splits["train"][0], splits["train"][1])
    write(small_project, params, splits)
    with pytest.raises(DataError, match="are they inverted"):
        validate(small_project, params)


def test_a_warning_does_not_fail_the_run(small_project, params, splits):
    suite = read_suite(small_project, "train")
    count = suite["expectations"][0]
    count["kwargs"]["value"], count["meta"]["on_breach"] = 1, "warn"
    write_suite(small_project, "train", suite)
    assert validate(small_project, params).success
    assert "the number of training images changed | 600 | warn" in (small_project.validation / "summary.md").read_text()


def test_a_failed_suite_leaves_the_last_good_report(small_project, params):
    validate(small_project, params)
    before = report(small_project)
    (small_project.expectations / "images.json").write_text("no JSON")
    with pytest.raises(SuiteError, match=r"images.json is not JSON"):
        validate(small_project, params)
    assert report(small_project) == before
    assert [path.name for path in small_project.validation.parent.iterdir()] == ["validation"]


def _change(project, name, change):
    path = project.data / name
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda content: content[: len(content) // 2], "the gzip stream is truncated .*fashion fetch --synthetic"),
        (lambda content: b"", "empty file"),
        (lambda content: b"<html>404</html>", "expected a gzip file, found damaged bytes"),
        (
            lambda content: write_idx(np.zeros(600, np.uint8)),
            "expected the magic number 0x00000803 .* found 0x00000801",
        ),
        (lambda content: write_idx(np.zeros((599, 28, 28), np.uint8)), "has 599 images but .* 600 labels"),
        (lambda content: write_idx(np.zeros((600, 32, 32), np.uint8)), "expected images of 28 x 28 .* found 32 x 32"),
        (lambda content: content[:2000] + bytes([content[2000] ^ 1]) + content[2001:], "train-images"),
    ],
)
def test_a_damaged_file_is_named_in_the_error(small_project, params, change, complaint):
    name = params.data.train_images.name
    _change(small_project, name, change)
    with pytest.raises(DataError, match=complaint) as caught:
        validate(small_project, params)
    assert f"data/{name}" in str(caught.value)
    assert not small_project.validation.exists()


def test_a_missing_file_is_named_with_the_command_that_brings_it(small_project, params):
    (small_project.data / params.data.test_labels.name).unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz is missing; get it with: fashion fetch"):
        validate(small_project, params)


def test_real_files_must_have_the_digests_of_params_yaml(small_project, params, splits):
    (small_project.data / SYNTHETIC).unlink()
    with pytest.raises(DataError, match=f"expected SHA-256 {params.data.train_images.sha256}, found [0-9a-f]{{64}}"):
        validate(small_project, params)


def test_the_real_dataset_is_fit(project, real_data):
    params = load_params(project.params)
    project.data.symlink_to(real_data)
    summary = validate(project, params)
    assert (summary.success, summary.images, summary.quarantined, summary.synthetic) == (True, 70_000, 0, False)
    assert summary.reported_in_test == 0
    assert all(each["success"] for each in report(project)["expectations"])
