"""`fashion start-from`: a registered version becomes the start of the next trainings, kept with their data."""

import json
import shutil

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from fashion.adapters.tracking.address import registry_of
from fashion.adapters.tracking.versions import get_version
from fashion.adapters.versioning.pinning import pin, pull_for
from fashion.adapters.versioning.records import read_pin
from fashion.adapters.weights import read_weights
from fashion.cli import app
from fashion.cli.lineage import _start_lines
from fashion.errors import ArtifactError, DataError, LineageError, ParamsError, TrainingError
from fashion.evaluation.reproduction import compare_weights
from fashion.params import load_params
from fashion.registry.start_from import start_from, start_from_nothing
from fashion.stages.classifier import load_classifier
from fashion.stages.start import load_start
from fashion.stages.train import train
from fashion.storage import file_digest
from tests.advice import follow
from tests.faults.commands import must
from tests.projects import commit, copy_project, edit_params

DOWN, UP = "start-from --none", "start-from 1 --model fashion-classifier"


def load(project):
    return load_params(project.params)


def type_in(project, *words):
    result = CliRunner().invoke(app, words, env={"FASHION_HOME": str(project.root), "COLUMNS": "300"})
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture
def started_project(trained_project):
    start_from(trained_project, load(trained_project), "champion")
    return trained_project


def test_the_command_names_what_is_taken_and_its_undoing_leaves_every_byte_as_it_was(trained_project):
    params, pin = trained_project.params.read_bytes(), (trained_project.root / "data.dvc").read_bytes()
    status, said = type_in(trained_project, "start-from", "1")
    assert status == 0, said
    assert said.startswith("Trainings start from fashion-classifier 1 now. taken: convolution of ")
    start = load(trained_project).train.start_from
    assert start.version == "fashion-classifier 1"
    assert file_digest(trained_project.root / start.path) == start.sha256
    kept, trained = (read_weights(path) for path in (trained_project.root / start.path, trained_project.model_file))
    assert compare_weights(kept, trained).identical
    written = trained_project.params.read_text(encoding="utf-8").splitlines(keepends=True)
    assert "".join(line for line in written if "start_from: {" not in line).encode() == params
    assert (trained_project.root / "data.dvc").read_bytes() != pin
    status, said = type_in(trained_project, "start-from", "--none")
    assert (status, said.split(":")[0]) == (0, "Trainings start from nothing again")
    assert (trained_project.params.read_bytes(), (trained_project.root / "data.dvc").read_bytes()) == (params, pin)
    assert not trained_project.start.exists()
    assert "nothing was changed" in type_in(trained_project, "start-from", "--none")[1]


def test_the_stage_starts_with_the_weights_and_keeps_which_they_were(started_project):
    recipe = load(started_project).train.recipe
    changes = {"epochs": 1, "learning_rate": 1e-9}
    params = edit_params(started_project, {"train": {"recipes": {recipe: changes}}})
    before = load_classifier(started_project.model_file).get_layer("network").get_weights()
    train(started_project, params, lambda done, total: None)
    after = load_classifier(started_project.model_file).get_layer("network").get_weights()
    assert all(np.allclose(*pair, atol=1e-5) for pair in zip(after, before, strict=True))
    kept = json.loads((started_project.model / "training.json").read_text())["start_from"]
    assert (kept["version"], kept["new"]) == ("fashion-classifier 1", [])
    assert kept["sha256"] == params.train.start_from.sha256
    assert "; taken: convolution of " in _start_lines(kept)[0]


@pytest.mark.advice("dvc pull", "stages/start.py")
def test_a_missing_or_changed_file_is_an_error_with_the_command(started_project, tmp_path):
    start = load(started_project).train.start_from
    path = started_project.root / start.path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=rf"expected SHA-256 {start.sha256}, found .*{UP}\b.*{DOWN}"):
        load_start(started_project, start)
    path.unlink()
    with pytest.raises(ArtifactError, match=rf"data/start/.* is missing; .*{UP}\b.*{DOWN}") as told:
        train(started_project, load(started_project), lambda done, total: None)
    must(started_project, "dvc", "remote", "add", "--default", "storage", str(tmp_path / "shared"))
    must(started_project, "dvc", "push", "data.dvc")
    follow(started_project, told.value, "dvc pull data.dvc")
    assert load_start(started_project, start) is not None


@pytest.mark.advice("fashion start-from --model", "stages/start.py")
@pytest.mark.advice("fashion start-from --none", "stages/start.py")
def test_a_missing_file_comes_back_from_the_registry_or_is_done_without(started_project):
    start = load(started_project).train.start_from
    (started_project.root / start.path).unlink()
    with pytest.raises(ArtifactError) as told:
        load_start(started_project, start)
    follow(started_project, told.value, f"fashion {UP}")
    assert load_start(started_project, start) is not None
    follow(started_project, told.value, f"fashion {DOWN}")
    assert load(started_project).train.start_from is None


@pytest.mark.advice("dvc pull", "adapters/versioning/pinning.py")
def test_in_a_clone_without_its_data_nothing_is_pinned_in_their_place(trained_project, tmp_path):
    batch = trained_project.batches / "one"
    batch.mkdir(parents=True)
    (batch / "note").write_text("collected")
    pin(trained_project)
    pinned = (trained_project.root / "data.dvc").read_bytes()
    must(trained_project, "dvc", "remote", "add", "--default", "here", str(tmp_path / "remote"))
    must(trained_project, "dvc", "push", "data.dvc")
    shutil.rmtree(trained_project.batches)
    with pytest.raises(
        DataError, match=r"data.dvc pins \d files, 1 of them missing from .* would no longer know those"
    ) as told:
        start_from(trained_project, load(trained_project), "champion")
    assert (trained_project.root / "data.dvc").read_bytes() == pinned
    assert not trained_project.start.exists()
    follow(trained_project, told.value, "dvc pull data.dvc")
    assert (batch / "note").read_text() == "collected"
    start_from(trained_project, load(trained_project), "champion")
    assert (trained_project.root / "data.dvc").read_bytes() != pinned
    shutil.rmtree(trained_project.batches)
    (trained_project.data / "note").write_text("As many files as are pinned, but others.")
    files = (trained_project.params, trained_project.root / "data.dvc")
    before = [path.read_bytes() for path in files]
    with pytest.raises(DataError, match="would no longer know those"):
        start_from_nothing(trained_project, load(trained_project))
    assert [path.read_bytes() for path in files] == before
    (trained_project.data / "note").unlink()
    listed = next((trained_project.root / ".dvc" / "cache").rglob(f"{read_pin(trained_project).md5[2:]}"))
    content = listed.read_bytes()
    listed.unlink()  # DVC protects it against writing.
    listed.write_bytes(content[:-1])
    with pytest.raises(DataError, match="1 of them missing"):  # DVC's list is damaged, the number is known.
        start_from_nothing(trained_project, load(trained_project))
    assert [path.read_bytes() for path in files] == before


@pytest.mark.advice("dvc repro", "cli/starting.py")
def test_a_version_that_started_from_another_says_so_and_is_made_again_bit_by_bit(trained_project):
    _, said = type_in(trained_project, "start-from", "champion")
    follow(trained_project, said, "dvc repro")
    commit(trained_project.root, "start from the champion")
    type_in(trained_project, "register")
    status, lineage = type_in(trained_project, "lineage", "2")
    assert status == 0, lineage
    assert "started from fashion-classifier 1" in lineage.lower()
    registry = registry_of(trained_project, load(trained_project))
    assert get_version(registry, "2").tags["started_from"] == "fashion-classifier 1"
    trained_project.start.rename(trained_project.root / "elsewhere")  # What is needed comes from DVC's cache.
    status, made = type_in(trained_project, "reproduce", "2")
    assert status == 0, made
    assert "identical" in made


@pytest.mark.advice("fashion start-from --none", "model/transfer.py")
def test_another_choice_replaces_the_file_and_what_cannot_be_chosen_changes_nothing(started_project):
    files = (started_project.params, started_project.root / "data.dvc")
    before = [path.read_bytes() for path in files]
    with pytest.raises(LineageError, match="has no version 7"):
        start_from(started_project, load(started_project), "7")
    narrow = edit_params(started_project, {"train": {"recipe": "narrow", "recipes": {"narrow": NARROW}}})
    edited = started_project.params.read_bytes()
    with pytest.raises(TrainingError, match=r"cannot start from version 1 of fashion-classifier: no layer ") as told:
        start_from(started_project, narrow, "1")
    assert started_project.params.read_bytes() == edited
    assert files[1].read_bytes() == before[1]
    assert len(list(started_project.start.iterdir())) == 1
    assert narrow.train.start_from.version == "fashion-classifier 1"
    follow(started_project, told.value, "fashion start-from --none")
    assert load(started_project).train.start_from is None


NARROW = {
    "network": "compact",
    "width": 0.3,
    "epochs": 1,
    "batch_size": 32,
    "optimizer": "adam",
    "learning_rate": 0.001,
}


def test_params_that_cannot_be_edited_are_left_alone_and_the_line_to_write_is_shown(trained_project):
    content = yaml.safe_load(trained_project.params.read_text(encoding="utf-8"))
    on_one_line = yaml.safe_dump(content, default_flow_style=True, width=1 << 20, sort_keys=False)
    trained_project.params.write_text(on_one_line, encoding="utf-8")
    with pytest.raises(ParamsError, match=r"write there yourself: start_from: \{version: fashion-classifier 1, path: "):
        start_from(trained_project, load(trained_project), "1")
    assert trained_project.params.read_text(encoding="utf-8") == on_one_line
    assert not trained_project.start.exists()


def test_what_a_reproduction_brings_holds_the_file(started_project, tmp_path):
    tree = copy_project(tmp_path / "tree")
    (tree.root / "data.dvc").write_bytes((started_project.root / "data.dvc").read_bytes())
    pull_for(tree, started_project)
    start = load(started_project).train.start_from
    assert file_digest(tree.root / start.path) == start.sha256


@pytest.mark.parametrize("words", [(), ("1", "--none")], ids=str)
def test_neither_or_both_is_refused(project, words):
    assert type_in(project, "start-from", *words)[0] == 2
