"""Which data a clone must have before it trains beside others; the MLflow of this machine stands for their server."""

import pytest
from mlflow import MlflowClient

from fashion.adapters import tracking
from fashion.adapters.tracking.address import registry_of
from fashion.errors import DataError
from fashion.loop import clones
from fashion.loop.clones import check_data
from fashion.params import load_params
from fashion.settings import tracking_uri

NEVER_COMMITTED = f"{7:032x}.dir"


@pytest.fixture
def clone(trained_project, monkeypatch):
    """A clone whose champion learned from data that no commit pins, and its parameters."""
    params = load_params(trained_project.params)
    monkeypatch.setattr(clones, "is_shared", lambda address: address == tracking_uri(trained_project))
    registry = registry_of(trained_project, params)
    champion = tracking.version_with_alias(registry, tracking.CHAMPION)
    for tag, value in {"synthetic_data": "false", "data_version": NEVER_COMMITTED}.items():
        MlflowClient(registry.uri).set_model_version_tag(registry.name, champion.number, tag, value)
    return trained_project, params


def test_a_clone_that_has_all_files_of_the_champions_data_and_more_is_not_behind(clone):
    project, params = clone
    check_data(project, params)
    (project.batches / "later").mkdir(parents=True)
    (project.batches / "later" / "labels").write_text("more")
    check_data(project, params)


@pytest.mark.parametrize("change", [lambda file: file.unlink(), lambda file: file.write_bytes(b"other")])
def test_a_clone_that_lacks_a_file_of_the_champions_data_is_behind(clone, change):
    project, params = clone
    change(project.data / params.data.files[0].name)
    with pytest.raises(DataError, match="The data of this clone are behind: champion 1"):
        check_data(project, params)


def test_a_clone_that_cannot_find_out_which_files_those_are_is_behind(clone, caplog):
    project, params = clone
    (lineage,) = project.state.glob("mlflow/**/lineage.json")
    lineage.unlink()
    with pytest.raises(DataError, match="behind"):
        check_data(project, params)
    assert "was not checked" in caplog.text
