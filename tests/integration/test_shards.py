"""Parquet shards as other tools write them, damaged ones, and what is refused in one line."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import weakref

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fashion.adapters.shards import Row, Stored, read_pictures, read_rows, write_shard, write_shards
from fashion.arrays import LabelledImages
from fashion.errors import DataError
from fashion.images.encoding import encode_png
from fashion.images.photos import Form, form_of, see
from fashion.images.synthetic import draw
from fashion.params import PicturesParams, load_params
from fashion.stages import pictures as seeing
from fashion.stages.formats import shards
from fashion.stages.prepare import prepare
from fashion.stages.raw import read_raw
from fashion.stages.validate import validate
from fashion.storage import file_digest
from tests.projects import edit_params, make_small, use_shards

CLASSES = ("red", "green", "blue")
SIZE = (24, 40)
COLOUR = {"channels": 3, "isolate": False, "fit": "pad", "ground": 255}
FEATURES = {"image": {"_type": "Image"}, "label": {"names": list(CLASSES), "_type": "ClassLabel"}}
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def picture(seed=0, size=(30, 50, 3), kind="PNG"):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, size, np.uint8)).save(stream, kind)
    return stream.getvalue()


def table(count=6, **columns):
    """A table in the form of `datasets`, with columns changed; None leaves one out."""
    given = {
        "image": pa.array([{"bytes": picture(seed), "path": f"{seed}.png"} for seed in range(count)], IMAGE),
        "label": pa.array([seed % 3 for seed in range(count)], pa.int64()),
        **columns,
    }
    return pa.table({name: column for name, column in given.items() if column is not None})


@pytest.fixture
def dataset(project):
    """A dataset of two shards, train-... and test-..., that `write` fills."""
    use_shards(project, 1, 1)
    edit_params(project, {"data": {"classes": list(CLASSES), "image_size": list(SIZE), "pictures": COLOUR}})
    project.data.mkdir()
    pq.write_table(table(), project.data / "train-00000-of-00001.parquet")
    pq.write_table(table(3), project.data / "test-00000-of-00001.parquet")
    return project


def write(project, content, name="train-00000-of-00001.parquet"):
    pq.write_table(content, project.data / name)


def read(project):
    return read_raw(project, with_digests(project).data)


def with_digests(project):
    """Let params.yaml ask for the files that are there."""
    named = [{"name": path.name, "sha256": file_digest(path)} for path in sorted(project.data.glob("*.parquet"))]
    return edit_params(project, {"data": {"shards": named}})


def test_pictures_of_any_size_and_kind_become_images_as_for_a_user(dataset):
    files = [
        picture(1, (60, 50, 3), "JPEG"),
        picture(2, (24, 40, 3)),
        picture(3, (9, 9)),
        picture(4, (30, 500, 4)),
        picture(5, (30, 50, 3), "WEBP"),
    ]
    write(dataset, table(5, image=pa.array([{"bytes": one, "path": None} for one in files], IMAGE)))
    images = read(dataset)["train"].images
    form = form_of(load_params(dataset.params).data)
    for image, content in zip(images, files, strict=True):
        with Image.open(io.BytesIO(content)) as opened:
            if max(opened.size) <= 400:
                np.testing.assert_array_equal(image, see(np.asarray(opened), form).image)
    assert len(images) == 5


def test_an_isolated_image_is_not_isolated_again(dataset):
    edit_params(dataset, {"data": {"pictures": {"channels": 1, "isolate": True, "fit": None, "ground": None}}})
    drawn, labels = draw(6, 3, SIZE, seed=1)
    stored = pa.array([{"bytes": encode_png(image), "path": None} for image in drawn], IMAGE)
    for name in ("train", "test"):
        write(dataset, table(6, image=stored, label=pa.array(labels)), f"{name}-00000-of-00001.parquet")
    np.testing.assert_array_equal(read(dataset)["train"].images, drawn)


def test_a_shard_is_written_in_the_form_that_datasets_reads(tmp_path):
    rows = [Row(picture(seed), seed % 3, f"{seed}.png", group="a", split="train") for seed in range(250)]
    write_shard(tmp_path / "one.parquet", rows, CLASSES)
    write_shard(tmp_path / "again.parquet", iter(rows), CLASSES)
    assert file_digest(tmp_path / "one.parquet") == file_digest(tmp_path / "again.parquet")
    written = pq.ParquetFile(tmp_path / "one.parquet")
    schema = written.schema_arrow
    assert [(field.name, field.type) for field in schema] == [
        ("image", IMAGE),
        ("label", pa.int64()),
        ("group", pa.string()),
        ("split", pa.string()),
    ]
    text = {"dtype": "string", "_type": "Value"}
    assert json.loads(schema.metadata[b"huggingface"]) == {
        "info": {"features": FEATURES | {"group": text, "split": text}}
    }
    assert [written.metadata.row_group(number).num_rows for number in range(3)] == [100, 100, 50]
    first = written.read().slice(0, 1).to_pylist()[0]
    assert first == {"image": {"bytes": picture(0), "path": "0.png"}, "label": 0, "group": "a", "split": "train"}


def test_shards_are_of_bounded_size_and_named_as_datasets_names_them(tmp_path):
    rows = [Row(bytes(100), 0, str(number)) for number in range(10)]
    paths = write_shards(tmp_path, "test", rows, CLASSES, most_bytes=400)
    assert [path.name for path in paths] == [f"test-0000{number}-of-00003.parquet" for number in range(3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.name for path in paths]
    assert [len(read_rows(path, path.name).labels) for path in paths] == [4, 4, 2]


def test_large_pictures_are_written_and_read_a_few_at_a_time(tmp_path):
    sizes = [3 << 20, 3 << 20, 3 << 20, 20 << 20, 1, 2, 3 << 20]
    rows = [Row(bytes(size), 0) for size in sizes]
    path = tmp_path / "large.parquet"
    write_shard(path, rows, CLASSES)
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [2, 1, 1, 3]
    pq.write_table(pq.read_table(path), path, compression="none")  # As pandas: all rows in one group.
    parts = list(read_pictures(path, path.name, np.ones(len(rows), np.bool_)))
    assert [[len(one.content) for one in part] for part in parts] == [sizes[:2], sizes[2:3], sizes[3:4], sizes[4:]]


def test_large_images_are_made_of_small_files_a_few_at_a_time():
    form = Form((512, 512), PicturesParams(channels=3, isolate=False, fit="pad", ground=0))
    stored = [Stored(str(number), picture(number)) for number in range(12)]
    parts = list(seeing.see_stored([stored], form))
    assert [len(images) for images in parts] == [10, 2]
    expected = [seeing.see_picture(one.content, one.name, form) for one in stored]
    np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_no_part_stays_in_memory_until_all_are_done():
    alive = []

    def parts():
        for _ in range(12):
            part = np.zeros(100)
            alive.append(weakref.ref(part))
            yield part

    done = seeing.on_all_workers(len, parts())
    assert [next(done) for _ in range(6)] == [100] * 6
    assert not any(part() is not None for part in alive[:5])
    assert list(done) == [100] * 6


def test_the_split_is_that_of_the_row_or_of_the_files_name(dataset):
    """What is for validation is trained on or not as `prepare` decides."""
    splits = ["train", "test", "validation", None, "test", "train"]
    write(dataset, table(6, split=pa.array(splits), label=pa.array([0, 1, 2, 1, 2, 0], pa.int8())))
    raw = read(dataset)
    assert raw["train"].labels.tolist() == [0, 2, 1, 0]
    assert raw["test"].labels.tolist() == [0, 1, 2, 1, 2]


def test_groups_are_numbered_and_stay_on_one_side(project):
    use_shards(project, 2, 1)
    params = make_small(project, train=120, test=30, classes=3, size=SIZE, pictures=COLOUR)
    names = {}
    for number, file in enumerate(params.data.shards[:2]):
        path = project.data / file.name
        rows = read_rows(path, file.name)
        groups = [f"scene {label} {row % 7}" for row, label in enumerate(rows.labels)]
        groups[0] = None
        names[number] = groups
        stored = [one for part in read_pictures(path, file.name, np.ones(60, np.bool_)) for one in part]
        again = [
            Row(one.content, int(label), group=group)
            for one, label, group in zip(stored, rows.labels, groups, strict=True)
        ]
        write_shard(path, again, params.data.classes)
    train = read_raw(project, params.data)["train"]
    expected = names[0] + names[1]
    for some in range(0, 120, 11):
        same = {other for other in range(120) if train.groups[other] == train.groups[some]}
        named = {other for other in range(120) if expected[other] == expected[some]} if expected[some] else {some}
        assert same == named
    validate(project, params)
    prepare(project, params)
    by_pixels = {image.tobytes(): group for image, group in zip(train.images, train.groups, strict=True)}
    sides = [
        {by_pixels[image.tobytes()] for image in np.load(project.dataset / f"{name}_images.npy")}
        for name in ("train", "validation")
    ]
    assert len(sides[1]) >= 3
    assert not sides[0] & sides[1]


def test_an_empty_group_is_none_and_an_empty_split_is_that_of_the_files_name(dataset):
    write(dataset, table(group=pa.array(["a", "a", "", "", None, ""]), split=pa.array(["", None, "train", "", "", ""])))
    groups = read(dataset)["train"].groups
    assert groups[0] == groups[1]
    assert len(set(groups)) == 5


WRONG = {
    "no label column": (table(label=None), "has no column label; expected image {bytes, path} and label, found image"),
    "no columns": (pa.table({"x": [1]}), "has no column image and no column label"),
    "a column twice": (table().append_column("label", pa.array([0] * 6)), "has several columns label; expected one"),
    "labels in words": (table(label=pa.array(["a"] * 6)), "column label: expected whole numbers.*found string"),
    "a label too large": (
        table(label=pa.array([0, 1, 3, 2, 7, 0])),
        "row 2: expected a label from 0 to 2 .* found 3;.* 1 are",
    ),
    "no label": (table(label=pa.array([0, 1, -1, 2, 0, 0])), "row 2: expected a label from 0 to 2 .* found -1"),
    "a null label": (table(label=pa.array([0, None, 1, 2, 0, 0])), "row 1: there is no label"),
    "bytes alone": (table(image=pa.array([picture()] * 6)), "column image: expected a struct with bytes.*found binary"),
    "a number as path": (
        table(image=pa.array([{"bytes": picture(), "path": 1}] * 6)),
        "column image: expected a struct with bytes",
    ),
    "a path without bytes": (
        table(image=pa.array([{"bytes": None, "path": "cat\n.jpg"}] * 6, IMAGE)),
        r"row 0 \(cat.\.jpg\): there are no bytes; .*; and 3 more",
    ),
    "no picture": (table(image=pa.array([None] * 6, IMAGE)), "row 0: there are no bytes"),
    "empty bytes": (table(image=pa.array([{"bytes": b"", "path": None}] * 6, IMAGE)), "row 0: the file is empty"),
    "no picture file": (
        table(image=pa.array([{"bytes": picture(), "path": "a"}] * 5 + [{"bytes": b"abc", "path": "bad.png"}], IMAGE)),
        r"row 5 \(bad.png\): neither a picture",
    ),
    "half a picture": (
        table(image=pa.array([{"bytes": picture()[:400], "path": "half.png"}] * 6, IMAGE)),
        r"row 0 \(half.png\): the picture is damaged",
    ),
    "other classes": (
        table().replace_schema_metadata(
            {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["green", "red", "blue"]}}}})}
        ),
        "its classes are green, red, blue; expected those of data.classes .*: red, green, blue",
    ),
    "metadata that are no JSON": (table().replace_schema_metadata({"huggingface": "{"}), "found damaged bytes"),
    "metadata without end": (table().replace_schema_metadata({"huggingface": "[" * 99_999}), "nested too deeply"),
    "no rows": (table(0), "contains no pictures"),
    "another split": (table(split=pa.array(["dev"] * 6)), "row 0: its split is 'dev'; expected one of train, valid"),
    "numbers as splits": (table(split=pa.array([1] * 6)), "column split: expected text; found int64"),
    "a group in both": (
        table(group=pa.array(["a", "b", "c"] * 2), split=pa.array(["train"] * 3 + ["test"] * 3)),
        "3 groups of pictures are both in the test set and in another split, the first of them 'a'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_shard_of_another_form_is_refused_in_a_line(name, dataset):
    content, expected = WRONG[name]
    write(dataset, content)
    with pytest.raises(DataError, match=expected) as caught:
        read(dataset)
    assert "\n" not in str(caught.value)
    assert "train-00000-of-00001.parquet" in str(caught.value) or "group" in name


def test_a_file_whose_name_says_no_split_needs_the_column(dataset):
    (dataset.data / "train-00000-of-00001.parquet").rename(dataset.data / "part.parquet")
    with pytest.raises(DataError, match="no split, and the name of the file begins with none"):
        read(dataset)


def test_a_dataset_without_test_pictures_is_refused(dataset):
    (dataset.data / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(DataError, match="there are no pictures of the split test"):
        read(dataset)


@pytest.mark.parametrize(
    "harm",
    [
        lambda content: b"",
        lambda content: b"PAR1",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content[:4] + bytes(len(content) - 12) + content[-8:],
        lambda content: b"\x89PNG" + content,
        lambda content: content[:1000] + content[3000:],
    ],
)
def test_a_damaged_file_is_refused_in_a_line(harm, dataset):
    path = dataset.data / "train-00000-of-00001.parquet"
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DataError, match="data/train-00000-of-00001.parquet.*damaged") as caught:
        read(dataset)
    assert "\n" not in str(caught.value)


def test_bytes_turned_at_random_are_refused_or_change_pixels_and_nothing_else(dataset):
    path, random = dataset.data / "train-00000-of-00001.parquet", np.random.default_rng(0)
    # Of a BMP a changed byte is a changed pixel.
    write(dataset, table(image=pa.array([{"bytes": picture(0, kind="BMP"), "path": None}] * 6, IMAGE)))
    whole, params = path.read_bytes(), load_params(dataset.params).data
    ends = {"read": 0, "refused": 0}
    for _ in range(200):
        content = bytearray(whole)
        for place in random.integers(0, len(content), 3):
            content[place] ^= 1 << random.integers(8)
        if random.integers(2):  # In the footer, where the claims are.
            content[len(content) - 8 - random.integers(1000)] = random.integers(256)
        path.write_bytes(content)
        try:
            split = shards.read_split(dataset, params, "train")
        except DataError:
            ends["refused"] += 1
        else:
            assert len(split.images) == len(split.labels) == 6
            ends["read"] += 1
    assert min(ends.values()) > 0, ends


def test_a_file_that_claims_far_more_than_it_holds_is_not_read(dataset):
    """A million rows of one repeated picture, in a few kilobytes: the dictionary has it once."""
    image = pa.array([{"bytes": bytes(50_000), "path": None}], IMAGE).take(pa.array([0] * 20_000))
    content = pa.table({"image": image, "label": pa.array([0] * 20_000)})
    path = dataset.data / "train-00000-of-00001.parquet"
    pq.write_table(content, path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 1_000_000
    before = psutil.Process().memory_info().rss
    with pytest.raises(DataError, match=r"claims [\d,]+ bytes, more than 1,000 times those of the file"):
        read(dataset)
    assert psutil.Process().memory_info().rss - before < 200_000_000


def test_the_pictures_of_a_batch_are_kept_as_they_were_sent(dataset, tmp_path):
    params = with_digests(dataset).data
    form = form_of(params)
    sent = {0: picture(7, (90, 90, 3), "JPEG"), 1: picture(8), 2: b"nothing", 3: picture(9)}
    images = np.stack([seeing.see_picture(sent[place], "sent", form) for place in (0, 1, 1, 1)])
    batch = LabelledImages(images, np.array([0, 1, 2, 0], np.uint8))
    shards.write_batch(params, tmp_path, batch, sent.values())
    (stored,) = read_pictures(tmp_path / "images.parquet", "batch", np.ones(4, np.bool_))
    assert [one.content for one in stored[:2]] == [sent[0], sent[1]]
    # What is no picture, or another one than the model saw, is kept as the image that it saw.
    assert [one.content for one in stored[2:]] == [encode_png(images[2])] * 2
    again = shards.read_batch(dataset, params, tmp_path)
    np.testing.assert_array_equal(again.images, images)
    assert again.labels.tolist() == [0, 1, 2, 0]


def test_images_of_many_pixels_come_back_from_a_batch_as_they_were(dataset, tmp_path):
    edit_params(dataset, {"data": {"image_size": [300, 640]}})
    params = with_digests(dataset).data
    images = np.random.default_rng(0).integers(0, 256, (2, 300, 640, 3), np.uint8)
    batch = LabelledImages(images, np.array([0, 1], np.uint8))
    shards.write_batch(params, tmp_path, batch, [None, picture(1, (300, 640, 3))])
    np.testing.assert_array_equal(shards.read_batch(dataset, params, tmp_path).images, images)


def test_many_pictures_are_decoded_by_processes_in_their_order(dataset):
    count = 620
    drawn, labels = draw(count, 3, SIZE, seed=4, channels=3)
    contents = [encode_png(image) for image in drawn]
    contents[300] = contents[610] = b"broken"
    stored = pa.array([{"bytes": one, "path": None} for one in contents], IMAGE)
    write(dataset, table(count, image=stored, label=pa.array(labels)))
    with pytest.raises(DataError, match=r"row 300: neither.*row 610: neither"):
        read(dataset)
    contents[300], contents[610] = encode_png(drawn[300]), encode_png(drawn[610])
    stored = pa.array([{"bytes": one, "path": None} for one in contents], IMAGE)
    write(dataset, table(count, image=stored, label=pa.array(labels)))
    # Other tests may have left what multiprocessing keeps as long as this process lives, a fork server for example.
    before = {child.pid for child in psutil.Process().children()}
    np.testing.assert_array_equal(read(dataset)["train"].images, drawn)
    new = [child for child in psutil.Process().children() if child.pid not in before]
    assert not [child for child in new if "resource_tracker" not in " ".join(child.cmdline())]


def test_the_processes_end_with_the_one_that_is_killed(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "from fashion.adapters.shards import Stored\n"
        "from fashion.images.photos import Form\n"
        "from fashion.params import PicturesParams\n"
        "from fashion.stages.pictures import see_stored\n"
        "if __name__ == '__main__':\n"
        f"    one = [Stored('a', {picture()!r})] * 100\n"
        "    form = Form((28, 28), PicturesParams(channels=3, isolate=False, fit='pad', ground=0))\n"
        "    for number, _ in enumerate(see_stored([one] * 100_000, form)):\n"
        "        if number == 20:\n"
        "            print('at work', flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"at work\n"
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 10
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_messages_name_no_path_twice(dataset):
    write(dataset, table(label=pa.array([9] * 6)))
    with pytest.raises(DataError) as caught:
        read(dataset)
    assert len(re.findall("train-00000", str(caught.value))) == 1
