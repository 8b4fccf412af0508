"""Every stage in turn, with the shipped network, in this process, on data that this project was not written for."""

import json

import pytest
from typer.testing import CliRunner

from fashion.cli import app
from tests.projects import make_quick, make_small


def read(path):
    return json.loads(path.read_text())


@pytest.fixture
def shoes(project):
    """Seven classes of 32 x 24 pixels, by editing params.yaml, expectations/ and the data alone."""
    make_small(project, train=350, test=140, classes=7, size=(32, 24))
    return project


def test_another_dataset_runs_through_by_editing_parameters_and_expectations(shoes, monkeypatch):
    monkeypatch.setenv("FASHION_HOME", str(shoes.root))
    make_quick(shoes, "compact")
    for stage in ("validate", "prepare", "train", "evaluate", "export", "register"):
        result = CliRunner().invoke(app, [stage], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    assert "version 1: champion" in result.output
    assert len(read(shoes.evaluation / "metrics.json")["per_class"]) == 7
    assert read(shoes.export / "classes.json")["image_size"] == [32, 24]
