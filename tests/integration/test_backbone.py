"""`fashion backbone`: weights that a user brings become data, and a network on them is trained and made again."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from fashion.adapters import exports, litert, onnx
from fashion.adapters.versioning.pinning import pull_for
from fashion.adapters.weights import read_weights
from fashion.cli import app
from fashion.cli.lineage import _backbone_lines
from fashion.errors import ArtifactError, ParamsError
from fashion.evaluation.reproduction import compare_weights
from fashion.experiments.trial import Job
from fashion.experiments.trial import _train as train_trial
from fashion.images.synthetic import draw
from fashion.model.backbones import BACKBONES, build_backbone, take_backbone
from fashion.model.networks import answer, rebuild
from fashion.pages.report.network import read_layers
from fashion.params import load_params
from fashion.stages.backbone import load_backbone, read_backbone
from fashion.stages.classifier import load_classifier
from fashion.stages.train import train
from fashion.storage import file_digest
from tests.advice import follow
from tests.backbones import NAME, SMALL_BACKBONE, publish
from tests.faults.commands import must
from tests.networks import untrained
from tests.projects import SOURCE, copy_project, edit_params

OTHER = "MobileNetV3Large"


def load(project):
    return load_params(project.params)


def type_in(project, *words):
    result = CliRunner().invoke(app, words, env={"FASHION_HOME": str(project.root), "COLUMNS": "300"})
    return result.exit_code, " ".join(result.output.split()) + str(result.exception or "")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return publish(tmp_path_factory.mktemp("published"))


@pytest.fixture
def small(monkeypatch):
    """A backbone of four layers in the place of one that takes a minute; what becomes of its file is the same."""
    monkeypatch.setattr("fashion.model.backbones.BACKBONES", {NAME: SMALL_BACKBONE})
    monkeypatch.setattr("fashion.stages.backbone.BACKBONES", {NAME: SMALL_BACKBONE})


@pytest.fixture
def small_file(small, tmp_path):
    return publish(tmp_path)


@pytest.mark.parametrize("words", [(), ("nowhere.h5",)], ids=str)
def test_without_a_file_it_says_which_one_from_where_and_what_to_type(project, words):
    status, said = type_in(project, "backbone", OTHER, *words)
    assert status == 1
    file, address = BACKBONES[OTHER].file, BACKBONES[OTHER].address
    assert f"download {file} from {address} (nothing here downloads it)" in said
    assert said.endswith(f"then type: fashion backbone {OTHER} {file}")
    assert "There is no file nowhere.h5" in said or not words


def test_a_published_file_is_copied_pinned_and_named_and_all_else_in_params_yaml_stays(small_project, published):
    project = small_project
    shutil.copy(SOURCE / "params.yaml", project.params)  # Of the same meaning, with its comments.
    before = project.params.read_text(encoding="utf-8")
    status, said = type_in(project, "backbone", NAME, str(published))
    assert status == 0, said
    made = load(project).train.chosen
    path = project.root / made.backbone.path
    assert (made.network, made.backbone.name, file_digest(path)) == ("pretrained", NAME, made.backbone.sha256)
    assert path.read_bytes() == published.read_bytes()
    assert made.augmentation == load(project).train.recipes["compact"].augmentation
    written = project.params.read_text(encoding="utf-8")
    kept, _, added = written.replace("recipe: pretrained #", "recipe: compact #").partition("    pretrained:\n")
    assert before == kept + added[added.index("\ntune:") :]
    assert read_backbone(NAME, path).count_params() == build_backbone(NAME).count_params()
    must(project, "dvc", "status", "data.dvc")


@pytest.mark.parametrize("damage", ["other", "cut", "words", "infinite"])
def test_a_file_that_has_other_weights_or_is_damaged_changes_nothing(small_project, published, tmp_path, damage):
    project, file = small_project, tmp_path / "given.h5"
    shutil.copy(published, file)
    if damage == "cut":
        file.write_bytes(published.read_bytes()[:50_000])
    elif damage == "words":
        file.write_text("<html>404</html>")
    elif damage == "infinite":
        make_infinite(file)
    before = project.params.read_bytes()
    status, said = type_in(project, "backbone", OTHER if damage == "other" else NAME, str(file))
    assert status == 1
    assert ("not finite numbers" if damage == "infinite" else "does not have the weights of MobileNetV3") in said
    assert "type: fashion backbone MobileNetV3" in said
    assert project.params.read_bytes() == before
    assert not project.backbones.exists()


def make_infinite(file):
    import h5py

    with h5py.File(file, "r+") as content:
        found = []
        content.visititems(lambda name, node: found.append(node) if isinstance(node, h5py.Dataset) else None)
        found[0][...] = float("inf")


def test_keras_own_format_is_taken_too_and_the_recipe_keeps_its_keys(small, small_file, small_project, tmp_path):
    project = small_project
    type_in(project, "backbone", NAME, str(small_file))
    first = load(project).train.chosen
    edit_params(project, {"train": {"recipes": {"pretrained": {"epochs": 9, "backbone": {"head_epochs": 4}}}}})
    newer = tmp_path / "mine.weights.h5"
    build_backbone(NAME).save_weights(newer)
    status, said = type_in(project, "backbone", NAME, str(newer))
    assert status == 0, said
    second = load(project).train.chosen
    assert (second.epochs, second.backbone.head_epochs) == (9, 4)
    assert second.backbone.path.endswith(".weights.h5")
    assert second.backbone.sha256 != first.backbone.sha256
    assert names(project.backbones) == sorted(Path(one.backbone.path).name for one in (first, second))
    type_in(project, "backbone", NAME, str(newer))  # No recipe named the first before, or does now.
    assert names(project.backbones) == [Path(second.backbone.path).name]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["compact", "two words"])
def test_the_name_of_another_recipe_and_one_that_is_none_are_refused(small, small_file, small_project, name):
    before = small_project.params.read_bytes()
    status, said = type_in(small_project, "backbone", NAME, str(small_file), "--recipe", name)
    assert status == 1
    assert "has the network compact, not pretrained" in said or "cannot be the name of a recipe" in said
    assert small_project.params.read_bytes() == before


def test_a_whole_model_is_not_taken_for_a_file_of_weights(small, small_file, small_project):
    whole = small_file.with_suffix(".keras")
    build_backbone(NAME).save(whole)
    status, said = type_in(small_project, "backbone", NAME, str(whole))
    assert (status, "expected a name that ends in .h5; download" in said) == (1, True)


def test_without_the_images_nothing_is_pinned_in_their_place(small, small_file, small_project):
    pin = (small_project.root / "data.dvc").read_bytes()
    for path in small_project.data.glob("*.gz"):
        path.unlink()
    status, said = type_in(small_project, "backbone", NAME, str(small_file))
    assert status == 1
    assert "is missing; get it with: fashion fetch --synthetic" in said
    assert (small_project.root / "data.dvc").read_bytes() == pin


@pytest.fixture
def built_project(small, small_file, small_project):
    assert type_in(small_project, "backbone", NAME, str(small_file))[0] == 0
    return small_project


@pytest.mark.advice("dvc pull", "stages/backbone.py")
@pytest.mark.advice("fashion backbone", "stages/backbone.py")
def test_a_missing_or_changed_file_is_an_error_with_the_commands(built_project, small_file, tmp_path):
    recipe = load(built_project).train.chosen
    path = built_project.root / recipe.backbone.path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=f"expected SHA-256 {recipe.backbone.sha256}, found ") as told:
        load_backbone(built_project, recipe)
    small_file.rename(tmp_path / SMALL_BACKBONE.file)
    command = f"fashion backbone {NAME} {SMALL_BACKBONE.file}"
    assert command in str(told.value)
    status, said = type_in(built_project, *command.split()[1:3], str(tmp_path / SMALL_BACKBONE.file))
    assert status == 0, said
    assert load_backbone(built_project, recipe) is not None
    must(built_project, "dvc", "remote", "add", "--default", "storage", str(tmp_path / "shared"))
    must(built_project, "dvc", "push", "data.dvc")
    path.unlink()
    with pytest.raises(ArtifactError, match=rf"data/backbones/.* is missing; .*{SMALL_BACKBONE.address}") as told:
        load_backbone(built_project, recipe)
    follow(built_project, told.value, "dvc pull data.dvc")
    assert load_backbone(built_project, recipe) is not None


@pytest.mark.advice("fashion backbone", "params/recipe.py")
def test_a_recipe_without_its_backbone_says_how_to_get_one(small, small_file, small_project):
    params = small_project.params.read_bytes()
    with pytest.raises(ParamsError, match="to have it written, type: fashion backbone") as told:
        edit_params(small_project, {"train": {"recipes": {"compact": {"network": "pretrained"}}}})
    small_project.params.write_bytes(params)
    follow(small_project, told.value, "fashion backbone", f"{NAME} {small_file}")


def test_what_a_reproduction_brings_holds_the_file(built_project, tmp_path):
    tree = copy_project(tmp_path / "tree")
    (tree.root / "data.dvc").write_bytes((built_project.root / "data.dvc").read_bytes())
    pull_for(tree, built_project)
    backbone = load(built_project).train.chosen.backbone
    assert file_digest(tree.root / backbone.path) == backbone.sha256


def test_the_stage_goes_on_after_a_stop_and_keeps_what_it_built_on(small, small_file, trained_project, caplog):
    caplog.set_level(logging.INFO, logger="fashion")
    assert type_in(trained_project, "backbone", NAME, str(small_file))[0] == 0
    changes = {"epochs": 2, "backbone": {"head_epochs": 2}}
    params = edit_params(trained_project, {"train": {"recipes": {"pretrained": changes}}})
    expected = trained(trained_project, params)
    kept = json.loads((trained_project.model / "training.json").read_text())["backbone"]
    backbone = params.train.chosen.backbone
    assert (kept["name"], kept["sha256"], kept["head"]["epochs"]) == (NAME, backbone.sha256, 2)
    assert "its head alone: validation accuracy" in _backbone_lines(kept)[0]
    assert sum("head: 2 epochs on the features of" in line for line in caplog.messages) == 1

    def stop(done, total):
        if done == total - 1:
            raise KeyboardInterrupt

    caplog.clear()
    with pytest.raises(KeyboardInterrupt):
        train(trained_project, params, stop)
    assert compare_weights(trained(trained_project, params), expected).identical
    assert sum("head: 2 epochs on the features of" in line for line in caplog.messages) == 1
    assert "An earlier run was stopped: resuming from epoch 2 of 2" in caplog.messages
    resumed = json.loads((trained_project.model / "training.json").read_text())
    assert resumed["backbone"]["head"]["validation_accuracy"] == kept["head"]["validation_accuracy"]
    assert resumed["seconds"] > resumed["backbone"]["head"]["seconds"] > 0
    job = Job(trained_project.root, params.train.chosen, len(params.data.classes), params.train.seed)
    assert train_trial(job, lambda progress: None).accuracy == pytest.approx(resumed["validation_accuracy"])


def trained(project, params):
    keras.utils.clear_session()  # Layers are numbered within a session, and their names are saved.
    train(project, params, lambda done, total: None)
    return read_weights(project.model_file)


def test_a_saved_network_is_loaded_without_code_of_ours_and_every_weight_is_in_its_report(published, tmp_path):
    model = untrained("pretrained", (28, 28, 1), 3)
    take_backbone(model, read_backbone(NAME, published))
    path = tmp_path / "model.keras"
    rebuild(model, 1.3).save(path)
    loaded = load_classifier(path)
    images = draw(4, 3, (28, 28), 0)[0]
    given, expected = (keras.ops.convert_to_numpy(one(images)["embedding"]) for one in (loaded, model))
    assert expected.std() > 0.01
    assert given == pytest.approx(expected, abs=1e-4)
    network = next(layer for layer in read_layers(read_weights(path)) if layer.inner)
    assert sum(layer.parameters for layer in network.inner) == model.count_params()


@pytest.mark.parametrize("shape", [(28, 28, 1), (450, 60, 3)], ids=str)
def test_what_stands_before_a_backbone_is_exported_as_it_was_built(monkeypatch, shape, tmp_path):
    other = BACKBONES["EfficientNetV2B0"]
    by_channel = replace(SMALL_BACKBONE, scale=other.scale, offset=other.offset)
    monkeypatch.setattr("fashion.model.backbones.BACKBONES", {NAME: by_channel})
    keras.utils.set_random_seed(1)
    model = rebuild(untrained("pretrained", shape, 3), 1.2)
    images = np.random.default_rng(0).integers(0, 256, (5, *shape), dtype=np.uint8)
    exports.export_saved_model(model, tmp_path / "1")
    exports.export_litert(model, tmp_path / "model.tflite")
    onnx.export_onnx(model, tmp_path / "model.onnx")
    expected = answer(model, images)
    assert np.ptp(expected.probabilities, axis=0).min() > 1e-4
    assert exports.run_saved_model(tmp_path / "1", images) == pytest.approx(expected.probabilities, abs=1e-5)
    assert onnx.predict(tmp_path / "model.onnx", images) == pytest.approx(expected.probabilities, abs=1e-5)
    assert litert.predict(tmp_path / "model.tflite", images).embedding == pytest.approx(expected.embedding, abs=1e-4)
