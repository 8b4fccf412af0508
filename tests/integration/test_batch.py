"""`fashion predict --output`: sources of every kind, real files, LiteRT and Parquet; a run that stops goes on."""

import gzip
import json
import os
import re
import shutil
import sqlite3
import struct
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from fashion.adapters.answers import METADATA
from fashion.adapters.litert import Session
from fashion.adapters.shards import Row, write_shard
from fashion.batch import answering
from fashion.batch.answer import Wanted, answer, answer_with
from fashion.batch.folder import LOCK, OURS, SUMMARY, held, shard_name
from fashion.batch.plan import PLAN
from fashion.batch.seeing import see_stretch
from fashion.batch.stretches import Rows
from fashion.batch.wording import sentences, summary_of
from fashion.cli import app
from fashion.errors import ArtifactError, DataError, ParamsError, ServiceError
from fashion.images.encoding import encode_png
from fashion.images.idx import write_images
from fashion.params import load_params
from fashion.registry.champion import fetch_champion
from fashion.registry.predict import predict
from fashion.stages.raw import read_raw
from tests.litert_models import band_images
from tests.services import CLASSES, FORM, SIZE, make_champion

IMAGES = band_images(10, SIZE, len(CLASSES))
EXPECTED = [CLASSES[number % len(CLASSES)] for number in range(len(IMAGES))]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return make_champion(tmp_path_factory.mktemp("champion"), "1")


class StoppedError(Exception):
    """What ends a run in the middle."""


class Stopping(ThreadPoolExecutor):
    """Ends the run when the shard of this number is handed out; those before it are finished."""

    def __init__(self, number):
        super().__init__(1)
        self.left = number

    def submit(self, function, /, *arguments):
        if not self.left:
            self.shutdown()
            raise StoppedError
        self.left -= 1
        return super().submit(function, *arguments)


def ask(found, source, output, size=3, executor=None, progress=None):
    """What came of it, and the rows."""
    with executor or ThreadPoolExecutor(1) as own:
        answered = answer_with(found, "bands", Wanted(source, output, size), own, progress or (lambda *_: None))
    return answered, pd.read_parquet(output)


def save(folder, numbers=range(10), ending="png"):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.fromarray(IMAGES[number, ..., 0]).save(folder / f"{number}.{ending}")
    return folder


def classes_of(rows):
    return [None if pd.isna(one) else one for one in rows["class"]]


def test_a_folder_is_searched_however_deep_and_every_picture_is_a_row(found, tmp_path):
    source = tmp_path / "shop"
    deep = Path(*["below"] * 60)
    save(source, range(4))
    save(source / deep, range(4, 7), "bmp")
    save(source / ".hidden", range(2))
    (source / "notes.txt").write_text("no picture")
    said = []
    answered, rows = ask(found, source, tmp_path / "answers", progress=lambda *progress: said.append(progress))
    names = [f"{number}.png" for number in range(4)] + [f"{deep}/{number}.bmp" for number in range(4, 7)]
    assert list(rows["path"]) == names
    assert classes_of(rows) == EXPECTED[:7]
    assert list(rows.columns) == ["path", "class", "probabilities", "abstain", "reason", "model", "version"]
    assert set(rows["model"]) == {"bands"}
    assert set(rows["version"]) == {"1"}
    assert all(len(one) == len(CLASSES) and one.dtype == np.float32 for one in rows["probabilities"])
    assert not rows["abstain"].any()
    assert rows["reason"].isna().all()
    assert answered.passed_over == {".txt": 1}
    assert said[0] == (0, 7)
    assert said[-1] == (7, 7)
    names = [f"answers-{number:05d}-of-00003.parquet" for number in range(3)]
    assert sorted(os.listdir(tmp_path / "answers")) == [LOCK, PLAN, SUMMARY, *names]
    assert [pq.read_metadata(tmp_path / "answers" / name).num_rows for name in names] == [3, 3, 1]
    note = json.loads(pq.read_schema(tmp_path / "answers" / names[0]).metadata[METADATA])
    assert tuple(note["classes"]) == CLASSES
    summary = json.loads((tmp_path / "answers" / SUMMARY).read_text())
    assert summary == json.loads(json.dumps(answered.to_dict()))
    assert summary["by_class"] == {"top": 2, "upper": 2, "middle": 1, "lower": 1, "bottom": 1}


def test_what_cannot_be_answered_costs_its_row_and_no_other(found, tmp_path):
    source = save(tmp_path / "shop", range(3))
    (source / "broken.png").write_bytes((source / "1.png").read_bytes()[:60])
    (source / "camera.heic").write_bytes(b"?")
    (source / "empty.jpg").touch()
    Image.new("L", (50, 50), 90).save(source / "plain.png")
    (source / "link.png").symlink_to(source / "0.png")
    (source / "elsewhere").symlink_to(tmp_path)
    os.mkfifo(source / "pipe.png")
    answered, rows = ask(found, source, tmp_path / "answers")
    reasons = dict(zip(rows["path"], rows["reason"], strict=True))
    refused = rows[rows["class"].isna()]
    assert classes_of(rows[rows["class"].notna()]) == EXPECTED[:3]
    assert set(refused["path"]) == {
        *("broken.png", "camera.heic", "empty.jpg", "plain.png", "link.png", "elsewhere", "pipe.png")
    }
    assert refused["abstain"].all()
    assert refused["probabilities"].isna().all()
    assert "the picture is damaged" in reasons["broken.png"]
    assert reasons["camera.heic"] == "HEIC is not read; convert it to PNG or JPEG"
    assert reasons["empty.jpg"] == "the file is empty"
    assert "a single shade" in reasons["plain.png"]
    assert reasons["link.png"] == reasons["elsewhere"]
    assert "a link, which is not followed" in reasons["link.png"]
    assert reasons["pipe.png"] == "a pipe or a device"
    assert answered.tally.refused == 7
    assert answered.tally.first_refused[0].startswith("broken.png: the picture is damaged")


def test_names_of_files_that_are_no_text_or_hold_line_breaks_are_answered(found, tmp_path):
    source = save(tmp_path / "shop", [0, 1])
    os.rename(source / "0.png", os.fsencode(source) + b"/\xff\xfe.png")
    (source / "1.png").rename(source / "two\nlines.png")
    _, rows = ask(found, source, tmp_path / "answers")
    assert dict(zip(rows["path"], classes_of(rows), strict=True)) == {
        "two\nlines.png": EXPECTED[1],
        "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}.png": EXPECTED[0],
    }


def test_what_came_of_a_source_is_said_in_text_whatever_the_names_of_its_files(found, tmp_path):
    """Names that are not UTF-8 cannot be written, and some hold what a terminal obeys."""
    source = save(tmp_path / os.fsdecode(b"k\xf6ln"), range(2))
    for name in (b"b.\xe4nd", b"c.x\x1b[2J\nred"):
        (source / os.fsdecode(name)).touch()
    output = tmp_path / os.fsdecode(b"antw\xf6rter")
    with ThreadPoolExecutor(1) as executor:
        wanted = Wanted(source, output)
        answered, again = (answer_with(found, "bands", wanted, executor, lambda *_: None) for _ in range(2))
    assert (answered.known, again.known) == (0, 1)
    said = sentences(answered, output)
    assert all(map(str.isprintable, said)), said
    what = "2 answers, of which 0 should not be relied on; 0 refused, and 2 files that are not pictures"
    assert said[0] == f"{tmp_path}/k\ufffdln: 2 pictures: {what} (1 .\ufffdnd, 1 .x\ufffd[2j\ufffdred)."
    assert summary_of(answered, output).encode()


def test_the_names_in_an_archive_lead_nowhere_and_damage_costs_its_row(found, tmp_path):
    source, pictures = tmp_path / "shop.zip", save(tmp_path / "pictures")
    with zipfile.ZipFile(source, "w") as archive:
        archive.write(pictures / "0.png", "../../outside.png")
        archive.write(pictures / "1.png", "/etc/passwd.png")
        archive.write(pictures / "2.png", "C:\\windows\\2.png")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.write(pictures / "3.png", "../../outside.png")
        archive.write(pictures / "4.png", "__MACOSX/4.png")
        archive.writestr("folder/read me.txt", "no picture")
        archive.writestr("damaged.png", (pictures / "4.png").read_bytes(), zipfile.ZIP_STORED)
    content = bytearray(source.read_bytes())
    content[content.rindex(b"IDAT", 0, content.index(b"PK\1\2"))] ^= 1
    source.write_bytes(content)
    answered, rows = ask(found, source, tmp_path / "answers")
    assert list(rows["path"]) == ["outside.png", "etc/passwd.png", "C:/windows/2.png", "outside.png", "damaged.png"]
    assert classes_of(rows) == [*EXPECTED[:4], None]
    assert rows["reason"].iloc[-1].startswith("damaged in the archive (Bad CRC-32")
    assert answered.passed_over == {".txt": 1}
    assert sorted(os.listdir(tmp_path)) == ["answers", "pictures", "shop.zip"]


@pytest.mark.parametrize("name", ["images.idx", "images.gz"])
def test_idx_files_plain_and_compressed_are_answered_as_they_are(found, tmp_path, name):
    source = tmp_path / name
    content = write_images(IMAGES)
    source.write_bytes(content if name.endswith(".gz") else gzip.decompress(content))
    _, rows = ask(found, source, tmp_path / "answers")
    assert list(rows["path"]) == [f"{name}[{number}]" for number in range(10)]
    assert classes_of(rows) == EXPECTED
    assert not [name for name in os.listdir(tmp_path / "answers") if name.startswith(".unpacked")]


@pytest.mark.parametrize("plain", ["t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"])
def test_an_idx_file_that_is_there_plain_and_compressed_is_answered_once(found, tmp_path, plain):
    """As after `gunzip --keep`, and after 7-Zip, which restores the name with a dot."""
    source = tmp_path / "source"
    source.mkdir()
    content = write_images(IMAGES)
    (source / "t10k-images-idx3-ubyte.gz").write_bytes(content)
    (source / "train-images-idx3-ubyte.gz").write_bytes(content)
    (source / plain).write_bytes(gzip.decompress(content))
    _, rows = ask(found, source, tmp_path / "answers")
    assert {name.split("[")[0] for name in rows["path"]} == {plain, "train-images-idx3-ubyte.gz"}
    assert len(rows) == 2 * len(IMAGES)


def test_images_of_another_form_in_an_idx_file_are_brought_into_that_of_the_model(found, tmp_path):
    larger = IMAGES.repeat(3, axis=1).repeat(3, axis=2)
    (tmp_path / "colours.gz").write_bytes(write_images(larger.repeat(3, axis=3)))
    _, rows = ask(found, tmp_path / "colours.gz", tmp_path / "answers")
    save_large = [Image.fromarray(image[..., 0]).convert("RGB") for image in larger]
    (tmp_path / "files").mkdir()
    for number, picture in enumerate(save_large):
        picture.save(tmp_path / "files" / f"{number}.png")
    _, same = ask(found, tmp_path / "files", tmp_path / "answers of files")
    np.testing.assert_array_equal(np.stack(rows["probabilities"]), np.stack(same["probabilities"]))
    assert list(rows["reason"].fillna("")) == list(same["reason"].fillna(""))


def test_an_image_of_an_idx_file_that_is_too_large_is_not_brought_into_memory(found, tmp_path):
    source = tmp_path / "images.idx"
    with source.open("wb") as stream:
        stream.write(struct.pack(">HBB3I", 0, 8, 3, 2, 60_000, 60_000))
        stream.truncate(16 + 2 * 60_000**2)  # A file with a hole: it takes no room on the disk.
    _, rows = ask(found, source, tmp_path / "answers")
    assert set(rows["reason"]) == {"claims 60000 x 60000, more than 40000000 pixels; reduce its size"}


def write_shards_of(folder, labelled=True):
    """Two shards as `datasets` writes them, or without labels, with a picture that is not there."""
    folder.mkdir()
    rows = [Row(encode_png(image), number % 5, f"{number}.png") for number, image in enumerate(IMAGES)]
    for number, part in enumerate((rows[:7], rows[7:])):
        path = folder / f"train-{number:05d}-of-00002.parquet"
        write_shard(path, part, CLASSES)
        if not labelled:
            table = pq.read_table(path).select(["image"])
            pq.write_table(table, path, row_group_size=2)
    return folder


@pytest.mark.parametrize("labelled", [True, False])
def test_shards_of_datasets_are_answered_with_and_without_labels(found, tmp_path, labelled):
    source = write_shards_of(tmp_path / "dataset", labelled)
    (source / "README.md").write_text("no picture")
    _, rows = ask(found, source, tmp_path / "answers")
    assert list(rows["path"])[::7] == ["train-00000-of-00002.parquet[0]", "train-00001-of-00002.parquet[0]"]
    assert classes_of(rows) == EXPECTED
    _, alone = ask(found, source / "train-00001-of-00002.parquet", tmp_path / "answers of one")
    assert classes_of(alone) == EXPECTED[7:]


def test_a_shard_whose_name_is_no_text_is_answered(found, tmp_path):
    source = write_shards_of(tmp_path / "dataset")
    (source / "train-00001-of-00002.parquet").rename(source / os.fsdecode(b"k\xf6ln.parquet"))
    _, rows = ask(found, source, tmp_path / "answers")
    assert classes_of(rows) == [*EXPECTED[7:], *EXPECTED[:7]]
    assert list(rows["path"])[:2] == ["k\ufffdln.parquet[0]", "k\ufffdln.parquet[1]"]


def test_a_row_without_a_picture_and_damage_within_a_shard_cost_their_rows(found, tmp_path):
    source = tmp_path / "part.parquet"
    images = [{"bytes": encode_png(image), "path": None} for image in IMAGES]
    images[2]["bytes"] = None
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    pq.write_table(pa.table({"image": pa.array(images, kind)}), source, row_group_size=5, compression="zstd")
    content = bytearray(source.read_bytes())
    place = pq.read_metadata(source).row_group(1).column(0).data_page_offset
    content[place : place + 200] = bytes(200)
    source.write_bytes(content)
    _, rows = ask(found, source, tmp_path / "answers", size=4)
    assert classes_of(rows) == [*EXPECTED[:2], None, *EXPECTED[3:5], *[None] * 5]
    assert "must contain its pictures" in rows["reason"][2]
    assert all("damaged bytes" in reason for reason in rows["reason"][5:])


@pytest.fixture
def decoded(monkeypatch):
    """How many rows of Parquet files are decoded, time after time."""
    counts, iter_batches = [], pq.ParquetFile.iter_batches

    def counting(file, *arguments, **options):
        for batch in iter_batches(file, *arguments, **options):
            counts.append(len(batch))
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counting)
    return counts


def write_groups(path, size):
    content = pa.array([{"bytes": encode_png(image)} for image in IMAGES], pa.struct({"bytes": pa.binary()}))
    pq.write_table(pa.table({"image": content}), path, row_group_size=size)
    return path


def test_rows_in_one_group_are_decoded_once_however_many_stretches_they_are(found, tmp_path, decoded):
    source = write_groups(tmp_path / "part.parquet", len(IMAGES))
    for folder in ("answers", "once more"):
        _, rows = ask(found, source, tmp_path / folder, size=3)
        assert classes_of(rows) == EXPECTED
        assert list(rows["path"]) == [f"part.parquet[{row}]" for row in range(len(IMAGES))]
        assert sum(decoded) == len(IMAGES)
        decoded.clear()


def test_a_stretch_in_another_group_than_the_last_one_decodes_its_own_alone(tmp_path, decoded):
    """The stretches between are those of other processes."""
    source = write_groups(tmp_path / "part.parquet", 5)
    for start, end in ((0, 2), (3, 4), (7, 10), (6, 7), (0, 1)):
        stretch = Rows("", start, end, 1, 1)
        seen = list(see_stretch(source, stretch, None, FORM))
        assert [name for name, _ in seen] == [f"part.parquet[{row}]" for row in range(start, end)]
        for (_, one), image in zip(seen, IMAGES[start:end], strict=True):
            np.testing.assert_array_equal(one.image, image)
    assert decoded == [4, 4, 1, 4, 4]


def test_a_run_that_was_stopped_goes_on_and_makes_the_same(found, tmp_path):
    source, output, whole = save(tmp_path / "shop"), tmp_path / "answers", tmp_path / "undisturbed"
    with pytest.raises(StoppedError):
        ask(found, source, output, executor=Stopping(2))
    first = {path.name: path.stat().st_mtime_ns for path in output.glob("*.parquet")}
    assert len(first) == 2
    assert not (output / SUMMARY).exists()
    said = []
    answered, rows = ask(found, source, output, progress=lambda *progress: said.append(progress))
    assert answered.known == 2
    assert classes_of(rows) == EXPECTED
    assert {name: (output / name).stat().st_mtime_ns for name in first} == first
    assert said[-1] == (10, 10)
    ask(found, source, whole)
    for path in [*whole.glob("*.parquet"), whole / PLAN]:
        assert (output / path.name).read_bytes() == path.read_bytes()
    assert (output / SUMMARY).read_text() == (whole / SUMMARY).read_text()


class Own(Session):
    """A session that only the thread that opened it uses."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.thread = threading.get_ident()

    def run(self, images):
        assert self.thread == threading.get_ident()
        return super().run(images)


def test_each_thread_of_a_process_asks_a_session_of_its_own(found, tmp_path, monkeypatch):
    """A worker of a cluster that was started without `--nthreads 1` has several."""
    monkeypatch.setattr(answering, "Session", Own)
    _, rows = ask(found, save(tmp_path / "shop"), tmp_path / "answers", 1, ThreadPoolExecutor(4))
    assert classes_of(rows) == EXPECTED


def test_a_shard_that_was_damaged_or_is_of_another_plan_is_written_anew(found, tmp_path):
    source, output = save(tmp_path / "shop"), tmp_path / "answers"
    ask(found, source, output)
    first, second, *_ = sorted(output.glob("*.parquet"))
    content = first.read_bytes()
    first.write_bytes(content[:100])
    ask(found, save(tmp_path / "others", range(5, 10)), tmp_path / "answers of others")
    shutil.copyfile(sorted((tmp_path / "answers of others").glob("*.parquet"))[1], second)
    answered, rows = ask(found, source, output)
    assert answered.known == 2
    assert classes_of(rows) == EXPECTED
    assert first.read_bytes() == content


@pytest.mark.parametrize("whole", [0, 1])
def test_answers_are_in_the_log_once_if_asked_and_what_was_begun_without_is_not_mixed(found, tmp_path, whole):
    source, output, url = save(tmp_path / "shop"), tmp_path / "answers", f"sqlite:///{tmp_path}/log.db"
    (source / "broken.png").write_bytes(b"?")
    wanted = Wanted(source, output, 3, url)
    with pytest.raises(StoppedError), Stopping(2) as executor:
        answer_with(found, "bands", wanted, executor, lambda *_: None)
    for path in sorted(output.glob("*.parquet"))[whole:]:
        path.unlink()  # As if it was killed between the log and the file.
    with ThreadPoolExecutor(1) as executor:
        answer_with(found, "bands", wanted, executor, lambda *_: None)
    rows = pd.read_parquet(output)
    with closing(sqlite3.connect(tmp_path / "log.db")) as log:
        columns = "model, model_version, model_identity, source, predicted, asked"
        logged = log.execute(f"SELECT {columns} FROM predictions ORDER BY number DESC").fetchall()
    assert len(logged) == 10
    assert {row[:4] for row in logged} == {("bands", "1", "1-of this registry", ":batch")}
    assert sorted(CLASSES[row[4]] for row in logged) == sorted(rows["class"].dropna())
    assert not any(row[5] for row in logged)
    with pytest.raises(DataError, match="another choice of --log"):
        ask(found, source, output)


def test_other_answers_are_not_mixed_with_those_that_are_there(found, tmp_path):
    source, output = save(tmp_path / "shop"), tmp_path / "answers"
    ask(found, source, output)
    before = {path.name: path.read_bytes() for path in output.iterdir()}

    def refused(words, **changed):
        with pytest.raises(DataError, match=words) as told:
            ask(**{"found": found, "source": source, "output": output} | changed)
        assert "Name another folder with --output, or remove this one" in str(told.value)
        assert "\n" not in str(told.value)
        assert {path.name: path.read_bytes() for path in output.iterdir()} == before

    refused("their shards have 3 pictures, not 4", size=4)
    refused("they answer .*shop, not .*other", source=save(tmp_path / "other"))
    champion, version = replace(found.champion, version="2"), replace(found.version, number="2", identity="another")
    refused("of version 1, and the champion is version 2", found=replace(found, champion=champion, version=version))
    refused("of another version 1", found=replace(found, version=replace(found.version, identity="another")))
    save(source, [3])
    refused("the files of the source have changed")
    (output / PLAN).write_bytes(b"{")
    with pytest.raises(ArtifactError, match=f"{PLAN} is damaged"):
        ask(found, source, output)


def test_a_source_that_was_repaired_is_answered_into_the_folder_of_the_failure(found, tmp_path):
    source, output = tmp_path / "images.gz", tmp_path / "answers"
    cut(source)
    with pytest.raises(DataError, match="truncated"):
        ask(found, source, output)
    source.write_bytes(write_images(IMAGES))
    _, rows = ask(found, source, output)
    assert classes_of(rows) == EXPECTED


def test_answers_go_neither_among_the_pictures_nor_among_other_files(found, tmp_path):
    source = save(tmp_path / "shop")
    for output, words in (
        (source / "answers", "answers must not be among the pictures"),
        (source, "answers must not be among the pictures"),
        (tmp_path, "holds something else: shop"),
    ):
        with pytest.raises(DataError, match=words):
            ask(found, source, output)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is a file; expected a folder for the answers"):
        ask(found, source, tmp_path / "file")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "answers-00000-of-00009.parquet").touch()
    with pytest.raises(DataError, match=r"holds something else: answers-00000-of-00009\.parquet"):
        ask(found, source, tmp_path / "old")


def test_two_runs_do_not_write_into_one_folder(found, tmp_path):
    source, output = save(tmp_path / "shop"), tmp_path / "answers"
    with held(source, output), pytest.raises(DataError, match=f"Another run .*process {os.getpid()}"):
        ask(found, source, output)


def empty(source):
    source.mkdir()
    (source / "notes.txt").touch()


def cut(source):
    source.write_bytes(write_images(IMAGES)[:-40])


def damaged_shard(source):
    write_shards_of(source)
    path = source / "train-00001-of-00002.parquet"
    path.write_bytes(path.read_bytes()[:-10])


def bomb(source):
    source.write_bytes(gzip.compress(b"\0\0\10\3" + b"\0\1\0\0\0\0\20\0\0\0\20\0"))


def without_pictures(source):
    pq.write_table(pa.table({"image": [1, 2]}), source)


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("nowhere", lambda source: None, "does not exist; expected a folder, a zip archive, an IDX file or"),
        ("folder", empty, r"folder has no pictures, and 1 file that is not a picture \(1 \.txt\); expected PNG"),
        ("shop.zip", lambda source: source.write_bytes(b"PK"), "is not a zip archive that can be read"),
        ("shop.gz", cut, "gzip stream is truncated"),
        ("shop.idx", lambda source: source.write_bytes(b"\0\0\10\3" + bytes(11)), "expected a header of 16 bytes"),
        ("long.idx", lambda source: source.write_bytes(b"\0\0\10\3" + b"\0\0\0\1" * 3), "claims 17 bytes, the file"),
        ("bomb.gz", bomb, "claims 1,099,511,627,792 bytes, more than a compressed file of"),
        (
            "labels.idx",
            lambda source: source.write_bytes(b"\0\0\10\1\0\0\0\1\1"),
            "expected the magic number 0x00000803",
        ),
        ("data", damaged_shard, r"train-00001-of-00002\.parquet: expected a Parquet file, found damaged bytes"),
        ("table.parquet", without_pictures, "column image: expected a struct with bytes and path"),
        ("words.txt", lambda source: source.write_text("?"), "expected a folder, a zip archive, an IDX file or"),
    ],
)
def test_a_source_that_cannot_be_answered_is_one_line(found, tmp_path, name, make, words):
    make(tmp_path / name)
    with pytest.raises(DataError, match=words) as told:
        ask(found, tmp_path / name, tmp_path / "answers")
    assert "\n" not in str(told.value)
    assert not list(tmp_path.glob("answers/*.parquet"))


# With a registry, a trained model, and the command


def test_the_answers_are_those_of_evaluate_and_of_predict(trained_project, tmp_path):
    params = load_params(trained_project.params)
    (test_images,) = trained_project.data.glob("t10k-images*.gz")
    ask(fetch_champion(trained_project, params), test_images, tmp_path / "test", size=1024)
    evaluated = pd.read_parquet(trained_project.evaluation / "predictions.parquet")
    rows = pd.read_parquet(tmp_path / "test")
    assert list(rows["class"]) == [params.data.classes[number] for number in evaluated["prediction"]]
    np.testing.assert_allclose(np.stack(rows["probabilities"]), np.stack(evaluated["probabilities"]), atol=1e-4)

    images = read_raw(trained_project, params.data)["test"].images[:12]
    folder = tmp_path / "shop"
    folder.mkdir()
    for number, image in enumerate(images):  # Dark on white, as a photograph.
        Image.fromarray(255 - image[..., 0]).resize((70, 90)).save(folder / f"{number:02d}.png")
    Image.effect_noise((60, 60), 90).save(folder / "noise.png")
    files = sorted(folder.iterdir())
    result = CliRunner().invoke(
        app, ["predict", str(folder), "--output", str(tmp_path / "answers"), "--shard-size", "5", "--json"]
    )
    assert result.exit_code == 0, result.output
    rows, expected = pd.read_parquet(tmp_path / "answers"), predict(trained_project, params, files)
    assert list(rows["path"]) == [path.name for path in files]
    said = [prediction.answer for prediction in expected.predictions]
    assert list(rows["class"]) == [one.ranking[0][0] for one in said]
    assert list(rows["reason"].fillna("")) == [one.reason or "" for one in said]
    assert list(rows["abstain"]) == [one.reason is not None for one in said]
    assert any(rows["abstain"])
    for found, one in zip(rows["probabilities"], said, strict=True):
        np.testing.assert_allclose(found, list(one.probabilities.values()), rtol=1e-5, atol=1e-7)
    assert json.loads(result.stdout) == json.loads((tmp_path / "answers" / SUMMARY).read_text())


@pytest.mark.advice("fashion predict --output", "adapters/decoding.py")
def test_the_command_says_what_came_of_it(trained_project, tmp_path):
    source = save(tmp_path / "shop", range(4))
    (source / "broken.png").write_bytes(b"?")
    result = CliRunner().invoke(app, ["predict", str(source)])
    assert f"type: fashion predict {source} --output answers" in result.stderr
    result = CliRunner().invoke(app, ["predict", str(source), "--output", str(tmp_path / "answers")])
    assert result.exit_code == 0, result.output
    said = rf"{source}: 5 pictures: 4 answers, of which [0-4] should not be relied on; 1 refused\."
    assert re.search(said, result.stdout)
    assert "Refused: 1. The first: broken.png: neither a picture" in result.stdout
    assert f"The answers are in {tmp_path / 'answers'}: one row per picture, in 1 Parquet shard." in result.stdout
    for arguments, words in (
        ([str(source), str(source)], "found 2 of them"),
        ([str(source), "--plot", "plot.png"], "found --plot"),
    ):
        result = CliRunner().invoke(app, ["predict", *arguments, "--output", str(tmp_path / "more")])
        assert f"--output takes one folder, archive, IDX or Parquet file, and draws no plot; {words}" in str(
            result.exception
        )
    for path in source.glob("[0-9].png"):
        path.unlink()
    result = CliRunner().invoke(app, ["predict", str(source), "--output", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert len(pd.read_parquet(tmp_path / "none")) == 1


@pytest.mark.parametrize("option", [["--log"], ["--shard-size", "10"]])
def test_options_for_a_folder_of_answers_are_refused_without_one(project, option):
    result = CliRunner().invoke(app, ["predict", "shirt.png", *option])
    assert isinstance(result.exception, ParamsError)
    assert str(result.exception).startswith(f"{option[0]} needs --output: ")


@pytest.mark.parametrize("shards", [1, 99_999, 100_000, 150_000])
def test_names_of_shards_sort_in_the_order_of_the_source(shards):
    names = [shard_name(number, shards) for number in range(0, shards, max(1, shards // 1000))]
    assert sorted(names) == names
    assert all(OURS.fullmatch(name) for name in names)
    assert shard_name(0, 1) == "answers-00000-of-00001.parquet"


def test_without_a_champion_nothing_is_made(project, registry_template, tmp_path):
    shutil.copytree(registry_template, project.state)
    with pytest.raises(ServiceError, match="no champion"):
        wanted = Wanted(save(tmp_path / "shop"), tmp_path / "answers")
        answer(project, load_params(project.params), wanted, lambda *_: None)
    assert not (tmp_path / "answers").exists()
