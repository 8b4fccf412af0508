"""The two formats of a dataset through the same tests: four IDX files, and Parquet shards."""

import os
from pathlib import Path

import numpy as np
import pytest

from fashion.arrays import LabelledImages
from fashion.errors import DataError
from fashion.images.synthetic import draw
from fashion.params import load_params
from fashion.paths import Project
from fashion.stages.fetch import Drawing, draw_data, fetch
from fashion.stages.formats import format_of, idx, shards
from fashion.stages.prepare import prepare
from fashion.stages.raw import digests, read_raw, read_test
from fashion.stages.validate import validate
from fashion.storage import file_digest, folder_digest
from tests.projects import edit_params, make_small, use_shards

GREY = {"channels": 1, "isolate": True}
COLOUR = {"channels": 3, "isolate": False, "fit": "pad", "ground": 255}
SIZE = (24, 40)


@pytest.fixture(params=["idx", "shards"])
def dataset(request, project):
    """A small drawn dataset in each format."""
    if request.param == "shards":
        use_shards(project)
    make_small(project, train=90, test=30, classes=3, size=SIZE, pictures=COLOUR)
    return project


def same(some, others):
    return np.array_equal(some.images, others.images) and np.array_equal(some.labels, others.labels)


@pytest.mark.parametrize("pictures", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("kind", [idx, shards], ids=["idx", "shards"])
def test_what_is_drawn_is_what_is_read(kind, pictures, project):
    if kind is shards:
        use_shards(project)
    edit_params(project, {"data": {"image_size": list(SIZE), "pictures": pictures}})
    params = load_params(project.params)
    assert format_of(params.data) is kind
    draw_data(project, params, Drawing(70, 30, seed=3))
    raw = read_raw(project, params.data)
    for number, (name, count) in enumerate({"train": 70, "test": 30}.items()):
        expected = LabelledImages(*draw(count, 10, SIZE, seed=6 + number, channels=pictures["channels"]))
        assert same(raw[name], expected)
        assert (raw[name].images.dtype, raw[name].labels.dtype) == (np.uint8, np.uint8)
    assert same(read_test(project, params.data), raw["test"])
    assert set(digests(project, params.data)) == {file.name for file in params.data.files}


def test_images_are_mapped_files_of_which_nothing_is_left(dataset):
    before = sorted(dataset.state.rglob("*"))
    images = read_raw(dataset, load_params(dataset.params).data)["train"].images
    assert not images.flags.writeable
    maps = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(dataset.state) in line]
    assert maps
    assert all("(deleted)" in line for line in maps)
    assert sorted(dataset.state.rglob("*")) == before
    address = images.__array_interface__["data"][0]
    spans = ([int(edge, 16) for edge in line.split()[0].split("-")] for line in maps)
    assert any(start <= address < end for start, end in spans)


def test_the_same_drawing_makes_the_same_bytes(dataset):
    params = load_params(dataset.params)
    before = folder_digest(dataset.data)
    draw_data(dataset, params, Drawing(90, 30))
    assert folder_digest(dataset.data) == before


def test_a_file_that_is_missing_and_one_that_was_cut_off_name_the_command(dataset):
    params = load_params(dataset.params)
    path = dataset.data / params.data.files[-1].name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=rf"data/{path.name}.*Get the right file with: fashion fetch --synthetic"):
        read_raw(dataset, params.data)
    path.unlink()
    with pytest.raises(DataError, match=rf"{path.name} is missing; get it with: fashion fetch --synthetic"):
        read_raw(dataset, params.data)


def test_files_are_fetched_by_their_digests_from_a_folder(dataset, tmp_path, monkeypatch):
    params = load_params(dataset.params)
    source = tmp_path / "source"
    dataset.data.rename(source)
    monkeypatch.setenv("FASHION_DATA_SOURCES", str(source))
    known = {file.name: file_digest(source / file.name) for file in params.data.files}
    if params.data.shards:
        edit = {"shards": [{"name": name, "sha256": digest} for name, digest in known.items()]}
    else:
        edit = {key: {"sha256": known[getattr(params.data, key).name]} for key in ("train_images", "train_labels")}
        edit |= {key: {"sha256": known[getattr(params.data, key).name]} for key in ("test_images", "test_labels")}
    params = edit_params(dataset, {"data": edit})
    fetched = fetch(dataset, params, force=True)
    assert set(fetched.origins) == set(known)
    assert not fetched.synthetic
    assert len(read_raw(dataset, params.data)["train"].labels) == 90
    path = dataset.data / params.data.files[0].name
    path.write_bytes((dataset.data / params.data.files[-1].name).read_bytes())
    with pytest.raises(DataError, match="fashion fetch --force"):
        read_raw(dataset, params.data)


def test_a_batch_gives_the_images_back_that_went_in(dataset, tmp_path):
    params = load_params(dataset.params).data
    batch = LabelledImages(*draw(12, 3, SIZE, seed=5, channels=3))
    folder = tmp_path / "batch"
    folder.mkdir()
    format_of(params).write_batch(params, folder, batch, [None] * len(batch.labels))
    assert same(format_of(params).read_batch(dataset, params, folder), batch)


def test_both_formats_make_the_same_dataset(project):
    made = []
    idx_params = make_small(project, train=90, test=30, classes=3, size=SIZE, pictures=COLOUR)
    for params in (idx_params, use_shards(project)):
        draw_data(project, params, Drawing(90, 30), force=True)
        validate(project, params)
        prepare(project, params)
        made.append([file_digest(path) for path in sorted(project.dataset.glob("*.npy"))])
        made[-1].append(file_digest(project.validation / "descriptors.parquet"))
    assert made[0] == made[1]
    assert len(made[0]) == 7


def test_a_disk_without_room_is_an_error_rather_than_a_crash(dataset, monkeypatch):
    from fashion.errors import DiskError
    from fashion.stages.formats import maps

    class Full:
        def write(self, content):
            raise OSError(28, os.strerror(28))

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

    monkeypatch.setattr(maps.tempfile, "TemporaryFile", lambda **where: Full())
    with pytest.raises(DiskError, match="The disk is full"):
        read_raw(Project(dataset.root), load_params(dataset.params).data)
