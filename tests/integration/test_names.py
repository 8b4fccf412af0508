"""Names of classes are text: in tables, pictures, pages, CSV and metrics they stand as they are."""

import json
import shutil
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from fashion.adapters import plots
from fashion.adapters.reports import HTML, Described, write_report
from fashion.cli import app
from fashion.serving.metrics import Metrics
from fashion.stages.evaluate import evaluate
from tests.integration.test_predict import SIZE, publish, save_bands
from tests.litert_models import write_band_model
from tests.projects import edit_params

NAMES = ("Sandal [long]", "Coat [/b]", "a|b :bag: \\", "<i>&lt;</script>", '"q", $\\frac{$ x')
FOREIGN = ("\u732b", "\u72ac", "\U0001f34e 1", "Vogel \u2026", "\u05e9")


@pytest.fixture
def project(request, project, registry_template, tmp_path):
    """With a champion of these classes, or others."""
    names = getattr(request, "param", NAMES)
    shutil.copytree(registry_template, project.state)
    publish(project, write_band_model(tmp_path / "model.tflite", SIZE, len(names)), names)
    return project


def test_predict_prints_and_draws_them(project, tmp_path):
    files = [str(path) for path in save_bands(tmp_path)]
    environment = {"FASHION_HOME": str(project.root), "COLUMNS": "200"}
    result = CliRunner().invoke(app, ["predict", *files, "--plot", str(tmp_path / "answer.png")], env=environment)
    assert result.exit_code == 0, result.output
    assert all(name in result.output for name in NAMES), result.output
    with Image.open(tmp_path / "answer.png") as picture:
        assert picture.convert("L").getextrema() != (255, 255)
    result = CliRunner().invoke(app, ["predict", *files, "--json"], env=environment)
    assert {one["class"] for one in json.loads(result.stdout)["predictions"]} == set(NAMES)


def test_the_pictures_take_no_pair_of_dollars_for_a_formula(tmp_path):
    images = np.zeros((len(NAMES), *SIZE, 1), np.uint8)
    plots.contact_sheet(images, NAMES, tmp_path / "sheet.png", NAMES[-1])
    plots.confusion_matrix(np.eye(len(NAMES), dtype=int), NAMES, tmp_path / "confusion.png")
    assert all((tmp_path / name).stat().st_size for name in ("sheet.png", "confusion.png"))


@pytest.mark.parametrize("project", [FOREIGN], indirect=True)
def test_a_class_whose_letters_the_font_lacks_is_drawn_as_its_number(project, tmp_path):
    assert plots.legible(FOREIGN) == ["class 0", "class 1", "class 2", *FOREIGN[3:]]
    paths = [path.rename(path.with_stem(f"{path.stem} \u732b")) for path in save_bands(tmp_path)]
    command = ["predict", *map(str, paths), "--plot", str(tmp_path / "answer.png")]
    result = CliRunner().invoke(app, command, env={"FASHION_HOME": str(project.root), "COLUMNS": "200"})
    assert (result.exit_code, result.stderr) == (0, "")
    assert FOREIGN[0] in result.output


def test_prometheus_reads_them_back():
    metrics = Metrics()
    for name in NAMES:
        metrics.predictions.labels("1", name).inc()
    families = text_string_to_metric_families(metrics.text().decode())
    read = {sample.labels.get("predicted") for family in families for sample in family.samples}
    assert set(NAMES) <= read


def test_evidentlys_page_is_not_ended_by_one(tmp_path):
    random = np.random.default_rng(0)
    numbers = pd.DataFrame({"mean": random.random(50), "confidence": random.random(50)})
    described = Described(numbers, np.array(NAMES)[np.arange(50) % 5], random.random((50, 4), np.float32))
    plain = Described(numbers, np.full(50, "Coat"), described.embeddings)
    ends = []
    for name, one in (("hostile", described), ("plain", plain)):
        (tmp_path / name).mkdir()
        write_report(tmp_path / name, one, one, datetime.now(UTC), None)
        ends.append((tmp_path / name / HTML).read_text(encoding="utf-8").count("</script>"))
    assert ends[0] == ends[1]


def test_the_stage_evaluate_writes_them(trained_project):
    classes = [*NAMES, *FOREIGN]
    evaluation = evaluate(trained_project, edit_params(trained_project, {"data": {"classes": classes}}))
    assert {f"recall of {name}" for name in classes} <= {check.name for check in evaluation.gate.checks}
    confusion = pd.read_csv(trained_project.evaluation / "confusion.csv")
    assert set(confusion["actual"]) == set(classes)
