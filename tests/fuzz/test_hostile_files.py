"""Files that were made to do harm: none is waited for, none runs code, each is one error of ours."""

import itertools
import json
import os
import pickle
import random
import signal
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from fashion.adapters import litert
from fashion.adapters.decoding import read_pictures
from fashion.adapters.quality import load_suite
from fashion.adapters.tracking import get_version, keep_version
from fashion.adapters.tracking.address import registry_of
from fashion.errors import ArtifactError, DataError, FashionError, ParamsError, ServiceError, SuiteError
from fashion.params import load_params
from fashion.reading import read_json
from fashion.settings import tracking_uri
from fashion.stages.dataset import load_split, read_history
from fashion.stages.raw import read_raw
from tests.litert_models import write_band_model

SIZE = (28, 28)
SHAPE = (*SIZE, 1)


@pytest.fixture
def marker(tmp_path):
    """A file that hostile code would make."""
    path = tmp_path / "harm"
    yield path
    assert not path.exists()


@pytest.fixture
def no_waiting():
    def ring(number, frame):
        pytest.fail("it waits")  # No reader takes it for an error of its own: it is no Exception.

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(60)
    yield
    signal.alarm(0)


# What is no file


def make_fifo(path):
    os.mkfifo(path)


def link_to_zeros(path):
    path.symlink_to("/dev/zero")


READERS = {
    "params.yaml": (lambda path, project: load_params(path), ParamsError),
    "suite.json": (lambda path, project: load_suite(path), SuiteError),
    "report.json": (lambda path, project: read_json(path, "dvc repro validate"), ArtifactError),
    "picture.png": (lambda path, project: read_pictures(path), DataError),
    "data/train-images-idx3-ubyte.gz": (
        lambda path, project: read_raw(project, load_params(project.params).data),
        DataError,
    ),
    "artifacts/model/history.csv": (lambda path, project: read_history(project), ArtifactError),
    "artifacts/dataset/test_images.npy": (lambda path, project: load_split(project, "test"), ArtifactError),
}


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("make", [Path.mkdir, make_fifo, link_to_zeros], ids=["folder", "fifo", "device"])
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_refused_and_not_waited_for(project, tmp_path, name, make):
    read, error = READERS[name]
    path = (project.root if "/" in name else tmp_path) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)
    with pytest.raises(error):
        read(path, project)


# params.yaml and the suites


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "1e999"])
@pytest.mark.parametrize("key", ["learning_rate: 0.001", "accuracy_at_least: 0.9", "latency_milliseconds_at_most: 20"])
def test_a_number_that_is_not_finite_is_no_parameter(project, key, value):
    text = project.params.read_text()
    assert key in text
    project.params.write_text(text.replace(key, f"{key.split(':')[0]}: {value}", 1))
    with pytest.raises(ParamsError):
        load_params(project.params)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("again: &a [x]\nlaugh: [*a, *a]", "aliases are not allowed"),
        ("train: 1", "found duplicate key"),
        (f"epochs: {'9' * 2000}", "1,000 characters"),
        (f"deep: {'[' * 20_000}", "nested too deep"),
        (f"#{'x' * 70_000}", "65,536 bytes"),
    ],
)
def test_what_hides_or_grows_in_params_yaml_is_named(project, line, problem):
    project.params.write_text(f"{project.params.read_text()}\n{line}\n")
    with pytest.raises(ParamsError, match=problem):
        load_params(project.params)


def test_a_tag_of_python_in_params_yaml_runs_nothing(project, marker):
    project.params.write_text(f"train: !!python/object/apply:os.mkfifo ['{marker}']\n")
    with pytest.raises(ParamsError):
        load_params(project.params)


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("expect_column_values_to_match_regex", {"column": "hash", "regex": "(.+)+x"}),
        ("expect_column_values_to_not_match_regex_list", {"column": "hash", "regex_list": ["(.+)+x"]}),
        ("expect_column_values_to_match_json_schema", {"column": "hash", "json_schema": {"pattern": "(.+)+x"}}),
        ("expect_column_values_to_not_be_null", {"column": "hash", "row_condition": "@pd.x()"}),
    ],
)
def test_a_suite_can_neither_take_for_ever_nor_run_code(tmp_path, kind, kwargs):
    entry = {"type": kind, "kwargs": kwargs, "meta": {"on_breach": "fail", "reason": "a"}}
    (tmp_path / "suite.json").write_text(json.dumps({"name": "suite", "expectations": [entry]}))
    with pytest.raises(SuiteError, match="is not allowed"):
        load_suite(tmp_path / "suite.json")


# Keras models


class Harm:
    """Unpickled, it makes the file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkfifo, (str(self.marker),)


@pytest.fixture(scope="module")
def keras_parts(tmp_path_factory):
    """The files in a good .keras file."""
    from tests.networks import untrained

    path = tmp_path_factory.mktemp("keras") / "model.keras"
    untrained("baseline", SHAPE, 3).save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_keras(path, parts, change):
    """The model with its layer `temperature` replaced by the keys that `change` gives."""
    config = json.loads(parts["config.json"])
    for layer in config["config"]["layers"]:
        if layer["name"] == "temperature":
            layer.update(change)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, json.dumps(config) if name == "config.json" else content)
    return path


def hostile_layers(marker):
    import keras

    touch = str(marker)
    harmful = eval(f"lambda x: (open({touch!r}, 'w'), x)[1]")
    yield keras.saving.serialize_keras_object(keras.layers.Lambda(harmful, name="temperature"))
    for module, name, config in (
        ("os", "mkfifo", {"path": touch}),
        ("subprocess", "Popen", {"args": ["touch", touch]}),
        ("builtins", "exec", {"source": f"open({touch!r}, 'w')"}),
        ("keras.utils", "get_file", {"fname": touch, "origin": f"file://{__file__}"}),
        ("keras.config", "enable_unsafe_deserialization", {}),
        ("keras.layers", "TFSMLayer", {"filepath": str(marker.parent), "name": "temperature"}),
        ("keras.layers", "StringLookup", {"vocabulary": __file__, "name": "temperature"}),
    ):
        for kind in (name, "function"):
            yield {"module": module, "class_name": kind, "config": config if kind == name else name}


def test_code_in_a_keras_file_is_never_run(tmp_path, keras_parts, marker):
    from fashion.stages.classifier import load_classifier

    load_classifier(write_keras(tmp_path / "good.keras", keras_parts, {}))
    for number, layer in enumerate(hostile_layers(marker)):
        path = write_keras(tmp_path / f"bad{number}.keras", keras_parts, {"registered_name": None, **layer})
        with pytest.raises(ArtifactError):
            load_classifier(path)
        assert not marker.exists(), layer


def test_a_pickle_in_the_place_of_a_keras_file_is_never_opened(tmp_path, keras_parts, marker):
    from fashion.stages.classifier import load_classifier

    path = tmp_path / "model.keras"
    path.write_bytes(pickle.dumps(Harm(marker)))
    with pytest.raises(ArtifactError):
        load_classifier(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name in keras_parts:
            archive.writestr(name, pickle.dumps(Harm(marker)))
    with pytest.raises(ArtifactError):
        load_classifier(path)


# LiteRT models


@pytest.fixture(scope="module")
def band_model(tmp_path_factory):
    return write_band_model(tmp_path_factory.mktemp("litert") / "model.tflite", SIZE, 5).read_bytes()


def test_a_litert_file_that_crashes_the_interpreter_is_an_error(tmp_path, band_model):
    path = tmp_path / "model.tflite"
    # The place where a model's table says where its subgraphs are: nowhere. LiteRT follows it all the same.
    path.write_bytes(band_model[:16] + b"\0" + band_model[17:])
    with pytest.raises(ArtifactError, match="signal 11"):
        litert.predict(path, np.zeros((1, *SHAPE), np.uint8))


def damaged_models(model):
    yield b""
    yield b"\x1c\0\0\0TFL3" + bytes(1000)
    yield model[: len(model) // 2]
    dice = random.Random(0)
    for changes, span in itertools.product((1, 2, 8), (64, 2000)):
        damaged = bytearray(model)
        for _ in range(changes):
            damaged[dice.randrange(span) * dice.choice((1, -1))] = dice.randrange(256)
        yield bytes(damaged)


def test_a_damaged_litert_file_answers_or_is_an_error(tmp_path, band_model, record_property):
    refused = 0
    models = list(damaged_models(band_model))
    for number, content in enumerate(models):
        path = tmp_path / f"{number}.tflite"
        path.write_bytes(content)
        try:
            assert len(litert.predict(path, np.zeros((3, *SHAPE), np.uint8)).probabilities) == 3
        except FashionError:
            refused += 1
    record_property("fuzzed", f"LiteRT models: {len(models)} inputs, {refused} refused")
    assert refused >= 3


# Registered versions


def publish(project, contract, marker):
    """A champion whose folder holds every file that MLflow could be made to run code from."""
    folder = project.root / "published"
    (folder / "extra_files").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "extra_files" / "classes.json").write_text(contract)
    (folder / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: harm\n    code: code\n    python_model: python_model.pkl\n"
    )
    (folder / "code").mkdir()
    (folder / "code" / "harm.py").write_text(f"open({str(marker)!r}, 'w')\n")
    for name in ("python_model.pkl", "data/model.keras", "extra_files/model.tflite"):
        (folder / name).write_bytes(pickle.dumps(Harm(marker)))
    client = MlflowClient(tracking_uri(project))
    name = load_params(project.params).register_.name
    client.create_registered_model(name)
    client.create_model_version(name, folder.as_uri())
    client.set_registered_model_alias(name, "champion", "1")
    registry = registry_of(project, load_params(project.params))
    return registry, get_version(registry, "1"), project.state / "champion"


def test_a_hostile_version_is_fetched_and_nothing_of_it_is_run(project, marker):
    registry = publish(project, json.dumps({"classes": ["a", "b"], "image_size": SIZE}), marker)
    champion = keep_version(*registry)
    with pytest.raises(ArtifactError):
        litert.predict(champion.model, np.zeros((1, *SHAPE), np.uint8))
    # What a version says about itself is checked like any other file.
    for contract in (
        "[]",
        "{}",
        "[" * 100_000,
        "9" * 5000,
        json.dumps({"classes": "ab", "image_size": SIZE}),
        json.dumps({"classes": ["a"], "image_size": SIZE}),
        json.dumps({"classes": ["a", {}], "image_size": SIZE}),
        json.dumps({"classes": ["a", "\ud800"], "image_size": SIZE}),
        json.dumps({"classes": ["a", "b"], "image_size": [28]}),
        json.dumps({"classes": ["a", "b"], "image_size": [10**9, 10**9]}),
        json.dumps({"classes": ["a", "b"], "image_size": [-1, "x"]}),
        json.dumps({"classes": ["a", "b"], "image_size": SIZE, "pictures": {"channels": 10**9}}),
        json.dumps({"classes": ["a", "b"], "image_size": SIZE, "pictures": {"channels": 3}}),
        json.dumps({"classes": ["a", "b"], "image_size": SIZE, "pictures": {"isolate": "x", "fit": {}}}),
        json.dumps({"classes": ["a", "b"], "image_size": SIZE, "pictures": []}),
        "\xff",
    ):
        (champion.model.parent / "classes.json").write_bytes(contract.encode("latin-1"))
        with pytest.raises(ServiceError, match="cannot be loaded"):
            keep_version(*registry)
