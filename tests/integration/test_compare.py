"""`fashion compare`: versions and trainings side by side, and image by image where the images are the same."""

import re
from dataclasses import replace

import numpy as np
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from fashion.adapters.tracking.address import registry_of
from fashion.cli import app
from fashion.errors import LineageError
from fashion.pages import compare as comparing
from fashion.pages.compare import compare
from fashion.pages.report.kept import Predictions
from fashion.params import load_params
from fashion.registry.register import register
from tests.projects import edit_params


@pytest.fixture
def params(trained_project, monkeypatch):
    """Of a project whose second version is the same model, registered with another gate."""
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    params = edit_params(trained_project, {"evaluate": {"gates": {"accuracy_at_least": 0.1}}})
    (trained_project.evaluation / "note.txt").write_text("other artifacts, so another version")
    registered = register(trained_project, params)
    assert registered.version == "2"
    return params


def test_versions_stand_side_by_side_on_a_page_of_its_own(trained_project, params):
    result = CliRunner().invoke(app, ["compare", "1", "2"])
    assert result.exit_code == 0, result.output
    assert "version 2 against version 1, on the same n = 200 images: +0.00 points" in result.output
    found = compare(trained_project, params, ["1", "2"])
    assert found.differing["evaluate.gates.accuracy_at_least"] == ["0.0", "0.1"]
    assert "train.seed" not in found.differing
    assert "Accuracy" in found.figures
    page = found.path.read_text()
    assert found.path == trained_project.comparisons / "1-2.html"
    assert "evaluate.gates.accuracy_at_least" in page
    assert "Validation loss and accuracy by epoch, a line for each of version 1, version 2" in page
    assert not re.search(r"(src|href)=.https?://", page)


def test_a_run_of_mlflow_stands_beside_a_version_with_its_curves_and_what_it_was_made_with(trained_project, params):
    client = MlflowClient(registry_of(trained_project, params).uri)
    run = client.search_runs([client.get_experiment_by_name("fashion").experiment_id], "params.recipe = 'baseline'")[0]
    found = compare(trained_project, params, ["1", run.info.run_id])
    assert found.paired == ()
    assert not {"recipe", "seed", "learning_rate", "augmentation.shift"} & found.differing.keys()
    assert list(found.sides[1].curves["epoch"]) == list(found.sides[0].curves["epoch"])
    assert "measured on other images, or on" in found.path.read_text()


def change_answers(monkeypatch, share):
    """Let every second version that is read have another answer for a share of the images."""
    read = comparing._version

    def other(kept):
        side = read(kept)
        if side.name == "version 1":
            return side
        ours = side.predictions
        changed = np.where(np.arange(len(ours.labels)) < share * len(ours.labels), ours.labels, (ours.labels + 1) % 10)
        return replace(side, predictions=Predictions(ours.labels, changed, ours.confidences, ours.probabilities))

    monkeypatch.setattr(comparing, "_version", other)


def test_a_difference_is_told_with_its_interval_and_the_classes_that_changed(trained_project, params, monkeypatch):
    change_answers(monkeypatch, 0.5)
    paired = compare(trained_project, params, ["1", "2"]).paired[0]
    assert paired.accuracy.candidate == 0.5
    assert paired.accuracy.high < 0
    assert paired.mcnemar_p < 0.001
    assert all(one.high < 0 for one in paired.classes.values())
    assert paired.classes


@pytest.mark.parametrize(
    ("which", "reason"),
    [
        (["1"], "1 to compare: expected 2 to 8"),
        (["1", "1"], "1 is named twice"),
        ([str(n) for n in range(9)], "expected 2 to 8"),
        (["1", "7"], "7"),
        (["1", "0" * 32], "MLflow has no run 0000"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(trained_project, which, reason):
    with pytest.raises(LineageError, match=reason):
        compare(trained_project, load_params(trained_project.params), which)
