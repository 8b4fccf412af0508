"""`fashion predict`: files of every kind through Pillow, LiteRT and a real MLflow registry."""

import functools
import gzip
import json
import os
import shutil
import struct
import subprocess
import zlib
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.store.artifact import local_artifact_repo
from PIL import Image, features
from starlette.testclient import TestClient
from typer.testing import CliRunner

from fashion.adapters.decoding import read_pictures
from fashion.adapters.plots import Shown, prediction_sheet
from fashion.adapters.tracking import address
from fashion.cli import app
from fashion.errors import ArtifactError, DataError, DiskError, FashionError, ServiceError
from fashion.images.idx import read_idx, write_idx, write_images
from fashion.images.photos import Form, see
from fashion.loop.monitor import monitor
from fashion.params import PicturesParams, load_params
from fashion.registry import predict as stage
from fashion.registry.champion import FORMER, LAST, champion_folder, find_champion
from fashion.registry.overview import list_models
from fashion.registry.promotion import promote
from fashion.serving.app import create_app
from fashion.settings import tracking_uri
from fashion.stages.reference import OUTPUTS
from tests.advice import follow
from tests.litert_models import band_images, write_band_model
from tests.services import make_champion, make_service

SIZE = (28, 28)
FORM = Form(SIZE, PicturesParams())
CLASSES = ("top", "upper", "middle", "lower", "bottom")
SHIRT = (slice(80, 320), slice(90, 210))
"""Where the dark shirt stands in the photographs below: 240 x 120 of 400 x 300 pixels."""


def shirt(colour=(20, 30, 90), background=(255, 255, 255)):
    """A dark blue shirt with a lighter hem on a white wall, RGB (400, 300, 3)."""
    picture = np.full((400, 300, 3), background, np.uint8)
    picture[SHIRT] = colour
    picture[300:320, 90:210] = 120
    return picture


def assert_is_the_shirt(image):
    """Bright on exactly 0, full height, half as wide, the pale hem at the bottom."""
    assert (image.shape, image.dtype) == (FORM.shape, np.uint8)
    assert image[1:24, 8:20].min() > 180
    assert 60 < image[27, 14, 0] < image[20, 14, 0]
    assert not image[:, :6].any()
    assert not image[:, 22:].any()


def seen(path):
    (picture,) = read_pictures(path)
    return see(picture.pixels, FORM).image


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_band_model(tmp_path_factory.mktemp("champion") / "model.tflite", SIZE, len(CLASSES))


@pytest.fixture
def project(project, registry_template):
    """With an empty registry."""
    shutil.copytree(registry_template, project.state)
    return project


def publish(project, model, classes=CLASSES, folder="published"):
    """A registered version with the alias `champion`, as `register` makes it; its source folder."""
    source = project.root / folder
    (source / "extra_files").mkdir(parents=True)
    (source / "extra_files" / "model.tflite").write_bytes(model.read_bytes())
    contract = {"classes": classes, "image_size": SIZE}
    (source / "extra_files" / "classes.json").write_text(json.dumps(contract), encoding="utf-8")
    client = MlflowClient(tracking_uri(project))
    name = load_params(project.params).register_.name
    client.create_registered_model(name)
    client.create_model_version(name, source.as_uri())
    client.set_registered_model_alias(name, "champion", "1")
    return source


def save_bands(folder, count=5):
    """PNG files of the dataset's kind, file i bright in band i."""
    paths = [folder / f"band{number}.png" for number in range(count)]
    for path, image in zip(paths, band_images(count, SIZE, len(CLASSES)), strict=True):
        Image.fromarray(image[..., 0]).save(path)
    return paths


# Decoding


def test_every_real_test_image_comes_through_unchanged_and_its_negative_is_brought_back(real_data):
    with (real_data / "t10k-images-idx3-ubyte.gz").open("rb") as stream:
        images = read_idx(stream, "t10k", 3)
    form = Form(images.shape[1:], PicturesParams())
    inverted = sum(not np.array_equal(see(image, form).image[..., 0], image) for image in images)
    restored = sum(np.array_equal(see(255 - image, form).image[..., 0], image) for image in images)
    assert (len(images), inverted, restored) == (10_000, 0, 10_000)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "I;16"])
def test_an_image_of_the_dataset_in_any_lossless_form_is_exactly_that_image(tmp_path, mode):
    original = band_images(3, SIZE, 5)[2, ..., 0]
    original[3, 4] = 7
    picture = Image.fromarray(original.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(original)
    picture.convert(mode).save(tmp_path / "image.png")
    np.testing.assert_array_equal(seen(tmp_path / "image.png"), original[..., np.newaxis])


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "gif", "webp"])
def test_a_dark_shirt_on_a_white_wall_is_a_bright_shirt_on_black(tmp_path, ending):
    name = f"shirt.{ending}"
    if ending == "webp" and not features.check("webp"):
        pytest.skip("this Pillow was built without WebP")
    Image.fromarray(shirt()).save(tmp_path / name)
    assert_is_the_shirt(seen(tmp_path / name))


TURNS = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
"""How a camera's picture lies, by the number in its EXIF data that says so."""


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("name", ["turned.jpg", "turned.png"])
def test_a_photograph_from_a_camera_held_sideways_is_set_upright(tmp_path, name, orientation):
    picture = Image.fromarray(shirt()).transpose(TURNS[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / name, exif=exif)
    assert_is_the_shirt(seen(tmp_path / name))


def test_a_cut_out_on_a_transparent_background_stands_on_black(tmp_path):
    pixels = np.dstack([shirt(background=(0, 0, 0)), np.zeros((400, 300), np.uint8)])
    pixels[(*SHIRT, 3)] = 255
    Image.fromarray(pixels).save(tmp_path / "cutout.png")
    assert_is_the_shirt(seen(tmp_path / "cutout.png"))


def test_sixteen_bit_grey_keeps_its_shades(tmp_path):
    grey = np.asarray(Image.fromarray(shirt()).convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(tmp_path / "deep.png")
    assert_is_the_shirt(seen(tmp_path / "deep.png"))


def test_a_jpeg_for_the_printing_press_is_read(tmp_path):
    Image.fromarray(shirt()).convert("CMYK").save(tmp_path / "print.jpg")
    assert_is_the_shirt(seen(tmp_path / "print.jpg"))


def test_a_palette_picture_with_a_transparent_colour_is_read(tmp_path):
    palette = Image.fromarray(shirt()).quantize(8)
    palette.save(tmp_path / "palette.png", transparency=palette.getpixel((0, 0)))
    assert_is_the_shirt(seen(tmp_path / "palette.png"))


def test_of_an_animated_file_the_first_frame_is_taken(tmp_path):
    first, second = Image.fromarray(shirt()), Image.new("RGB", (300, 400), "red")
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[second])
    assert_is_the_shirt(seen(tmp_path / "moving.gif"))


def test_a_large_photograph_is_kept_small(tmp_path):
    large = Image.fromarray(shirt()).resize((2400, 3200))
    large.save(tmp_path / "large.jpg")
    (picture,) = read_pictures(tmp_path / "large.jpg")
    assert picture.pixels.shape == (400, 300, 3)
    assert_is_the_shirt(seen(tmp_path / "large.jpg"))


def test_of_a_large_photograph_as_many_pixels_are_kept_as_a_large_image_has(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (600, 512, 3), np.uint8)
    form = Form((600, 512), PicturesParams(channels=3, isolate=False, fit="crop", ground=0))
    Image.fromarray(noise).save(tmp_path / "large.png")
    (tmp_path / "large.idx").write_bytes(gzip.decompress(write_idx(noise[None])))
    samples, _ = stage.read_samples([tmp_path / "large.png", tmp_path / "large.idx"], form)
    for sample in samples:
        np.testing.assert_array_equal(sample.seen.image, noise)
    assert len(samples) == 2


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
@pytest.mark.parametrize("compressed", [True, False])
def test_an_idx_file_gives_all_its_images_by_number(tmp_path, compressed, channels):
    images = np.random.default_rng(0).integers(0, 256, (4, 9, 12, *channels), np.uint8)
    content = write_idx(images)
    path = tmp_path / "images-idx3-ubyte"
    path.write_bytes(content if compressed else gzip.decompress(content))
    pictures = read_pictures(path)
    assert [picture.source for picture in pictures] == [f"{path}[{number}]" for number in range(4)]
    pixels = np.stack([picture.pixels for picture in pictures])
    np.testing.assert_array_equal(pixels, images[..., 0] if channels == (1,) else images)


# Files that cannot be read


def png_header(width, height):
    """A PNG that claims a size and holds next to nothing."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" * 100))]
    body = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def jpeg_bytes(folder):
    Image.fromarray(shirt()).save(folder / "whole.jpg")
    return (folder / "whole.jpg").read_bytes()


def hostile(folder):
    """Files that cannot be read, and what is said about each."""
    whole = jpeg_bytes(folder)
    idx = gzip.decompress(write_images(band_images(4, (9, 12), 3)))
    return {
        "empty.png": (b"", "the file is empty"),
        "truncated.jpg": (whole[: len(whole) // 2], "damaged"),
        "header.jpg": (whole[:20], "neither a picture|damaged"),
        "notes.png": (b"these are my notes\n" * 50, "neither a picture"),
        "page.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "neither a picture"),
        "scan.tif": (b"II*\0" + b"\0" * 100, "neither a picture"),
        "bomb.png": (png_header(8000, 8000), "8000 x 8000, more than 40000000 pixels"),
        "larger-bomb.png": (png_header(12_000, 10_000), "more than 40000000 pixels"),
        "largest-bomb.png": (png_header(60_000, 60_000), "more than 40000000 pixels"),
        "short.png": (png_header(600, 600), "damaged"),
        "images-idx": (idx[:-5], "the header claims"),
        "images-idx.gz": (gzip.compress(idx)[:-9], "truncated"),
        "labels-idx.gz": (write_idx(np.arange(5, dtype=np.uint8)), "magic number"),
        "huge-idx": (struct.pack(">HBB3I", 0, 8, 3, 10**9, 28, 28), "the file is not read"),
        "two-channels-idx": (gzip.decompress(write_idx(np.zeros((3, 9, 9, 2), np.uint8))), "1, 3 or 4 channels"),
        "none-idx.gz": (write_idx(np.zeros((0, 28, 28), np.uint8)), "contains no images"),
        "archive.tar.gz": (gzip.compress(b"not an idx file"), "magic number"),
    }


def test_every_unreadable_file_is_one_line_that_names_it_and_says_why(tmp_path):
    for name, (content, reason) in hostile(tmp_path).items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match=reason) as caught:
            read_pictures(path)
        assert str(path) in str(caught.value), name
        assert "\n" not in str(caught.value), name


@pytest.mark.parametrize(("name", "start"), [("a zip archive", b"PK\3\4"), ("a Parquet file", b"PAR1")])
def test_for_a_file_of_many_pictures_the_command_is_named(tmp_path, name, start):
    path = tmp_path / "my shop"
    path.write_bytes(start + bytes(100))
    with pytest.raises(DataError, match=rf"found {name}\. .* fashion predict '{path}' --output answers$"):
        read_pictures(path)


def test_a_name_with_line_ends_and_bytes_that_are_no_text_is_written_in_one_line(tmp_path):
    path = tmp_path / os.fsdecode(b"two\nlines\xff.png")
    path.touch()
    with pytest.raises(DataError, match="two\ufffdlines\ufffd.png: the file is empty"):
        read_pictures(path)


def test_folders_missing_files_and_files_that_may_not_be_opened_are_named(tmp_path):
    with pytest.raises(DataError, match=rf"found a folder\. .* fashion predict {tmp_path} --output answers$"):
        read_pictures(tmp_path)
    with pytest.raises(DataError, match=r"nowhere\.png: No such file"):
        read_pictures(tmp_path / "nowhere.png")


def test_bytes_flipped_anywhere_give_a_picture_or_a_data_error(tmp_path):
    random = np.random.default_rng(0)
    for name in ("shirt.png", "shirt.jpg", "shirt.gif", "shirt.bmp"):
        Image.fromarray(shirt()[::4, ::4]).save(tmp_path / name)
        content = np.frombuffer((tmp_path / name).read_bytes(), np.uint8)
        for _ in range(60):
            damaged = content.copy()
            damaged[random.integers(0, min(len(content), 400), 4)] = random.integers(0, 256, 4)
            (tmp_path / name).write_bytes(damaged.tobytes())
            try:
                image = seen(tmp_path / name)
            except DataError:
                continue
            assert (image.shape, image.dtype) == (FORM.shape, np.uint8)


# The stage


def test_the_champion_predicts_the_pictures_in_the_order_given(project, model, tmp_path):
    publish(project, model)
    paths = save_bands(tmp_path)[::-1]
    found = stage.predict(project, load_params(project.params), paths)
    assert (found.version, found.refused) == ("1", ())
    assert [prediction.answer.ranking[0][0] for prediction in found.predictions] == list(CLASSES[::-1])
    assert [prediction.sample.source for prediction in found.predictions] == [str(path) for path in paths]


def test_confidences_are_ranked_and_add_up_to_one(project, model, tmp_path):
    publish(project, model)
    (prediction,) = stage.predict(project, load_params(project.params), save_bands(tmp_path, 1)).predictions
    confidences = [confidence for _, confidence in prediction.answer.ranking]
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) == pytest.approx(1)
    assert list(prediction.answer.probabilities) == list(CLASSES)


def test_unreadable_files_are_listed_and_the_others_still_predicted(project, model, tmp_path):
    publish(project, model)
    good, other = save_bands(tmp_path, 2)
    (tmp_path / "empty.jpg").touch()
    Image.new("RGB", (50, 50), "white").save(tmp_path / "wall.png")
    images = band_images(3, SIZE, len(CLASSES))
    images[1] = 0
    (tmp_path / "batch.gz").write_bytes(write_images(images))
    files = [good, tmp_path / "empty.jpg", tmp_path / "wall.png", tmp_path / "batch.gz", other]
    found = stage.predict(project, load_params(project.params), files)
    sources = [prediction.sample.source for prediction in found.predictions]
    assert sources == [str(good), f"{tmp_path}/batch.gz[0]", f"{tmp_path}/batch.gz[2]", str(other)]
    assert [refused.source for refused in found.refused] == [
        str(tmp_path / "empty.jpg"),
        str(tmp_path / "wall.png"),
        f"{tmp_path}/batch.gz[1]",
    ]
    assert all(refused.message.startswith(refused.source) for refused in found.refused)


def test_nothing_readable_is_no_prediction_and_no_crash(project, model, tmp_path):
    publish(project, model)
    found = stage.predict(project, load_params(project.params), [tmp_path / "nowhere.png"])
    assert (len(found.predictions), len(found.refused)) == (0, 1)


def test_the_json_document_has_the_keys_that_scripts_rely_on(project, model, tmp_path):
    publish(project, model)
    found = stage.predict(project, load_params(project.params), [*save_bands(tmp_path, 1), tmp_path / "nowhere.png"])
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert set(document) == {"model", "version", "predictions", "errors"}
    assert document["errors"] == [
        {"source": str(tmp_path / "nowhere.png"), "message": f"{tmp_path}/nowhere.png: No such file or directory"}
    ]
    (prediction,) = document["predictions"]
    assert set(prediction) == {
        "source", "class", "predicted", "confidence", "runner_up", "runner_up_confidence", "probabilities",
        "abstain", "reason", "explanation",
    }  # fmt: skip
    assert prediction["class"] == "top"
    assert prediction["confidence"] == prediction["probabilities"]["top"] > prediction["runner_up_confidence"]


def doubtful_pictures(folder):
    """Files of a clear band, of a grey in which the model sees no band, and of noise in colour."""
    one = band_images(1, SIZE, len(CLASSES))[0, ..., 0]
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    faint = np.full(SIZE, 50, np.uint8)
    faint[0] = faint[-1] = faint[:, 0] = faint[:, -1] = 0
    pictures = {"clear": one, "faint": faint, "noise": noise}
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return [folder / f"{name}.png" for name in pictures]


def test_table_json_and_service_give_the_same_answer_and_say_when_not_to_rely_on_it(
    project, model, tmp_path, monkeypatch
):
    source = publish(project, model)
    known = make_champion(tmp_path / "known", "1").champion.model.parent / OUTPUTS
    shutil.copy(known, source / "extra_files")
    files = doubtful_pictures(tmp_path)
    monkeypatch.setenv("FASHION_HOME", str(project.root))
    printed = CliRunner().invoke(app, ["predict", "--json", *map(str, files)])
    document = json.loads(printed.stdout)["predictions"]
    assert [one["reason"] for one in document] == [None, "unsure", "cluttered"]
    assert [one["abstain"] for one in document] == [False, True, True]
    with TestClient(create_app(make_service(tmp_path)), base_url="http://127.0.0.1") as client:
        given = [("images", (file.name, file.read_bytes())) for file in files]
        served = client.post("/predict", files=given).json()["predictions"]
    for ours, theirs in zip(document, served, strict=True):
        assert ours["probabilities"] == pytest.approx(theirs["probabilities"], abs=1e-5)
        for key in ("predicted", "abstain", "reason", "explanation"):
            assert ours[key] == theirs[key]
    table = CliRunner().invoke(app, ["predict", *map(str, files), "--plot", str(tmp_path / "plot.png")]).stdout
    assert "cluttered: the picture does not show one object on a plain background" in table
    assert "unsure: the model is not sure enough" in table
    assert table.count("cluttered") == table.count("unsure") == 2
    assert "do not rely on it" not in CliRunner().invoke(app, ["predict", str(files[0])]).stdout


def test_the_champion_is_fetched_once(project, model, tmp_path):
    source = publish(project, model)
    paths = save_bands(tmp_path, 2)
    first = stage.predict(project, load_params(project.params), paths)
    (source / "extra_files" / "model.tflite").unlink()
    second = stage.predict(project, load_params(project.params), paths)
    assert first.to_dict() == second.to_dict()
    assert list((project.state / "champion").glob("*/1-*/extra_files/model.tflite"))


def test_without_a_champion_the_error_names_the_command_that_makes_one(project, tmp_path):
    with pytest.raises(ServiceError, match="make run"):
        stage.predict(project, load_params(project.params), save_bands(tmp_path, 1))


def test_a_champion_whose_classes_do_not_fit_its_model_is_refused(project, model, tmp_path):
    publish(project, model, classes=CLASSES[:4])
    with pytest.raises(ArtifactError, match="5 probabilities for 4 classes"):
        stage.predict(project, load_params(project.params), save_bands(tmp_path, 1))


# The picture


def test_the_sheet_shows_colour_transparency_and_grey_in_one_row_an_image(tmp_path):
    given = [shirt(), np.dstack([shirt(), shirt()[..., :1]]), band_images(1, SIZE, 5)[0, ..., 0]]
    images = [see(pixels, FORM).image for pixels in given]
    ranking = {"a $name_": 0.7, "b": 0.2, "c": 0.1}
    for count in (0, 1, 3):
        path = tmp_path / f"sheet{count}.png"
        rows = [Shown("$x_.png", *pair, ranking, None) for pair in zip(given[:count], images[:count], strict=True)]
        prediction_sheet(rows, path, "Title")
        with Image.open(path) as sheet:
            assert sheet.format == "PNG"
            assert sheet.height > 60 + 200 * count


def test_a_sheet_shows_in_red_that_an_answer_should_not_be_relied_on(tmp_path):
    (image,) = band_images(1, SIZE, 5)
    red = {}
    for doubt in (None, "the picture does not show one $object_ on a plain background"):
        path = tmp_path / "sheet.png"
        prediction_sheet([Shown("x", image[..., 0], image, {"a": 0.9, "b": 0.1}, doubt)], path, "Title")
        pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
        red[doubt is not None] = int(((pixels[..., 0] > 180) & (pixels[..., 1:].max(axis=-1) < 80)).sum())
    assert red[False] == 0
    assert red[True] > 1000


def test_a_sheet_of_many_images_says_how_many_it_shows(tmp_path):
    rows = [Shown("x", image[..., 0], image, {"a": 0.9, "b": 0.1}, None) for image in band_images(60, SIZE, 5)]
    prediction_sheet(rows, tmp_path / "many.png", "Title")
    with Image.open(tmp_path / "many.png") as sheet:
        assert sheet.height < 10_000


# What is kept


def best_class(project, path):
    (prediction,) = stage.predict(project, load_params(project.params), [path]).predictions
    return prediction.answer.ranking[0][0]


def test_a_registry_that_was_made_anew_is_believed_though_its_version_has_the_same_number(project, model, tmp_path):
    path, *_ = save_bands(tmp_path)
    publish(project, model)
    assert best_class(project, path) == "top"
    assert find_champion(project, load_params(project.params)).champion.classes == CLASSES
    MlflowClient(tracking_uri(project)).delete_registered_model(load_params(project.params).register_.name)
    publish(project, model, CLASSES[::-1], "published again")
    assert best_class(project, path) == "bottom"
    found = find_champion(project, load_params(project.params))
    assert (found.version.number, found.champion.classes) == ("1", CLASSES[::-1])


def test_of_former_champions_the_last_few_stay_and_the_one_that_a_service_remembers(project, model, tmp_path):
    source = publish(project, model)
    path, *_ = save_bands(tmp_path)
    params = load_params(project.params)
    remembered = find_champion(project, params).version.identity
    client, name = MlflowClient(tracking_uri(project)), params.register_.name
    for _ in range(FORMER + 2):
        made = client.create_model_version(name, source.as_uri())
        client.set_registered_model_alias(name, "champion", made.version)
        assert best_class(project, path) == "top"
    kept = [path.name for path in champion_folder(project, params).iterdir() if path.is_dir()]
    numbers = sorted(int(name.partition("-")[0]) for name in kept)
    newest = FORMER + 3
    assert numbers == [1, *range(newest - FORMER, newest + 1)]
    assert remembered in kept
    now = find_champion(project, params).version.identity
    kept = [path.name for path in champion_folder(project, params).iterdir() if path.is_dir()]
    assert now in kept


DAMAGED_MEMORIES = [b"", b"{", b"[]", b"{}", b'{"number": 1, "run_id": "r", "tags": {}, "created": "c"}', b"\xff"]


@pytest.mark.advice("fashion monitor", "registry/champion.py")
@pytest.mark.parametrize("content", DAMAGED_MEMORIES)
def test_a_damaged_memory_of_the_last_champion_is_told_and_written_anew(project, model, tmp_path, content):
    publish(project, model)
    params = load_params(project.params)
    version = replace(find_champion(project, params).version, aliases=())
    database, memory = project.state / "mlflow.db", champion_folder(project, params) / LAST
    aside = database.rename(tmp_path / "aside")
    database.write_text("no database")
    assert find_champion(project, params).version == version
    memory.write_bytes(content)
    with pytest.raises(ServiceError, match=f"{memory} is damaged") as told:
        find_champion(project, params)
    aside.replace(database)
    follow(project, told.value, "fashion monitor")
    assert json.loads(memory.read_text())["identity"] == version.identity


@pytest.mark.parametrize("missing", ["", "extra_files", "extra_files/model.tflite", "extra_files/training_images.npz"])
def test_files_that_were_out_of_reach_for_once_are_fetched_when_they_are_back(project, model, tmp_path, missing):
    path, *_ = save_bands(tmp_path)
    source = publish(project, model)
    (source / "extra_files" / "training_images.npz").write_bytes(b"arrays")
    extra = [{"path": f"extra_files/{file.name}"} for file in (source / "extra_files").iterdir()]
    (source / "MLmodel").write_text(yaml.safe_dump({"flavors": {"tensorflow": {"extra_files": extra}}}))
    aside = tmp_path / "aside"
    (source / missing).rename(aside)
    for look in (best_class, lambda *_: find_champion(project, load_params(project.params))):
        with pytest.raises(ServiceError, match=r"Version 1 .* cannot be loaded .*: missing or cut off: extra_files/"):
            look(project, path)
    assert not list((project.state / "champion").rglob("*.*"))
    aside.rename(source / missing)
    assert best_class(project, path) == "top"


def test_a_file_that_came_cut_off_is_not_kept(project, model, tmp_path, monkeypatch):
    path, *_ = save_bands(tmp_path)
    publish(project, model)

    def cut_off(source, target):
        Path(target).write_bytes(Path(source).read_bytes()[:-1])

    with monkeypatch.context() as patch, pytest.raises(ServiceError, match="cut off: .*classes.json"):
        patch.setattr(local_artifact_repo.shutil, "copy2", cut_off)
        best_class(project, path)
    assert best_class(project, path) == "top"


# A project that may only be read


@contextmanager
def read_only(project):
    """In the block nobody may write in the project: root by a mount, anyone else by the folders' access."""
    if os.geteuid() == 0:
        mount = functools.partial(subprocess.run, cwd="/", capture_output=True, text=True, check=False)
        for command in (["mount", "--bind"], ["mount", "-o", "remount,ro,bind"]):
            result = mount([*command, str(project.root), str(project.root)])
            if result.returncode:
                pytest.skip(f"root writes everywhere, and no folder can be mounted here: {result.stderr.strip()}")
        try:
            yield
        finally:
            mount(["umount", "--lazy", str(project.root)], check=True)
        return
    folders = [project.root, *(path for path in project.root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        yield
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_who_may_only_read_a_project_has_its_answers_and_leaves_nothing_there(project, model, tmp_path):
    params = load_params(project.params)
    publish(project, model)
    path, *_ = save_bands(tmp_path)
    list_models(project, params)
    before = sorted(project.root.rglob("*"))
    address._open_database.cache_clear()
    with read_only(project):
        assert best_class(project, path) == "top"
        assert find_champion(project, params).champion.classes == CLASSES
        assert [one.version for one in list_models(project, params).models] == ["1"]
    assert sorted(project.root.rglob("*")) == before


def test_who_may_only_read_a_project_is_told_which_folder_must_be_writable(project, model):
    params = load_params(project.params)
    publish(project, model)
    list_models(project, params)
    with read_only(project):
        with pytest.raises(DiskError, match=rf"{project.state} must be writable for the user with id"):
            monitor(project, params)
        with pytest.raises(FashionError, match=rf"{project.state} must be writable"):
            promote(project, params, "1", "to see whether I may", force=True)
