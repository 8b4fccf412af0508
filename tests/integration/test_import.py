"""A folder of a user's pictures becomes the dataset with one command, and another goes back."""

import gzip
import io
import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from fashion.adapters.decoding import MOST_BYTES
from fashion.adapters.shards import Row, write_shard
from fashion.adapters.versioning.pinning import pin, pull
from fashion.cli import app
from fashion.errors import DataError
from fashion.images.encoding import encode_png
from fashion.images.idx import write_idx, write_images
from fashion.images.synthetic import draw
from fashion.intake import bring, switch
from fashion.intake.scan import scan
from fashion.intake.sources import open_source
from fashion.intake.written import check_uncommitted
from fashion.locks import hold, training_lock
from fashion.params import load_params
from fashion.params.pipeline import IDX_FILES
from fashion.stages.fetch import Drawing, draw_data
from fashion.stages.pictures import see_picture
from fashion.stages.prepare import prepare
from fashion.stages.raw import SALT, SALT_BYTES, read_batches, read_raw, read_salt
from fashion.stages.restoring import SYNTHETIC
from fashion.stages.validate import validate
from fashion.storage import file_digest, files_below
from tests.advice import follow
from tests.faults.commands import start
from tests.projects import commit, edit_params, git, read_suite, write_suite
from tests.servers import PATIENCE_SECONDS

SIZE = (16, 16)
CLASSES = ("10", "9", "Food & Drink", "<b>bold")
WORDS = {"params.yaml", "data.dvc", "import.json"}


def draw_pictures(count, seed=0, channels=3):
    return draw(count, len(CLASSES), SIZE, seed, channels)


def make_folder(folder, count=80, seed=0, channels=3, split=None):
    """Drawn pictures of every class, a folder each."""
    images, labels = draw_pictures(count, seed, channels)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / (split or "") / CLASSES[label] / f"{seed}-{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(image))
    return folder


def run(*arguments, fails=False):
    result = CliRunner().invoke(app, ["import", *map(str, arguments)])
    if fails:
        assert result.exit_code != 0, result.output
        return str(result.exception)
    assert result.exit_code == 0, result.output + str(result.exception)
    return result.output


def type_command(project, command):
    variables = {f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(shlex.split(command), cwd=project.root, check=True, capture_output=True, env=os.environ | variables)


def state_of(project):
    """Every file that an import may change, with its digest."""
    parts = [project.params, project.root / "data.dvc", project.root / "import.json"]
    files = [path for path in parts if path.exists()] + files_below(project.expectations) + files_below(project.data)
    return {path.relative_to(project.root).as_posix(): file_digest(path) for path in files}


@pytest.fixture
def project(project, monkeypatch):
    """A project with a dataset of its own, committed."""
    monkeypatch.setenv("FASHION_HOME", str(project.root))
    draw_data(project, load_params(project.params), Drawing(30, 20))
    commit(project.root, "The dataset so far")
    return project


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "My birds")


def test_a_folder_becomes_the_dataset_that_the_stages_take(project, folder):
    before = project.params.read_text()
    kept = {path: path.read_bytes() for path in files_below(folder)}
    output = run(folder, "--yes")
    assert "80 pictures" in output
    params = load_params(project.params)
    assert params.data.classes == ("9", "10", "<b>bold", "Food & Drink")
    assert (params.data.image_size, params.data.pictures.channels) == (SIZE, 3)
    assert (params.register_.name, params.train.recipe) == ("My-birds", "My-birds")
    assert params.evaluate.gates.accuracy_at_least < 0.9
    changed = {entry[3:] for entry in git(project.root, "status", "--porcelain").splitlines()}
    assert {name for name in changed if not name.startswith("expectations/")} == WORDS
    comments = [line.split("#")[1] for line in before.splitlines() if "#" in line]
    after = project.params.read_text()
    assert all(comment in after for comment in comments)
    assert {path: path.read_bytes() for path in files_below(folder)} == kept
    assert not any(path.is_symlink() for path in project.data.iterdir())
    assert validate(project, params).success
    assert set(prepare(project, params).images) == {"train", "validation", "test"}
    for suite in ("images", "train", "test", "batch"):
        metas = [one["meta"] for one in read_suite(project, suite)["expectations"]]
        assert all("by fashion import from My birds (80 pictures)" in meta["derived"] for meta in metas)
    assert not list(project.root.glob(".*.import"))


def test_grey_pictures_that_are_kept_in_colour_count_as_grey(project, tmp_path):
    folder = make_folder(tmp_path / "digits", channels=1)
    for path in files_below(folder):
        Image.open(path).convert("RGB").save(path)
    assert "80 of 80 are grey" in run(folder, "--yes")
    params = load_params(project.params)
    assert params.data.shape == (*SIZE, 1)
    assert read_raw(project, params.data)["train"].images.shape[3] == 1


def test_grey_pictures_with_a_tint_are_measured_as_the_stages_see_them(project, tmp_path):
    folder = make_folder(tmp_path / "scans", channels=1)
    for path in files_below(folder):
        grey = np.asarray(Image.open(path).resize((40, 40))).astype(int)[..., None]
        Image.fromarray(np.add(grey, [3, 0, -3]).clip(0, 255).astype(np.uint8)).save(path)
    run(folder, "--yes", "--size", "16")
    params = load_params(project.params)
    assert params.data.shape == (*SIZE, 1)
    assert validate(project, params).success
    source = open_source(folder)
    scanned = scan(project, source, None, SIZE, lambda done, of: None)
    seen = [see_picture(content, item.name, scanned.form) for item, content in read_all(source)]
    np.testing.assert_array_equal(scanned.images, seen)


def test_sizes_of_pictures_that_lie_on_their_side_in_the_file_are_said_upright(project, folder):
    turned = Image.Exif()
    turned[0x0112] = 6  # The orientation of a camera that was held upright.
    for place, path in enumerate(files_below(folder)):
        picture = Image.open(path).resize((30, 40))
        exif = turned if place % 2 else None
        (picture.rotate(90, expand=True) if exif else picture).save(path, exif=exif)
    assert "Pictures: all 40 x 30 pixels (height x width)" in run(folder, "--dry-run")


def test_pictures_of_12_bits_in_files_of_16_are_said_to_be_nearly_black(project, tmp_path):
    folder = make_folder(tmp_path / "cells", channels=1)
    assert "nearly black" not in run(folder, "--dry-run")
    for path in files_below(folder):
        Image.fromarray(np.asarray(Image.open(path)).astype(np.uint16) * 16).save(path)
    assert "80 of 80 are nearly black: no value is above 31 of 255" in run(folder, "--dry-run")


def test_given_splits_stay_and_what_leaks_between_them_is_left_out(project, tmp_path):
    folder = make_folder(tmp_path / "birds", 60, seed=1, split="train")
    make_folder(folder, 40, seed=2, split="test")
    leak = next((folder / "test" / "9").iterdir())
    shutil.copy(leak, folder / "train" / "9" / os.fsdecode(b"no text \xff.png"))
    output = run(folder, "--yes")
    assert "2 pictures are exact copies of each other, in 1 group, 2 of them across splits" in output
    raw = read_raw(project, load_params(project.params).data)
    assert len(raw["test"].labels) == 40
    trained = {image.tobytes() for image in raw["train"].images}
    assert np.asarray(Image.open(leak)).tobytes() not in trained
    assert "1 picture is left out, since it, near copies of it or others of its group are in a later split" in output
    left_out = pd.read_csv(project.root / "artifacts" / "import" / "left_out.csv")
    assert "train/9/no text \N{REPLACEMENT CHARACTER}.png" in set(left_out["picture"])


def test_a_dry_run_shows_everything_and_writes_nothing(project, folder):
    before = state_of(project)
    assert "Nothing was written" in run(folder, "--dry-run")
    assert state_of(project) == before
    with Image.open(project.root / "artifacts" / "import" / "sheet.png") as sheet:
        assert min(sheet.size) > 500


@pytest.mark.advice("fashion import --yes", "cli/intake.py")
@pytest.mark.advice("git add", "cli/intake.py")
@pytest.mark.advice("git commit --all", "cli/intake.py")
def test_what_changes_while_an_import_waits_for_a_training_is_not_overwritten(project, folder):
    with hold(training_lock(project), print) as training:
        training.write({"run": "retraining", "process": "7"})
        waiting = start(project, "fashion", "import", folder, "--yes")
        while waiting.stdout.readline() != "Waiting for retraining (process 7)\n":
            assert waiting.poll() is None
        edit_params(project, {"train": {"seed": 77}})
        before = state_of(project)
    said, _ = waiting.communicate(timeout=PATIENCE_SECONDS)
    assert waiting.returncode == 1
    assert "params.yaml: changed while the import waited" in said
    assert state_of(project) == before


def test_where_nobody_can_be_asked_it_says_what_to_type_and_then_how_to_keep_it(project, folder):
    before = state_of(project)
    words = run(folder, "--skip", "Food & Drink", "--size", "12x20", "--name", "birds", "--skip", "10", fails=True)
    assert state_of(project) == before
    output = run(*shlex.split(words.split("type: fashion import ")[1]))
    params = load_params(project.params)
    assert params.data.classes == ("9", "<b>bold")
    assert (params.data.image_size, params.register_.name) == ((12, 20), "birds")
    for command in re.findall(r"Keep it with: (.*)", output)[0].split(" && "):
        type_command(project, f"{command} --message Birds" if "commit" in command else command)
    assert git(project.root, "status", "--porcelain") == ""


@pytest.mark.advice("fashion import", "cli/intake.py")
def test_without_a_folder_it_says_how_to_name_one(project, folder):
    assert "Type: fashion import FOLDER" in run(fails=True)
    run(folder, "--dry-run")


@pytest.mark.advice("fashion import --undo", "cli/intake.py")
@pytest.mark.advice("git add", "intake/switch.py")
@pytest.mark.advice("git commit --all --message", "intake/switch.py")
def test_every_import_is_taken_back_byte_by_byte_and_collected_batches_stay_while_the_classes_do(project, folder):
    starts = project.start / "champion.keras", project.backbones / "MobileNetV2.h5"
    for path in starts:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"what trainings start from")
    pin(project)
    commit(project.root, "start from the champion")
    states = [state_of(project)]
    run(folder, "--yes")
    assert all(path.exists() for path in starts)
    batch = project.batches / "2026-11-01" / "images.parquet"
    batch.parent.mkdir(parents=True)
    classes = load_params(project.params).data.classes
    write_shard(batch, [Row(encode_png(draw_pictures(1)[0][0]), 0)], classes)
    pin(project)
    states.append(state_of(project))
    make_folder(folder, 20, seed=5)
    run(folder, "--yes")
    assert batch.exists()
    assert "My-birds" in run("--undo")
    assert state_of(project) == states[1]
    words = run("--undo", fails=True)
    assert "Collected since the import, and in no commit: data/batches/2026-11-01" in words
    assert state_of(project) == states[1]
    for command in re.findall(r"Keep them with: (.*);", words)[0].split(" && "):
        type_command(project, command)
    said = run("--undo")
    assert "fashion-classifier" in said
    assert "in the data.dvc of the last commit only: data/batches/2026-11-01" in said
    assert state_of(project) == states[0]
    assert "nothing was imported here" in run("--undo", fails=True)


def add_batch(project, count=9, number=1):
    """A batch of collected images, as `fashion collect` leaves it in data/ with the secret that divides them."""
    params = load_params(project.params)
    images, labels = draw_pictures(count, seed=7)
    batch = project.batches / f"2026-11-{number:02d}" / "images.parquet"
    batch.parent.mkdir(parents=True)
    rows = [Row(encode_png(image), int(label)) for image, label in zip(images, labels, strict=True)]
    write_shard(batch, rows, params.data.classes)
    (project.data / SALT).write_text(f"{'5a' * SALT_BYTES}\n")
    pin(project)


def test_the_secret_that_divides_collected_images_stays_when_their_batches_go(project, folder):
    """Their labels are collected again, and what was learned must not be tested on."""
    run(folder, "--yes")
    add_batch(project)
    salt = read_salt(project)
    shutil.rmtree(folder / "9")
    run(folder, "--yes")
    assert not project.batches.exists()
    assert read_salt(project) == salt
    run(folder, "--yes", "--name", "another")
    assert not read_salt(project)
    run("--undo")
    assert read_salt(project) == salt


def test_the_secret_that_divides_collected_images_stays_on_the_way_back_to_the_same_dataset(project, folder):
    run(folder, "--yes")
    before = state_of(project)
    make_folder(folder, 20, seed=5)
    run(folder, "--yes")
    add_batch(project)
    commit(project.root, "A batch")
    run("--undo")
    assert not project.batches.exists()
    assert read_salt(project).hex() == "5a" * SALT_BYTES
    after = state_of(project)
    assert after.pop("data/salt")
    assert after.pop("data.dvc") != before.pop("data.dvc")
    assert after == before
    assert not pin(project)
    run("--undo")
    assert not read_salt(project)


@pytest.fixture
def cloned(project, tmp_path):
    """A project whose data can be fetched, and were not, as after a clone."""
    (project.data / SYNTHETIC).unlink()
    published = shutil.copytree(project.data, tmp_path / "published")
    files = {key: getattr(load_params(project.params).data, key).name for key in IDX_FILES}
    digests = {key: {"name": name, "sha256": file_digest(published / name)} for key, name in files.items()}
    edit_params(project, {"data": {**digests, "sources": ["dvc", str(published)]}})
    pin(project)
    commit(project.root, "Published data")
    shutil.rmtree(project.data)
    shutil.rmtree(project.root / ".dvc" / "cache")
    return project


@pytest.mark.advice("fashion fetch", "cli/intake.py")
def test_an_import_is_taken_back_where_the_former_data_were_never_fetched(cloned, folder):
    before = state_of(cloned)
    run(folder, "--yes")
    said = run("--undo")
    assert state_of(cloned) == before
    follow(cloned, said, "fashion fetch")
    assert len(read_raw(cloned, load_params(cloned.params).data)["train"].labels) == 30
    assert git(cloned.root, "status", "--porcelain") == ""


def test_an_import_that_was_killed_is_put_back_where_the_former_data_were_never_fetched(cloned, folder):
    before = state_of(cloned)
    command = [sys.executable, "-c", DYING, "fashion.intake.switch.note_written", "import", str(folder), "--yes"]
    subprocess.run(command, cwd=cloned.root, capture_output=True, check=False)
    assert state_of(cloned) != before
    assert "get them with: fashion fetch" in run(folder, "--dry-run")
    assert state_of(cloned) == before


def test_an_import_that_git_has_taken_back_is_not_known(project, folder):
    run(folder, "--yes")
    git(project.root, "checkout", ".")
    pull(project, replace=True)
    said = run(folder, "--yes")
    assert not re.search("is known|New classes|Edited since|stay in its splits", said)
    params = load_params(project.params)
    assert (params.register_.name, params.data.image_size) == ("My-birds", SIZE)
    assert validate(project, params).success


def test_what_describes_the_files_does_not_count_as_edited(project, folder):
    run(folder, "--yes")
    text = project.params.read_text()
    text = text.replace("test-00000-of-00001", "held-out").replace("train-00000-of-00001", "learned")
    project.params.write_text(text.replace("- <b>bold", "- bold"))
    next(project.data.glob("test-*")).rename(project.data / "held-out.parquet")
    next(project.data.glob("train-*")).rename(project.data / "learned.parquet")
    commit(project.root, "Other names")
    said = run(folder, "--yes")
    assert "is known" in said
    assert "Edited since" not in said


@pytest.mark.parametrize("beside", [["birds"], ["--dry-run"], ["--name", "a"], ["--size", "16"], ["--skip", "9"]])
def test_going_back_takes_nothing_that_an_import_takes(beside):
    result = CliRunner().invoke(app, ["import", "--undo", *beside])
    assert (result.exit_code, "it takes neither a folder" in result.output) == (2, True), result.output


def test_after_more_pictures_what_was_derived_is_updated_and_what_was_edited_stays(project, folder):
    run(folder, "--yes")
    text = project.params.read_text().replace(
        "recall_of_every_class_at_least: 0.25", "recall_of_every_class_at_least: 0.4"
    )
    project.params.write_text(text)
    suite = read_suite(project, "train")
    (balance,) = [one for one in suite["expectations"] if "kl_divergence" in one["type"]]
    balance["kwargs"]["threshold"] = 0.5
    write_suite(project, "train", suite)
    commit(project.root, "Edited by hand")
    make_folder(folder, 40, seed=3)
    (folder / "0 comes first").mkdir()
    for number, image in enumerate(draw_pictures(12, seed=4)[0]):
        (folder / "0 comes first" / f"{number}.png").write_bytes(encode_png(image))
    output = run(folder, "--yes")
    assert "Edited since, and kept: params.yaml: evaluate.gates.recall_of_every_class_at_least" in output
    params = load_params(project.params)
    assert params.data.classes == ("9", "10", "<b>bold", "Food & Drink", "0 comes first")
    assert params.evaluate.gates.recall_of_every_class_at_least == 0.4
    kept = {one["type"]: one["kwargs"] for one in read_suite(project, "train")["expectations"]}
    assert kept["expect_column_kl_divergence_to_be_less_than"]["threshold"] == 0.5
    splits = read_raw(project, params.data)
    assert kept["expect_table_row_count_to_equal"]["value"] == len(splits["train"].labels)
    assert sum(len(split.labels) for split in splits.values()) == 132


def read_dealt(project):
    """The split of every picture file in data/."""
    shards = sorted(project.data.glob("*.parquet"))
    return {
        row["image"]["bytes"]: row["split"]
        for path in shards
        for row in pq.read_table(path, columns=["image", "split"]).to_pylist()
    }


@pytest.mark.parametrize("split", [None, "train"])
def test_after_more_pictures_every_picture_stays_in_the_split_that_it_was_dealt_to(project, tmp_path, split):
    folder = make_folder(tmp_path / "birds", 100, split=split)
    if split:
        make_folder(folder, 20, seed=1, split="validation")
    run(folder, "--yes")
    before = read_dealt(project)
    tested = next(content for content, dealt in before.items() if dealt == "test")
    pixels = np.asarray(Image.open(io.BytesIO(tested)))
    make_folder(folder, 60, seed=2, split=split)
    (folder / (split or "") / "9" / "near copy.png").write_bytes(encode_png(np.clip(pixels, 0, 254) + np.uint8(1)))
    (folder / (split or "") / "new").mkdir()
    for number, image in enumerate(draw_pictures(20, seed=4)[0]):
        (folder / (split or "") / "new" / f"{number}.png").write_bytes(encode_png(image))
    output = run(folder, "--yes")
    assert "Pictures of the former import stay in its splits" in output
    after = read_dealt(project)
    moved = {(dealt, after[content]) for content, dealt in before.items() if after[content] != dealt}
    assert not moved
    added = [dealt for content, dealt in after.items() if content not in before]
    assert added.count("test") > 10
    left_out = pd.read_csv(project.root / "artifacts" / "import" / "left_out.csv")["picture"]
    assert [Path(name).name for name in left_out] == ["near copy.png"]


def test_a_picture_that_was_learned_and_then_belongs_to_a_test_picture_is_never_tested_on(project, folder):
    as_table(folder, folder / "labels.csv", group=[str(number) for number in range(80)])
    run(folder, "--yes")
    before = read_dealt(project)
    table = pd.read_csv(folder / "labels.csv", dtype=str)
    dealt = table["path"].map(lambda path: before[(folder / path).read_bytes()])
    learned, tested = (table.index[dealt == split][0] for split in ("train", "test"))
    table.loc[learned, "group"] = table.loc[tested, "group"]
    table.to_csv(folder / "labels.csv", index=False)
    content = (folder / table.loc[learned, "path"]).read_bytes()
    for _ in range(2):
        run(folder, "--yes")
        after = read_dealt(project)
        assert after == {picture: split for picture, split in before.items() if picture != content}


def test_what_was_learned_and_left_out_by_a_wrong_group_is_for_training_when_that_is_corrected(project, folder):
    as_table(folder, folder / "labels.csv", group=[str(number) for number in range(80)])
    run(folder, "--yes")
    before = read_dealt(project)
    right = pd.read_csv(folder / "labels.csv", dtype=str)
    dealt = right["path"].map(lambda path: before[(folder / path).read_bytes()])
    learned, tested = right.index[dealt == "train"][:20], right.index[dealt == "test"][0]
    wrong = right.copy()
    wrong.loc[learned, "group"] = right.loc[tested, "group"]
    wrong.to_csv(folder / "labels.csv", index=False)
    for _ in range(2):
        run(folder, "--yes")
        assert len(read_dealt(project)) == 60
    more = []
    for number, (image, label) in enumerate(zip(*draw_pictures(40, seed=3), strict=True)):
        path = Path(right["path"][right["label"] == CLASSES[label]].iloc[0]).parent / f"new {number}.png"
        (folder / path).write_bytes(encode_png(image))
        more.append({"path": str(path), "label": CLASSES[label], "group": f"new {number}"})
    pd.concat([right, pd.DataFrame(more)]).to_csv(folder / "labels.csv", index=False)
    run(folder, "--yes")
    after = read_dealt(project)
    assert {after[(folder / path).read_bytes()] for path in right.loc[learned, "path"]} == {"train"}
    assert not json.loads((project.root / "import.json").read_text())["learned"]


@pytest.mark.advice("fashion fetch", "intake/dealt.py")
@pytest.mark.advice("fashion fetch --force", "intake/dealt.py")
@pytest.mark.parametrize("content", [None, b"another"])
def test_without_the_former_pictures_nobody_knows_their_splits_and_the_import_says_how_to_get_them(
    project, folder, content
):
    run(folder, "--yes")
    shard = next(project.data.glob("test-*.parquet"))
    shard.unlink()
    if content:
        shard.write_bytes(content)
    command = "fashion fetch --force" if content else "fashion fetch"
    words = run(folder, "--yes", fails=True)
    assert words.startswith(str(shard))
    assert f"get it with: {command}. If it is lost, begin another dataset with --name" in words
    follow(project, words, command)
    assert "80 pictures" in run(folder, "--dry-run")


def test_new_pictures_of_what_was_collected_are_for_training(project, folder):
    run(folder, "--yes")
    known = load_params(project.params).data.classes
    images, labels = draw_pictures(40, seed=7)
    batch = project.batches / "2026-11-01" / "images.parquet"
    batch.parent.mkdir(parents=True)
    write_shard(batch, [Row(encode_png(image), int(label)) for image, label in zip(images, labels, strict=True)], known)
    pin(project)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / known[label] / f"again {number}.png").write_bytes(encode_png(image))
    assert "batches" not in run(folder, "--yes")
    after = read_dealt(project)
    assert {after[encode_png(image)] for image in images} == {"train"}


def test_where_the_former_test_pictures_are_gone_no_others_become_such(project, folder):
    run(folder, "--yes")
    before = read_dealt(project)
    for path in folder.rglob("*.png"):
        if before[path.read_bytes()] == "test":
            path.unlink()
    assert "No test picture of the former import is there any more" in run(folder, "--yes", fails=True)
    assert read_dealt(project) == before
    run(folder, "--yes", "--name", "another")


def test_where_all_files_were_saved_anew_none_of_them_becomes_a_test_picture(project, folder):
    run(folder, "--yes")
    before = read_dealt(project)
    for path in folder.rglob("*.png"):
        with Image.open(path) as picture:
            picture.load()
        picture.save(path, compress_level=0)
    make_folder(folder, 40, seed=3)
    assert "or their files are others" in run(folder, "--yes", fails=True)
    assert read_dealt(project) == before


@pytest.mark.advice("fashion import --undo", "intake/wording.py")
def test_a_new_class_comes_after_the_known_ones_and_one_that_is_gone_takes_the_collected_batches_with_it(
    project, folder
):
    run(folder, "--yes")
    known = load_params(project.params).data.classes
    images, labels = draw_pictures(80, seed=7)
    batch = project.batches / "2026-11-01" / "images.parquet"
    batch.parent.mkdir(parents=True)
    write_shard(batch, [Row(encode_png(images[row]), int(labels[row])) for row in range(9)], known)
    pin(project)
    (folder / "Aardvark").mkdir()
    for number, image in enumerate(images[labels == 0]):
        (folder / "Aardvark" / f"{number}.png").write_bytes(encode_png(255 - image))
    said = run(folder, "--yes")
    assert "New classes: Aardvark. The champion stays" in said
    params = load_params(project.params)
    assert params.data.classes == (*known, "Aardvark")
    assert read_batches(project, params.data)[batch.parent.name].labels.tolist() == labels[:9].tolist()
    shutil.rmtree(folder / "9")
    said = " ".join(run(folder, "--dry-run").split())
    assert "Classes that are gone: 9. Before a model without them becomes champion, a person has to agree." in said
    assert "are dropped, as their classes or form differ: 1." in said
    run(folder, "--yes")
    assert load_params(project.params).data.classes == (*known[1:], "Aardvark")
    assert not project.batches.exists()
    follow(project, said, "fashion import --undo")
    assert batch.exists()


DYING = """
import os, signal, sys
from importlib import import_module

module, name = sys.argv.pop(1).rsplit(".", 1)
setattr(import_module(module), name, lambda *arguments, **named: os.kill(os.getpid(), signal.SIGKILL))

from fashion.cli import main
main()
"""
"""The command that is killed, as by kill -9, in the place of a function."""


@pytest.mark.parametrize(
    ("moment", "put_back"),
    [
        ("fashion.adapters.shards.writing._record", False),
        ("fashion.intake.bring._write_words", False),
        ("fashion.intake.switch.move_folder", False),
        ("fashion.intake.switch.note_written", True),
    ],
    ids=["a shard is half written", "all pictures are copied", "the former is kept", "all is in its place"],
)
def test_an_import_that_is_killed_leaves_the_dataset_that_was_there(project, folder, moment, put_back):
    before = state_of(project)
    command = [sys.executable, "-c", DYING, moment, "import", str(folder), "--yes"]
    died = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stdout + died.stderr
    assert (state_of(project) != before) == put_back
    output = run(folder, "--dry-run")
    assert ("the previous dataset is back" in output) == put_back
    assert state_of(project) == before
    run(folder, "--yes")
    assert load_params(project.params).data.classes == ("9", "10", "<b>bold", "Food & Drink")
    assert not list(project.root.glob(".*.import"))


def test_an_import_that_was_killed_while_data_were_switched_is_put_back_by_the_next(project, folder, monkeypatch):
    before = state_of(project)

    def die(project, stage):
        project.data.rename(stage / "former-data")
        (stage / "data").rename(project.data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(switch, "_replace", die)
        CliRunner().invoke(app, ["import", str(folder), "--yes"])
    assert state_of(project) != before
    output = run(folder, "--dry-run")
    assert "the previous dataset is back" in output
    assert state_of(project) == before


def test_while_an_import_is_taken_back_there_is_a_params_yaml_at_every_moment(project, folder, monkeypatch):
    run(folder, "--yes")
    there = []

    def spy(move):
        def moved(path, target):
            there.append((path.name, project.params.is_file()) if move(path, target) else None)
            return Path(target)

        return moved

    for name in ("rename", "replace"):
        monkeypatch.setattr(Path, name, spy(getattr(Path, name)))
    run("--undo")
    assert ("params.yaml", True) in there
    assert all(is_there for _, is_there in there)


@pytest.mark.advice("git commit --message", "intake/written.py")
def test_what_was_not_committed_is_not_replaced(project, folder):
    project.params.write_text(project.params.read_text().replace("seed: 1", "seed: 2"))
    before = state_of(project)
    words = run(folder, "--yes", fails=True)
    assert "params.yaml: changed and not committed" in words
    assert state_of(project) == before
    type_command(project, words.split("Commit it with: ")[1])
    check_uncommitted(project)


@pytest.mark.advice("git checkout", "intake/record.py", "intake/suite_files.py")
def test_a_damaged_file_of_an_import_is_restored_with_git(project, folder):
    run(folder, "--yes")
    commit(project.root, "Birds")
    for path in ("import.json", "expectations/train.json"):
        (project.root / path).write_text("{")
        words = run(folder, "--dry-run", fails=True)
        assert path in words
        type_command(project, words.split("restore it with: ")[1])
    assert git(project.root, "status", "--porcelain") == ""
    run(folder, "--dry-run")


@pytest.mark.advice("df", "intake/bring.py")
def test_a_disk_that_is_too_small_is_named_before_anything_is_copied(project, folder, monkeypatch):
    before = state_of(project)
    usage = shutil.disk_usage(project.root)._replace(free=1000)
    monkeypatch.setattr("fashion.intake.bring.shutil.disk_usage", lambda path: usage)
    words = run(folder, "--yes", fails=True)
    assert "The disk is too small" in words
    assert state_of(project) == before
    type_command(project, "df -h")


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def no_pictures(folder):
    empty(folder)
    (folder / "cat").mkdir()
    for name in (".DS_Store", "Thumbs.db", "notes.txt"):
        (folder / "cat" / name).write_text("nothing")


def one_class(folder):
    for name in CLASSES[1:]:
        shutil.rmtree(folder / name)


def one_picture(folder):
    for path in sorted((folder / "9").iterdir())[1:]:
        path.unlink()


def many_classes(folder):
    for number in range(300):
        (folder / f"class {number}").mkdir()
        (folder / f"class {number}" / "a.png").write_bytes(b"")


def two_cases(folder):
    shutil.copytree(folder / "Food & Drink", folder / "food & drink")


def only_heic(folder):
    for path in files_below(folder):
        path.rename(path.with_suffix(".heic"))


def only_damaged(folder):
    for path in (folder / "9").iterdir():
        path.write_bytes(path.read_bytes()[:40])


def one_heic(folder):
    for path in (folder / "9").iterdir():
        path.rename(path.with_suffix(".heic"))


def one_linked(folder):
    (folder / "9").rename(folder.with_name("elsewhere"))
    (folder / "9").mkdir()
    for path in folder.with_name("elsewhere").iterdir():
        (folder / "9" / path.name).symlink_to(path)


def one_elsewhere(folder):
    (folder / "9").rename(folder.with_name("elsewhere"))
    (folder / "9").symlink_to(folder.with_name("elsewhere"))


def one_too_large(folder):
    for path in (folder / "9").iterdir():
        os.truncate(path, MOST_BYTES + 1)


def one_nowhere(folder):
    as_csv(folder)
    shutil.rmtree(folder / "9")


BAD = {
    empty: "has no pictures",
    no_pictures: "has no pictures",
    one_class: "Found one class, '10'; expected at least 2 classes",
    one_picture: "Too few different pictures to divide into training, validation and test: '9' (1)",
    many_classes: "Found 304 classes; expected at most 256",
    two_cases: "'Food & Drink' and 'food & drink' differ only in capitalisation",
    only_heic: "has no picture that can be used. The first of 80",
    only_damaged: "None of the pictures of '9' can be used",
    one_heic: "None of the pictures of '9' can be used. The first: 9/0-001.heic: HEIC is not read",
    one_linked: "None of the pictures of '9' can be used. The first: 9/0-001.png: a link, which is not followed",
    one_elsewhere: "None of the pictures of '9' can be used. The first: 9: a link, which is not followed",
    one_too_large: "None of the pictures of '9' can be used. The first: 9/0-001.png: has more than",
    one_nowhere: "None of the pictures of '9' can be used. The first: labels.csv, row ",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_a_folder_that_cannot_be_used_is_refused_in_one_line_and_nothing_is_lost(project, folder, spoil):
    before = state_of(project)
    spoil(folder)
    words = run(folder, "--yes", fails=True)
    assert BAD[spoil] in words
    assert "\n" not in words
    assert state_of(project) == before


@pytest.mark.parametrize("spoil", [one_heic, one_linked, one_elsewhere, one_too_large, one_nowhere])
def test_a_class_of_which_nothing_can_be_used_may_be_left_out(folder, spoil):
    spoil(folder)
    source = open_source(folder, ["9"])
    assert {item.label for item in source.items} == set(CLASSES) - {"9"}
    assert not source.refused


def test_a_class_of_which_nothing_can_be_used_is_named_in_an_archive_too(folder):
    one_heic(folder)
    with pytest.raises(DataError, match="None of the pictures of '9' can be used"):
        open_source(as_zip(folder))


def test_a_class_that_is_a_link_is_named_in_an_archive_too(folder):
    shutil.rmtree(folder / "9")
    link = zipfile.ZipInfo("wrapped/9")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = as_zip(folder)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "../elsewhere")
    with pytest.raises(DataError, match="None of the pictures of '9' can be used. The first: wrapped/9: a link"):
        open_source(path)


def test_single_files_that_cannot_be_used_are_listed_with_a_reason_and_the_rest_is_taken(project, folder, tmp_path):
    elsewhere = make_folder(tmp_path / "elsewhere", 4)
    (folder / "9" / "a-link.png").symlink_to(next(iter(files_below(elsewhere))))
    (folder / "9" / "linked").symlink_to(elsewhere)
    (folder / "9" / "photo.HEIC").write_bytes(b"ftypheic")
    (folder / "9" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "9" / ".DS_Store").write_bytes(b"")
    assert "80 pictures" in run(folder, "--dry-run")
    listed = pd.read_csv(project.root / "artifacts" / "import" / "refused.csv").set_index("picture")["reason"]
    assert set(listed.index) == {"9/a-link.png", "9/linked", "9/photo.HEIC", "9/broken.png"}
    assert "not followed" in listed["9/a-link.png"]
    assert "convert it" in listed["9/photo.HEIC"]


def as_zip(folder):
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in files_below(folder):
            archive.write(path, Path("wrapped") / path.relative_to(folder))
        archive.writestr("__MACOSX/wrapped/9/._a.png", b"")
    return folder.with_suffix(".zip")


@pytest.mark.parametrize(("written", "read"), [("Vögel".encode(), "Vögel"), (b"V\x94\x94gel", "Vöögel")])
def test_names_in_a_zip_archive_are_read_as_utf_8_where_they_are_even_if_it_does_not_say_so(tmp_path, written, read):
    path = tmp_path / "birds.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("V--gel/1.png", encode_png(draw_pictures(1)[0][0]))
        archive.writestr("cat/1.png", b"")
    path.write_bytes(path.read_bytes().replace(b"V--gel", written))
    source = open_source(path)
    assert {item.label for item in source.items} == {read, "cat"}
    assert not any(isinstance(content, DataError) for _, content in read_all(source))


def as_table(folder, path, **columns):
    paths = files_below(folder)
    rows = {"path": [str(path.relative_to(folder)) for path in paths], "label": [path.parent.name for path in paths]}
    table = pd.DataFrame(rows | columns)
    table.to_parquet(path, index=False) if path.suffix == ".parquet" else table.to_csv(path, index=False)
    return path


def as_csv(folder):
    return as_table(folder, folder / "labels.csv")


def as_parquet(folder):
    return as_table(folder, folder / "labels.parquet")


def as_folder_with_table(folder):
    as_table(folder, folder / "labels.csv")
    return folder


def as_shards(folder, names=()):
    names = names or sorted(CLASSES)
    target = folder.with_name("shards")
    target.mkdir()
    paths = files_below(folder)
    rows = [Row(path.read_bytes(), names.index(path.parent.name)) for path in paths]
    write_shard(target / "train-00000-of-00002.parquet", rows[:30], names)
    write_shard(target / "train-00001-of-00002.parquet", rows[30:], names)
    return target


@pytest.mark.parametrize("change", [as_zip, as_csv, as_parquet, as_folder_with_table, as_shards])
def test_every_kind_of_source_has_the_same_pictures(folder, change):
    expected = {(item.label, content) for item, content in read_all(open_source(folder))}
    source = open_source(change(folder))
    assert {(item.label, content) for item, content in read_all(source)} == expected
    assert len(source.items) == 80
    assert not source.refused


@pytest.mark.parametrize(
    ("encoding", "separator", "words"),
    [
        ("latin-1", ",", "cannot be read as a table ('utf-8' codec"),
        ("utf-16", ",", "cannot be read as a table ('utf-8' codec"),
        ("utf-16", "\t", "cannot be read as a table ('utf-8' codec"),
        ("utf-8-sig", ";", "has no column path and no column label"),
        ("utf-8", "\t", "has no column path and no column label"),
    ],
)
def test_a_table_in_a_folder_that_cannot_be_read_is_refused_and_folders_are_no_classes(
    folder, encoding, separator, words
):
    rows = [(str(path.relative_to(folder)), "Vögel") for path in files_below(folder)]
    text = "\n".join(separator.join(row) for row in [("Path", '"label"'), *rows])
    (folder / "labels.csv").write_bytes(text.encode(encoding))
    with pytest.raises(DataError) as refused:
        open_source(folder)
    assert words in str(refused.value)


def test_a_csv_file_of_other_things_beside_pictures_is_passed_over(folder):
    notes = folder / "notes.csv"
    notes.write_bytes("who;what\nich;Vögel".encode("latin-1"))
    source = open_source(folder)
    assert ({item.label for item in source.items}, source.passed_over) == (set(CLASSES), ["notes.csv"])
    notes.unlink()
    notes.mkdir()
    assert len(open_source(folder).items) == 80


def test_images_that_are_large_are_made_a_few_at_a_time_although_their_files_are_small(project, tmp_path):
    source = open_source(make_folder(tmp_path / "birds", 12))
    done = []
    scanned = scan(project, source, None, (512, 512), lambda count, of: done.append(count))
    assert done == [7, 12]  # Of a mebibyte each, in colour and grey.
    seen = [see_picture(content, item.name, scanned.form) for item, content in read_all(source)]
    np.testing.assert_array_equal(scanned.images, seen)


def test_pictures_in_one_group_of_rows_are_decoded_once_whenever_all_are_read(project, tmp_path, monkeypatch):
    """Other tools write all rows of a shard as one group, which can only be read from its start."""
    images, labels = draw_pictures(400)
    rows = [Row(encode_png(image), int(label)) for image, label in zip(images, labels, strict=True)]
    path = tmp_path / "birds.parquet"
    write_shard(path, rows, CLASSES)
    pq.write_table(pq.read_table(path), path, row_group_size=400)
    decoded, iter_batches = [], pq.ParquetFile.iter_batches

    def counting(file, *arguments, **options):
        for batch in iter_batches(file, *arguments, **options):
            decoded.append(len(batch))
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counting)
    wanted = bring.Wanted(open_source(path), "birds", None)
    made = bring.plan(project, load_params(project.params), wanted, lambda done, count: None)
    assert sum(decoded) <= 2 * 400  # For the sample, and for the scan.
    with switch.staging(project) as stage:
        bring._write_data(stage / "data", made)
    assert sum(decoded) <= 5 * 400  # Once for each split.


def read_all(source):
    return zip(source.items, source.read(source.items), strict=True)


def write_pair(folder, part, images, labels, compressed=True):
    """The two IDX files of a part, named as MNIST's are."""
    folder.mkdir(exist_ok=True)
    contents = {"images-idx3-ubyte": write_images(images), "labels-idx1-ubyte": write_idx(labels.astype(np.uint8))}
    for name, content in contents.items():
        path = folder / f"{part}-{name}{'.gz' if compressed else ''}"
        path.write_bytes(content if compressed else gzip.decompress(content))


@pytest.mark.parametrize("compressed", [True, False])
def test_idx_files_are_read_plain_and_compressed(tmp_path, compressed):
    images, labels = draw_pictures(20, channels=1)
    for part in ("train", "t10k"):
        write_pair(tmp_path, part, images, labels, compressed)
    source = open_source(tmp_path)
    assert [item.split for item in source.items] == ["test"] * 20 + ["train"] * 20
    assert [item.label for item in source.items[20:]] == [str(label) for label in labels]
    for image, (_, content) in zip(images, list(read_all(source))[20:], strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), image[..., 0])


def test_idx_files_say_their_split_anywhere_in_their_names(tmp_path):
    images, labels = draw_pictures(8, channels=1)
    parts = {"emnist-letters-train": "train", "emnist-letters-test": "test", "emnist_letters_val": "validation"}
    for part in parts:
        write_pair(tmp_path, part, images, labels)
    found = {item.name.split("images")[0].rstrip("-"): item.split for item in open_source(tmp_path).items}
    assert found == parts


def test_idx_files_of_several_datasets_are_refused_and_named(tmp_path):
    images, labels = draw_pictures(8, channels=1)
    for part in ("emnist-letters-train", "emnist-letters-test", "emnist-mnist-train", "emnist-mnist-test"):
        write_pair(tmp_path, part, images, labels)
    with pytest.raises(DataError, match="the IDX files of 2 datasets: emnist-letters, emnist-mnist. Move those of one"):
        open_source(tmp_path)


@pytest.mark.parametrize("restored", ["-idx", ".idx"])
def test_an_idx_file_that_is_there_plain_and_compressed_counts_once(tmp_path, restored):
    """With a dot, as in the name that the compressed file keeps and 7-Zip restores."""
    images, labels = draw_pictures(20, channels=1)
    for part, compressed in (("train", False), ("t10k", False), ("train", True), ("t10k", True)):
        write_pair(tmp_path, part, images, labels, compressed)
        for path in list(tmp_path.glob("*ubyte")):
            path.rename(path.with_name(path.name.replace("-idx", restored)))
    (tmp_path / f"train-labels{restored}1-ubyte").unlink()
    source = open_source(tmp_path)
    assert [item.split for item in source.items] == ["test"] * 20 + ["train"] * 20
    assert {item.name.split("[")[0] for item in source.items} == {
        f"{part}-images{restored}3-ubyte" for part in ("t10k", "train")
    }


def test_labels_of_idx_files_may_begin_at_one(project, tmp_path):
    images, labels = draw_pictures(80, channels=1)
    write_pair(tmp_path / "letters", "train", images, labels + 1)
    run(tmp_path / "letters", "--yes")
    assert load_params(project.params).data.classes == ("1", "2", "3", "4")


def test_classes_that_shards_name_and_have_no_pictures_of_are_left_out_and_named(project, folder):
    target = as_shards(folder, ["Aardvark", *sorted(CLASSES), "no picture"])
    assert "Classes without pictures, which are left out: Aardvark, no picture." in run(target, "--yes", "--size", "16")
    data = load_params(project.params).data
    assert data.classes == tuple(sorted(CLASSES))
    labels = np.concatenate([part.labels for part in read_raw(project, data).values()])
    assert np.bincount(labels).tolist() == [len(files_below(folder / name)) for name in data.classes]
    run(target, "--dry-run", "--skip", "no picture")


def test_shards_whose_split_nobody_knows_are_refused_beside_others_and_named(folder):
    """Pictures for another use would be dealt to training."""
    target = as_shards(folder)
    odd = (target / "train-00001-of-00002.parquet").rename(target / "eval-00000-of-00001.parquet")
    with pytest.raises(
        DataError, match=r"eval-00000-of-00001.parquet: neither .*, while train-00000-of-00002.parquet has one"
    ):
        open_source(target)
    table = pq.read_table(odd).drop_columns("split")
    pq.write_table(table.append_column("split", [["validation"] * 20 + ["test"] * 30]), odd)
    assert {item.split for item in open_source(target).items} == {"train", "validation", "test"}
    pq.write_table(table.append_column("split", [["test"] * 20 + ["holdout"] * 30]), odd)
    with pytest.raises(DataError, match="eval-.*, row 20: the split is 'holdout'; expected train, validation or test"):
        open_source(target)
    pq.write_table(table, odd)
    (target / "train-00000-of-00002.parquet").rename(target / "part-0.parquet")
    assert {item.split for item in open_source(target).items} == {None}


def test_a_tables_splits_and_groups_are_kept(folder):
    path = as_table(folder, folder / "labels.csv", split=["train", "TEST"] * 40, group=["a", ""] * 40)
    items = open_source(path).items
    assert {(item.split, item.group) for item in items} == {("train", "a"), ("test", None)}


def test_a_class_that_is_only_in_groups_with_another_class_is_in_every_split(project, tmp_path):
    """As patients with healthy tissue, of whom some have a tumour, too."""
    images = iter(draw_pictures(200, seed=5)[0])
    rows = []
    for patient in range(60):
        for label in ["healthy"] * 3 + ["tumour"] * (2 if patient % 6 == 0 else 0):
            rows.append({"path": f"{len(rows)}.png", "label": label, "group": patient})
            (tmp_path / rows[-1]["path"]).write_bytes(encode_png(next(images)))
    pd.DataFrame(rows).to_csv(tmp_path / "labels.csv", index=False)
    edit_params(project, {"prepare": {"seed": 5}})
    commit(project.root, "Another seed")
    run(tmp_path / "labels.csv", "--yes")
    params = load_params(project.params)
    assert validate(project, params).success
    assert all(counts["tumour"] for counts in prepare(project, params).images_of_class.values())


def test_pictures_of_a_group_are_no_near_copies(project, folder):
    table = as_table(folder, folder / "labels.csv", group=[str(number // 4) for number in range(80)])
    said = run(table, "--dry-run")
    assert "near copies of each other" not in said
    assert "the largest has 4 pictures" in said


def test_pictures_in_colour_do_not_count_as_grey_where_the_images_of_the_dataset_are(project, tmp_path):
    run(make_folder(tmp_path / "birds", channels=1), "--yes")
    assert "80 of 80 are grey" in run(tmp_path / "birds", "--dry-run")
    assert "80 of 160 are grey" in run(make_folder(tmp_path / "birds", seed=1), "--dry-run")


def test_paths_that_leave_the_folder_or_do_not_exist_are_refused(folder, tmp_path):
    outside = tmp_path / "outside.png"
    outside.write_bytes(encode_png(draw_pictures(1)[0][0]))
    (folder / "link.png").symlink_to(outside)
    table = folder / "labels.csv"
    inside = files_below(folder / "9")[0].relative_to(folder)
    (folder / "circle.png").symlink_to(folder / "circle.png")
    names = ["../outside.png", str(outside), "link.png", "nowhere.png", "circle.png", "iVBORw0K/" * 999, str(inside)]
    pd.DataFrame({"path": names, "label": "9"}).to_csv(table, index=False)
    source = open_source(table)
    assert [item.name for item in source.items] == [str(inside)]
    reasons = [refused.reason for refused in source.refused.values()]
    assert [reason.startswith("the path leaves the folder") for reason in reasons[:3]] == [True, True, True]
    assert reasons[3] == "there is no such file"
    assert all(reason.startswith("this is not the path of a file") for reason in reasons[4:])
    assert max(map(len, source.refused)) < 150


def test_the_path_that_is_checked_is_the_one_that_is_read(folder, tmp_path):
    outside = tmp_path / "elsewhere" / "below"
    outside.mkdir(parents=True)
    (outside.parent / "a.png").write_bytes(b"secret")
    (folder / "link").symlink_to(outside)
    inside = files_below(folder / "9")[0]
    shutil.copy(inside, folder / "a.png")
    names = ["link/../a.png", f"nowhere/../9/{inside.name}", f".\\9\\{inside.name}"]
    pd.DataFrame({"path": names, "label": "9"}).to_csv(folder / "labels.csv", index=False)
    source = open_source(folder / "labels.csv")
    assert [item.name for item in source.items] == ["a.png", f"9/{inside.name}", f"9/{inside.name}"]
    assert [content for _, content in read_all(source)] == [inside.read_bytes()] * 3


def test_columns_that_differ_in_capital_letters_only_are_refused(folder):
    table = as_table(folder, folder / "labels.csv", Label="9")
    with pytest.raises(DataError, match="has several columns label, which differ in capital letters or spaces only"):
        open_source(table)


def test_a_path_with_a_zero_byte_is_refused(folder):
    table = folder / "labels.parquet"
    paths = [str(path.relative_to(folder)) for path in files_below(folder / "9")] + ["9/\0.png"]
    pd.DataFrame({"path": paths, "label": "9"}).to_parquet(table)
    assert [refused.reason for refused in open_source(table).refused.values()] == [
        "this is not the path of a file (embedded null byte)"
    ]


def test_name_and_size_may_be_chosen_and_a_class_left_out(project, folder):
    one_picture(folder)
    run(folder, "--yes", "--name", "birds", "--size", "12x20", "--skip", "9")
    record = json.loads((project.root / "import.json").read_text())
    assert (record["name"], record["source"]) == ("birds", "My birds")
    assert record["params"]["data.image_size"] == [12, 20]
    params = load_params(project.params)
    assert params.data.classes == ("10", "<b>bold", "Food & Drink")
    assert read_raw(project, params.data)["train"].images.shape[1:] == (12, 20, 3)
