"""`fashion explore` on datasets of every kind, and on what the service got."""

import base64
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from prefect.logging import disable_run_logger
from typer.testing import CliRunner

from fashion.arrays import LabelledImages
from fashion.cli import app
from fashion.errors import ArtifactError, DataError, ServiceError
from fashion.images.descriptors import describe_dataset
from fashion.images.differences import compare_descriptors
from fashion.images.parts import Parts
from fashion.images.synthetic import draw
from fashion.pages.exploration_state import is_current, made_from
from fashion.pages.explore import explore
from fashion.pages.prepared import read_splits
from fashion.pages.quarantined import read_quarantine
from fashion.pages.sent import SHOWN, choose_sent
from fashion.params import load_params
from fashion.stages.dataset import load_split, read_prepared
from fashion.stages.formats.idx import write_splits
from fashion.stages.raw import read_raw
from fashion.stages.restoring import SYNTHETIC
from fashion.stages.validate import validate
from fashion.storage import write_json
from flows import pipeline
from tests.advice import follow
from tests.projects import edit_params, make_small
from tests.traffic import Traffic, inverted

COLOUR = {"channels": 3, "isolate": False, "fit": "pad", "ground": 255}
HOSTILE = "<script>alert(1)</script> & $x$ " + "W" * 68


def sentences(page):
    return re.sub(r"\s+", " ", " ".join(re.findall(r'class="verdict">(.*?)</p>', page.read_text(), re.DOTALL)))


def check_page(page):
    """It is one file, nothing in it is loaded from elsewhere, and every picture is there as a PNG, too."""
    text = page.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)=(?!"data:)', text)
    assert "http" not in text
    assert "url(" not in text
    assert "<script" not in text
    assert text.count("<img") > 10
    assert all(re.search(r"\balt=", tag) for tag in re.findall(r"<img[^>]*>", text))
    names = {path.name for path in page.parent.glob("*.png")}
    assert {"balance.png", "samples.png", "means.png", "deviations.png", "plane.png", "plane_images.png"} <= names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in page.parent.glob("*.png"))
    return names


def test_a_grey_dataset_is_shown_with_its_copies_and_its_quarantine(small_project):
    params = load_params(small_project.params)
    train, test = (LabelledImages(*draw(count, 10, (28, 28), seed=count)) for count in (300, 100))
    train.images[7] = 0
    test.images[:3] = train.images[20:23]
    labels = test.labels.copy()
    labels[:3] = train.labels[20:23]
    labels[0] = (labels[0] + 1) % 10
    write_splits(small_project, params.data, {"train": train, "test": LabelledImages(test.images, labels)})
    page = explore(small_project, params)
    assert "These data have not been validated. Type: dvc repro validate" in sentences(page)
    assert "The validation split has not been made yet. Type: dvc repro prepare" in sentences(page)
    with pytest.raises(DataError):  # The suites ask for other numbers of images; the report is there.
        validate(small_project, params)
    assert not is_current(small_project, params)
    steps = []
    page = explore(small_project, params, on_step=lambda done, total: steps.append((done, total)))
    assert steps == [(number, 4) for number in (1, 2, 3, 4)]
    assert is_current(small_project, params)
    said = sentences(page)
    assert "6 images are equal to another one; they form 3 groups. 3 test images are exact copies" in said
    assert "2 of them have a copy that is labelled differently." in said
    assert re.search(r"[\d,]+ of 400 images have a reason not to be learned from", said)
    assert {"exact_copies.png", "quarantine.png", "pixels_brightness.png", "by_class_mean.png"} <= check_page(page)
    figures = json.loads((page.parent / "exploration.json").read_text())["figures"]
    assert figures["exact_copies"]["in_other_part"] == [0, 3]
    write_splits(small_project, params.data, {"train": train, "test": test})
    assert not is_current(small_project, params)
    now = made_from(small_project, params)["files"]
    stale = read_quarantine(small_project, Parts(read_raw(small_project, params.data)), now)
    assert "The data have changed since they were validated" in stale.missing
    (small_project.exploration / "exploration.json").write_text("{")
    assert not is_current(small_project, params)


@pytest.mark.advice("dvc repro", "pages/quarantined.py")
@pytest.mark.advice("fashion explore", "pages/quarantined.py", "flows/pages.py")
def test_a_damaged_quarantine_is_an_error_in_words_and_the_page_stays_and_the_flow_goes_on(small_project):
    params = load_params(small_project.params)
    page = explore(small_project, params)
    before, words = page.read_bytes(), sentences(page)
    follow(small_project, words, "dvc repro validate")
    (small_project.validation / "quarantine.csv").write_text("split,index,label,reason\ntrain,600,1,dark\n")
    with pytest.raises(ArtifactError, match="1 of its images are not among the data") as error:
        explore(small_project, params)
    assert page.read_bytes() == before
    with disable_run_logger():
        state = pipeline.explore.fn(small_project, params)
    assert (state.type, state.name) == ("COMPLETED", "NotMade")
    follow(small_project, error.value, "dvc repro validate")
    assert str(page) in follow(small_project, state.message, "fashion explore")
    assert "No image is in quarantine." in sentences(page)


def test_a_dataset_in_colour_with_hostile_names_and_a_class_missing_in_a_split_is_shown(project):
    make_small(project, train=90, test=30, classes=3, size=(24, 70), pictures=COLOUR)
    params = edit_params(project, {"data": {"classes": ["one", HOSTILE, "three"]}})
    images, labels = draw(90, 3, (24, 70), seed=1, channels=3)
    kept = labels[:30] != 2
    test = LabelledImages(images[:30][kept], labels[:30][kept])
    write_splits(project, params.data, {"train": LabelledImages(images[30:], labels[30:]), "test": test})
    page = explore(project, params)
    assert {"pixels_red.png", "by_class_saturation.png", "compared_sharpness.png"} <= check_page(page)
    assert "Test images: no image of three." in sentences(page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; $x$ WWW" in page.read_text()


def test_256_classes_are_shown_even_if_most_have_no_image(project):
    names = [f"{number} {'long ' * 19}"[:100].strip() for number in range(256)]
    params = edit_params(project, {"data": {"classes": names, "image_size": [8, 8]}})
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (300, 8, 8, 1), np.uint8)
    splits = {"train": LabelledImages(images[:200], np.arange(200, dtype=np.uint8) % 100)}
    splits["test"] = LabelledImages(images[200:], random.integers(0, 256, 100).astype(np.uint8))
    write_splits(project, params.data, splits)
    (project.data / SYNTHETIC).touch()
    page = explore(project, params)
    check_page(page)
    text = page.read_text()
    assert all(text.count(name) >= 2 for name in names)
    assert "and 151 more classes" in sentences(page)


def test_a_batch_of_which_a_file_is_missing_is_an_error_that_says_how_to_restore_it(small_project):
    params = load_params(small_project.params)
    batch = small_project.batches / "0001"
    batch.mkdir(parents=True)
    with pytest.raises(DataError, match=f"batches/0001/.*remove {batch}, then restore what data.dvc pins with: "):
        explore(small_project, params)
    assert not small_project.exploration.exists()


def test_without_a_version_there_is_no_window_to_explore(project, registry_template):
    shutil.copytree(registry_template, project.state, dirs_exist_ok=True)
    with pytest.raises(ServiceError, match="no version is registered there under this name. .* with: make run"):
        explore(project, load_params(project.params), window=True)


@pytest.mark.advice("fashion explore", "pages/explore.py")
def test_what_the_service_got_is_shown_beside_the_reference(trained_project, monkeypatch):
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    params = load_params(trained_project.params)
    assert is_current(trained_project, params)  # The flow has made the page about the dataset.
    with pytest.raises(DataError, match="has received no picture") as error:
        explore(trained_project, params, window=True)
    follow(trained_project, error.value, "fashion explore")
    traffic = Traffic(trained_project, params)
    traffic.send(40, inverted)
    assert choose_sent(traffic.log, traffic.log.read_window()) == ()
    traffic.send(20, inverted, enlarged=4)
    traffic.log.close()
    result = CliRunner().invoke(app, ["explore", "--window"])
    assert result.exit_code == 0, result.output
    page = trained_project.exploration_of_window / "index.html"
    assert str(page) in result.output
    check_page(page)
    said = sentences(page)
    assert "Pictures and reference differ by more than chance in mean" in said
    assert "Quarantine" not in page.read_text()
    assert is_current(trained_project, params)
    pairs = re.findall(
        r'as it was sent" src="data:image/webp;base64,(.*?)".*?saw it" src="data:image/png;base64,(.*?)"',
        page.read_text(),
        re.DOTALL,
    )
    assert len(pairs) == SHOWN
    for pair in pairs:
        sent, seen = (np.array(Image.open(io.BytesIO(base64.b64decode(content))).convert("L")) for content in pair)
        np.testing.assert_array_equal(sent[::4, ::4], seen)


@pytest.mark.advice("dvc repro", "pages/prepared.py")
@pytest.mark.advice("fashion explore", "pages/prepared.py")
def test_the_splits_of_prepare_are_compared_where_they_are_of_these_data(trained_project):
    """The flow has made the page, after `prepare`."""
    project, params = trained_project, load_params(trained_project.params)
    page = project.exploration / "index.html"
    said = sentences(page)
    assert "Validation split and training split differ in descriptors no more than by chance" in said
    assert "Test split and training split" in said
    figures = json.loads((page.parent / "exploration.json").read_text())["figures"]
    assert [one["other"] for one in figures["comparisons"]] == ["validation split", "test split"]
    validation = load_split(project, "validation")
    np.save(project.dataset / "validation_images.npy", np.zeros_like(validation.images))
    table, files = describe_dataset(read_raw(project, params.data)), made_from(project, params)["files"]
    dark = read_splits(project, params, files, table)
    shifts = compare_descriptors(dark.sets[0].table, dark.sets[1].table, ["mean"])
    assert (dark.sets[1].name, shifts[0].differs) == ("validation split", True)
    prepared = read_prepared(project)
    write_json(project.dataset / "dataset.json", prepared | {"files": {}})
    assert not is_current(project, params)
    stale = read_splits(project, params, files, table)
    assert stale.sets == ()
    assert "have changed since the validation split was made" in stale.missing
    follow(project, stale.missing, "dvc repro prepare")
    follow(project, stale.missing, "fashion explore")
    assert sentences(page) == said
