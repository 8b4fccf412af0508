"""The report of a version: from the registry alone, offline, on a phone, on paper, and where something is missing."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from typer.testing import CliRunner

from fashion.adapters import tracking
from fashion.adapters.tracking.address import registry_of
from fashion.cli import app
from fashion.errors import ArtifactError, LineageError, ServiceError
from fashion.evaluation.metrics import class_figures
from fashion.images.corruptions import CORRUPTIONS
from fashion.pages.report import keep_report, write_report
from fashion.pages.report.content import fill
from fashion.pages.report.kept import Predictions, fetch_kept
from fashion.pages.report.mistakes import find_pairs, thumbnail
from fashion.pages.report.network import read_layers
from fashion.pages.report.writing import show
from fashion.params import load_params
from fashion.storage import files_below
from tests.advice import follow
from tests.browser import chromium, open_page
from tests.conftest import copy_trained
from tests.projects import edit_params

HOSTILE = "<script>alert(1)</script> & 'Größe' \"ñ\" "
SECTIONS = [
    *("question", "data", "network", "recipe", "training", "results", "classes", "confusion", "samples", "mistakes"),
    *("calibration", "exports", "judgement", "lineage", "limits", "improve"),
]


@pytest.fixture(scope="module")
def kept(trained_template, tmp_path_factory):
    """Everything that is kept with version 1 of a trained project."""
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        project = copy_trained(trained_template, tmp_path_factory.mktemp("report") / "project", patch)
        yield fetch_kept(project, load_params(project.params), None, Path(folder))


@pytest.fixture
def params(trained_project):
    return load_params(trained_project.params)


def sections(page):
    """What is in each section, by its anchor."""
    return dict(re.findall(r'<section id="(\w+)">(.*?)</section>', page, re.DOTALL))


def with_predictions(kept, classes, labels, predicted):
    """The same version if it had these classes and had said this."""
    classes, labels, predicted = tuple(classes), np.array(labels), np.array(predicted)
    probabilities = np.full((len(labels), len(classes)), 0.1 / len(classes), np.float32)
    probabilities[np.arange(len(labels)), predicted] = 0.9
    per_class = class_figures(labels, predicted, len(classes))
    figures = {
        name: {"precision": one.precision, "recall": one.recall, "f1": one.f1, "support": one.support}
        for name, one in zip(classes, per_class, strict=True)
    }
    return replace(
        kept,
        classes=classes,
        metrics={**kept.metrics, "per_class": figures, "accuracy": float((labels == predicted).mean())},
        predictions=Predictions(labels, predicted, probabilities.max(axis=1).astype(float), probabilities),
        examples=None,
        images=np.zeros((len(labels), 12, 12, 1), np.uint8),
    )


def test_the_page_has_every_section_and_loads_nothing(kept):
    page = show(kept)
    found = sections(page)
    assert list(found) == SECTIONS
    assert re.findall(r'<a href="#(\w+)">', page)[: len(SECTIONS)] == SECTIONS
    assert not re.findall(r"""(?:src|href|srcset|data)=["'](?!#|data:)|url\(|@import|<link(?! rel="icon")""", page)
    pictures = re.findall(r"<img[^>]*>", page)
    assert pictures
    assert all(re.search(r'alt="[^"]{10,}', picture) for picture in pictures)
    assert all("aria-label=" in drawing for drawing in re.findall(r"<svg[^>]*>", page))


def test_every_mistake_is_shown_once_under_its_pair(kept):
    mistakes = sections(show(kept))["mistakes"]
    wrong = kept.predictions.wrong
    assert len(wrong)
    rows = [int(row) for row in re.findall(r'alt="Test image (\d+):', mistakes)]
    assert sorted(rows) == wrong.tolist()
    pairs = find_pairs(kept.predictions, kept.classes, 2000)
    assert sum(pair.count for pair in pairs) == len(wrong)
    first = pairs[0]
    labels, predicted = kept.predictions.labels, kept.predictions.predicted
    true, said = kept.classes.index(first.true), kept.classes.index(first.predicted)
    counted = int(((labels == true) & (predicted == said)).sum())
    assert first.count == counted == max(pair.count for pair in pairs)
    assert f"{counted} of {(labels == true).sum()} images of {first.true} (" in first.sentence
    assert f"{counted / len(wrong):.1%} of all mistakes" in first.sentence


def test_the_limits_show_every_corruption_and_slice_with_its_images(kept):
    limits = sections(show(kept))["limits"]
    assert all(f"<tr><td>{name}</td>" in limits for name in (*CORRUPTIONS, "dark", "low contrast", "rare class"))
    assert "Accuracy on the same 40 images at each severity" in limits
    assert "<td>rare class</td><td>0</td><td>none</td>" in limits
    assert "otherwise corrupted pictures" not in limits
    assert 'alt="Accuracy by severity of each corruption' in limits
    dark = next(one for one in kept.robustness.slices if one.name == "dark")
    assert f"<td>{dark.images}</td><td>{dark.accuracy.value:.1%}</td>" in limits


def test_a_version_that_was_evaluated_before_says_that_corrupted_images_were_not_measured(kept):
    limits = sections(show(replace(kept, robustness=None)))["limits"]
    assert "By slice" not in limits
    assert "blurred, noisy, rotated or otherwise corrupted pictures, dark images and" in limits


def test_hostile_names_on_a_slice_are_shown_as_they_are(kept):
    rare = replace(kept.robustness.slices[-1], definition=f"classes: {HOSTILE}")
    page = show(replace(kept, robustness=replace(kept.robustness, slices=(rare,))))
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in sections(page)["limits"]


def test_the_layers_have_all_parameters_of_the_model(kept):
    layers = read_layers(kept.model)
    assert sum(layer.parameters for layer in layers) == kept.metrics["parameters"]
    (network,) = [layer for layer in layers if layer.inner]
    assert network.inner[-1].shape == str(len(kept.classes))
    assert network.inner[1].shape == "26 x 26 x 32"
    assert "3 x 3" in network.inner[1].settings


def test_the_command_names_the_champion_and_the_page(trained_project, kept):
    result = CliRunner().invoke(app, ["report"], env={"FASHION_HOME": str(trained_project.root)})
    assert result.exit_code == 0, result.output
    assert "fashion-classifier version 1 (the champion): Right in " in result.output
    page = trained_project.reports / "fashion-classifier" / "1.html"
    assert f"Page: {page}" in result.output
    again = CliRunner().invoke(app, ["report", "champion"], env={"FASHION_HOME": str(trained_project.root)})
    assert "version 1: Right in" in again.output
    made = re.compile(r"Made .*? UTC.*?\. Intervals")
    assert made.sub("", page.read_text()) == made.sub("", show(kept))


def test_without_a_version_there_is_no_report(trained_project):
    params = edit_params(trained_project, {"register": {"name": "another"}})
    with pytest.raises(LineageError, match="another has no champion.*make run"):
        write_report(trained_project, params)
    with pytest.raises(LineageError, match="another has no version 7"):
        write_report(trained_project, params, "7")
    assert [page.name for page in files_below(trained_project.reports)] == ["1.html"]  # That of the training.


def test_the_newest_version_is_reported_where_none_is_champion(trained_project, params):
    from mlflow import MlflowClient

    registry = registry_of(trained_project, params)
    MlflowClient(registry.uri).delete_registered_model_alias(registry.name, "champion")
    written = write_report(trained_project, params)
    assert written.chosen == "the newest, since no version is champion"
    assert written.chosen in written.path.read_text()


def test_mlflow_that_is_away_is_an_error_in_words(trained_project, params, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match="No MLflow server answers"):
        write_report(trained_project, params)


def test_with_another_test_set_here_the_pictures_are_left_out_and_the_way_to_them_is_said(trained_project, params):
    labels = trained_project.dataset / "test_labels.npy"
    np.save(labels, np.load(labels)[::-1])
    page = write_report(trained_project, params, "1").path.read_text()
    mistakes = sections(page)["mistakes"]
    assert "does not have this version&#39;s test set" in mistakes.replace("'", "&#39;")
    assert "dvc pull" in mistakes
    assert "fashion report 1" in mistakes
    assert "Test image" not in page
    assert mistakes.count("of all mistakes") == mistakes.count("<details")
    shutil.rmtree(trained_project.dataset)
    without = write_report(trained_project, params, "1").path.read_text()
    assert sections(without)["mistakes"] == mistakes


@pytest.mark.advice("fashion models", "pages/report/kept.py")
def test_what_is_gone_is_named_and_the_rest_is_shown(trained_project, params):
    (run,) = (trained_project.state / "mlflow").glob("*/artifacts/evaluation/metrics.json")
    artifacts = run.parent.parent
    for name in ("training", "validation"):
        shutil.rmtree(artifacts / name)
    (artifacts / "export" / "report.json").write_text("{", encoding="utf-8")
    (artifacts / "export" / "model.keras").write_bytes(b"no zip")
    (artifacts / "evaluation" / "examples.npz").unlink()
    page = write_report(trained_project, params).path.read_text()
    for name in ("training/history.csv is missing", "export/report.json is damaged", "examples.npz is missing"):
        assert name in page
    assert "is not a complete .keras file" in page
    assert list(sections(page)) == SECTIONS
    assert "The epochs are not kept" in sections(page)["training"]
    (artifacts / "evaluation" / "predictions.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"evaluation/predictions.parquet is missing.*Restore") as refused:
        write_report(trained_project, params)
    assert "champion" in follow(trained_project, refused.value, "fashion models")
    assert (
        "is damaged" in (trained_project.reports / "fashion-classifier" / "1.html").read_text()
    )  # The last one stays.


def test_predictions_of_another_evaluation_are_not_reported(trained_project, params):
    import pandas as pd

    (path,) = (trained_project.state / "mlflow").glob("*/artifacts/evaluation/predictions.parquet")
    table = pd.read_parquet(path)
    table["prediction"] = table["label"]
    table.to_parquet(path)
    with pytest.raises(ArtifactError, match="expected an accuracy of"):
        write_report(trained_project, params)


def test_a_version_without_mistakes_says_so(kept):
    page = sections(show(with_predictions(kept, ["yes", "no"], [0, 1, 0, 1], [0, 1, 0, 1])))
    assert "None: all 4 images" in page["mistakes"]
    assert "<details" not in page["mistakes"]
    assert "weakest" not in page["improve"]


def test_a_class_without_images_in_the_test_set_is_named_and_has_no_recall(kept):
    found = with_predictions(kept, ["yes", "no", "never seen"], [0, 1, 0, 1], [0, 1, 2, 1])
    page = sections(show(found))
    assert "1 class without an image in the test set: never seen" in page["classes"]
    assert "There is no image of never seen in it" in page["limits"]
    assert "yes taken for never seen: 1" in page["mistakes"]
    rows = fill(found)["table"]
    assert [row.recall is None for row in rows] == [False, False, True]


def test_256_classes_with_long_and_hostile_names_fit_and_run_nothing(kept, tmp_path):
    names = [f"{HOSTILE}{number:03}".ljust(100, "m") for number in range(256)]
    labels = np.tile(np.arange(256), 4)
    predicted = np.where(np.arange(1024) % 3 == 0, (labels + 1) % 256, labels)
    page = show(with_predictions(kept, names, labels, predicted))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert 'alt="Confusion matrix of 256 classes' in sections(page)["confusion"]
    assert sections(page)["mistakes"].count('alt="Test image') == (labels != predicted).sum()
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    asked, failed = [], []
    with chromium() as browser:
        phone = open_page(browser, viewport={"width": 360, "height": 740})
        phone.on("request", lambda request: asked.append(request.url))
        phone.on("pageerror", lambda error: failed.append(error))  # noqa: PLW0108, Playwright takes functions alone
        phone.on("dialog", lambda dialog: failed.append(dialog.message))
        phone.goto(path.as_uri())
        assert phone.evaluate("document.documentElement.scrollWidth") <= 360
        last = phone.locator("#mistakes details img").last
        assert not last.is_visible()
        phone.emulate_media(media="print")
        assert last.is_visible()
    assert not failed
    assert {url for url in asked if not url.startswith("data:")} == {path.as_uri()}


def test_of_too_many_mistakes_each_pair_shows_as_many_as_the_others(kept):
    labels, predicted = [0] * 50 + [1] * 5, [1] * 50 + [0] * 5
    found = with_predictions(kept, ["yes", "no"], labels, predicted).predictions
    assert [len(pair.shown) for pair in find_pairs(found, ("yes", "no"), 15)] == [10, 5]
    assert [len(pair.shown) for pair in find_pairs(found, ("yes", "no"), 1)] == [1, 1]


def test_a_large_image_is_averaged_down_and_a_small_one_stays():
    image = np.arange(200 * 100 * 3).reshape(200, 100, 3).astype(np.uint8)
    assert thumbnail(image).shape == (66, 33, 3)
    assert thumbnail(np.full((300, 200, 1), 7, np.uint8)).tolist() == np.full((75, 50, 1), 7).tolist()
    np.testing.assert_array_equal(thumbnail(image[:96, :96]), image[:96, :96])


def test_the_report_is_kept_with_the_version_and_has_a_page_in_mlflow(
    trained_project, params, mlflow_server, monkeypatch, tmp_path
):
    written = write_report(trained_project, params)
    assert keep_report(trained_project, params, written).startswith("#/experiments/")
    registry = registry_of(trained_project, params)
    (tmp_path / "there").mkdir()
    assert tracking.fetch_folder(registry, written.version, f"report/{registry.name}/1", tmp_path / "there")
    assert (tmp_path / "there" / "report.html").read_bytes() == written.path.read_bytes()
    address, _ = mlflow_server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    served = registry_of(trained_project, params)
    run_id = tracking.recreate_run(served, "a run", {}, [])
    elsewhere = replace(written, version=replace(written.version, run_id=run_id))
    page = keep_report(trained_project, params, elsewhere)
    assert page.endswith(f"/runs/{run_id}/artifacts/report/{registry.name}/1/report.html")
