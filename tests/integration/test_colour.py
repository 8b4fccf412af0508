"""A drawn dataset in colour, 24 x 40 pixels in three classes, in shards, goes where Fashion-MNIST goes."""

import base64
import io
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from playwright.sync_api import expect
from starlette.testclient import TestClient
from typer.testing import CliRunner

from fashion.adapters.decoding import read_picture
from fashion.adapters.predictions import PredictionLog, read_pictures
from fashion.cli import app
from fashion.images.descriptors import WATCHED_IN_COLOUR
from fashion.images.encoding import encode_png
from fashion.images.photos import form_of, see
from fashion.images.synthetic import draw
from fashion.loop.monitor import monitor
from fashion.pages.report import write_report
from fashion.pages.report.kept import fetch_kept
from fashion.pages.report.network import read_layers
from fashion.params import load_params
from fashion.paths import Project
from fashion.registry.champion import find_champion
from fashion.registry.contest import set_task
from fashion.registry.predict import predict, read_samples
from fashion.serving.app import create_app
from fashion.serving.server import build_service
from fashion.settings import predictions_url
from fashion.stages.dataset import load_split
from fashion.stages.fetch import Drawing, draw_data
from fashion.stages.raw import read_batches
from fashion.stages.reference import read_descriptors
from flows.retraining import retraining
from tests.browser import chromium, open_page
from tests.conftest import copy_prefect, copy_project, copy_trained, use_environment
from tests.projects import (
    commit,
    edit_params,
    make_quick,
    make_small,
    read_suite,
    run_main_job,
    use_shards,
    write_suite,
)
from tests.servers import wait_until
from tests.services import running

SIZE, CLASSES = (24, 40), 3
COLOUR = {"channels": 3, "isolate": False, "fit": "pad", "ground": 255}
ENOUGH = 120


@pytest.fixture(scope="module")
def trained(prefect_template, tmp_path_factory):
    """The dataset, by editing params.yaml, expectations/ and the data alone; a champion, as by `make run`."""
    project = copy_project(tmp_path_factory.mktemp("colour") / "project")
    with pytest.MonkeyPatch.context() as patch:
        use_environment(project, patch)
        patch.setenv("FASHION_HOME", str(project.root))
        copy_prefect(prefect_template, project)
        use_shards(project)
        make_small(project, train=360, test=150, classes=CLASSES, size=SIZE, pictures=COLOUR)
        make_quick(project, "compact")
        suite = read_suite(project, "images")
        meta = {"on_breach": "warn", "reason": "paler than any garment"}
        limits = {"column": "saturation", "min_value": 0.01}
        suite["expectations"].append({"type": "expect_column_values_to_be_between", "kwargs": limits, "meta": meta})
        write_suite(project, "images", suite)
        edit_params(project, {"collect": {"at_least": ENOUGH, "asked_share": 1.0}})
        commit(project.root, "In colour")
        run_main_job(project)
    return project.root


@pytest.fixture
def coloured(trained, tmp_path, monkeypatch):
    project = copy_trained(trained, tmp_path / "project", monkeypatch)
    return project, load_params(project.params)


@pytest.fixture
def service(coloured):
    built = build_service(*coloured)
    yield built
    built.log.close()


def test_every_stage_keeps_the_colours_and_says_what_form_the_images_have(trained):
    project = Project(trained)
    train = load_split(project, "train").images
    assert train.shape[1:] == (*SIZE, 3)
    assert np.ptp(train, axis=3).max() > 50
    report = json.loads((project.validation / "report.json").read_text())
    assert "paler than any garment" in [one["reason"] for one in report["expectations"]]
    contract = json.loads((project.export / "classes.json").read_text())
    assert (contract["image_size"], contract["pictures"]) == (list(SIZE), COLOUR)
    with Image.open(project.evaluation / "sample_predictions.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    # The captions are green and red, and small; a quarter of a sheet is images.
    assert (np.ptp(pixels, axis=2) > 40).mean() > 0.05


def test_in_colour_images_may_be_pale_and_no_object_is_small(trained):
    project = Project(trained)
    measured = json.loads((project.evaluation / "robustness.json").read_text())
    assert [one["name"] for one in measured["slices"]] == ["dark", "low_contrast", "blurred", "pale", "rare_class"]
    assert {row["images"] for row in measured["corrupted"]["rows"]} == {30}
    task = set_task(project, load_params(project.params))
    assert "images of small objects (not told apart in images of this form)" in task.unjudged


def test_the_report_shows_the_colours(coloured):
    project, params = coloured
    page = write_report(project, params).path.read_text()
    assert "an image of 24 x 40 pixels (height x width) in colour" in page
    assert "padded to the image" in page
    test = load_split(project, "test")
    for content, row in re.findall(r'base64,([^"]+)" alt="Test image (\d+)', page):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
        np.testing.assert_array_equal(shown, test.images[int(row)])
    assert page.count('alt="Test image') >= 24
    with TemporaryDirectory() as folder:
        kept = fetch_kept(project, params, "1", Path(folder))
    assert sum(layer.parameters for layer in read_layers(kept.model)) == kept.metrics["parameters"]


def test_a_file_is_the_same_array_for_the_command_the_service_and_a_batch(coloured, service, tmp_path):
    project, params = coloured
    pixels = np.random.default_rng(0).integers(0, 256, (60, 50, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    form = find_champion(project, params).champion.form
    (sample,), refused = read_samples([tmp_path / "picture.png"], form)
    assert not refused
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
        files = {"images": ("picture.png", (tmp_path / "picture.png").read_bytes(), "image/png")}
        (answer,) = client.post("/predict?seen=true", files=files).json()["predictions"]
        given = {"prediction_id": answer["id"], "label": params.data.classes[2]}
        assert client.post("/feedback", json=given).status_code == 200
    np.testing.assert_array_equal(answer["seen"], sample.seen.image)
    (told,) = predict(project, params, [tmp_path / "picture.png"]).predictions
    assert told.answer.probabilities == pytest.approx(answer["probabilities"], abs=1e-6)
    log = PredictionLog(predictions_url(project))
    labelled = log.read_labelled(log.read_labels(params.data.shape), params.data.shape)
    np.testing.assert_array_equal(labelled.images[0], sample.seen.image)
    (picture,) = read_pictures(log, [answer["id"]])
    log.close()
    again = see(read_picture(io.BytesIO(picture), "picture").pixels, form)
    np.testing.assert_array_equal(again.image, sample.seen.image)


def test_arrays_are_lists_of_channels_and_others_are_refused_in_words(coloured, service):
    images, _ = draw(4, CLASSES, SIZE, seed=9, channels=3)
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
        answers = client.post("/predict", json={"images": images.tolist()}).json()["predictions"]
        assert len(answers) == 4
        for wrong in (images[..., 0], images[..., :1], images[..., :2]):
            refused = client.post("/predict", json={"images": wrong.tolist()})
            assert (refused.status_code, refused.json()["error"]) == (
                422,
                "images.0: expected pixels that are all lists of 3 numbers",
            )
        model = client.get("/model").json()
        assert (model["image_size"], model["channels"]) == (list(SIZE), 3)
        assert np.shape(client.get("/samples").json()[0]["image"]) == (*SIZE, 3)
        wait_until(lambda: client.get("/wanted").json())
        assert np.shape(client.get("/wanted").json()[0]["image"]) == (*SIZE, 3)


def test_predictions_are_watched_collected_and_learned_from_in_colour(coloured, service, at_server):
    project, params = at_server(coloured[0]), coloured[1]
    images, labels = draw(ENOUGH, CLASSES, SIZE, seed=11, channels=3)
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
        sent = [("images", ("a.png", encode_png(image), "image/png")) for image in images[: ENOUGH // 2]]
        replies = [client.post("/predict", files=sent)]
        replies.append(client.post("/predict", json={"images": images[ENOUGH // 2 :].tolist()}))
        answers = [one for reply in replies for one in reply.json()["predictions"]]
        for answer, label in zip(answers, labels, strict=True):
            given = {"prediction_id": answer["id"], "label": params.data.classes[label]}
            assert client.post("/feedback", json=given).status_code == 200

    look = monitor(project, params)
    assert set(WATCHED_IN_COLOUR) <= set(read_descriptors(project.evaluation).columns)
    page = look.page.read_text(encoding="utf-8")
    (picture, *_) = re.findall(r"data:image/png;base64,([^\"]+)", page)[1:]
    with Image.open(io.BytesIO(base64.b64decode(picture))) as shown:
        assert (shown.mode, shown.size) == ("RGB", SIZE[::-1])

    before = len(load_split(project, "train").images)
    state = retraining(return_state=True)
    assert state.is_completed(), state.message
    registered = state.result()
    assert (registered.version, registered.judgement is not None) == ("2", True)
    ((name, batch),) = read_batches(project, params.data).items()
    files = {path.name for path in (project.batches / name).iterdir()}
    assert files == {"images.parquet", "predictions.csv", "survey.json"}
    assert len(batch.images) == ENOUGH
    assert {one.tobytes() for one in batch.images} == {one.tobytes() for one in images}
    table = pq.read_table(project.batches / name / "images.parquet")
    # Pictures are those that the log has kept; what came as an array is the image.
    formats = Counter(Image.open(io.BytesIO(one["bytes"])).format for one in table["image"].to_pylist())
    assert formats == {"WEBP": ENOUGH // 2, "PNG": ENOUGH // 2}
    after = load_split(project, "train").images
    assert len(after) > before
    assert after.shape[1:] == (*SIZE, 3)


def test_a_version_made_from_shards_is_made_again_bit_by_bit(coloured):
    project, params = coloured
    subprocess.run([sys.executable, "-m", "dvc", "status", "--quiet"], cwd=project.root, check=True)
    draw_data(project, params, Drawing(360, 150, seed=7))
    edit_params(project, {"train": {"seed": 9}})
    commit(project.root, "Other pictures, and another seed")
    result = CliRunner().invoke(app, ["reproduce", "1"], env={"FASHION_HOME": str(project.root)})
    assert result.exit_code == 0, result.output
    assert "The weights are identical, bit by bit" in result.output


def test_the_page_shows_the_colours_that_were_sent_and_seen(coloured, service):
    _, params = coloured
    pixels = np.random.default_rng(3).integers(0, 256, (48, 60, 3), np.uint8)
    content = encode_png(pixels)
    with running(service) as address, chromium() as browser:
        page = open_page(browser)
        failed = []
        page.on("pageerror", lambda error: failed.append(error))  # noqa: PLW0108, Playwright takes functions alone
        page.goto(address)
        expect(page.locator("#samples canvas").first).to_have_js_property("width", SIZE[1])
        page.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": content})
        expect(page.locator("#bars li")).to_have_count(CLASSES)
        expected = see(pixels, form_of(params.data)).image
        np.testing.assert_array_equal(painted(page, "seen"), expected)
        wait_until(lambda: service.recorder.written)
        page.reload()
        expect(page.locator("#sent")).to_be_visible()
        assert page.evaluate("[sent.naturalHeight, sent.naturalWidth]") == [48, 60]
        np.testing.assert_array_equal(painted(page, "unnamed"), expected)
        page.locator("#names button").nth(1).click()
        expect(page.locator("#noted")).to_contain_text("No more pictures to label")
        assert not failed
    labels = service.log.read_labels(params.data.shape)
    assert list(labels["label"]) == [1]


def painted(page, name):
    """The colours of a canvas (height, width, 3)."""
    size = page.evaluate(f"[{name}.height, {name}.width]")
    values = page.evaluate(f"[...{name}.getContext('2d').getImageData(0, 0, {name}.width, {name}.height).data]")
    return np.array(values, np.uint8).reshape(*size, 4)[..., :3]
