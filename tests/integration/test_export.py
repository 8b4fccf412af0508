import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import yaml
from ai_edge_litert.interpreter import Interpreter

import fashion.adapters
from fashion.adapters import exports, litert, onnx
from fashion.errors import SetupError
from fashion.model.networks import answer
from fashion.params import ExportGates, load_params
from fashion.stages.classifier import load_classifier
from fashion.stages.dataset import load_split, write_split
from fashion.stages.export import _write_int8, export, formats_of
from tests.candidates import make_candidate
from tests.projects import edit_params


@pytest.fixture
def shipped_project(trained_project):
    """With the network that this project ships, which answers by several views of an image."""
    edit_params(trained_project, {"export": {"gates": {"onnx_agreement_at_least": 0.9999}}})
    make_candidate(trained_project, recipe="compact", recipes={"compact": {"epochs": 2, "batch_size": 32}})
    return trained_project


def test_the_int8_model_is_calibrated_with_images_of_all_classes_also_if_they_stand_one_after_the_other(
    project, monkeypatch
):
    project.dataset.mkdir(parents=True)
    labels = np.repeat(np.arange(10, dtype=np.uint8), 800)
    write_split(
        project.dataset, "train", [(np.tile(labels[:, None, None, None], (1, 8, 8, 1)), np.arange(8000))], labels
    )
    seen = []
    monkeypatch.setattr(exports, "export_litert_int8", lambda model, path, images: seen.append(images))
    _write_int8(project, None, project.export / "model_int8.tflite")
    assert set(np.unique(seen[0])) == set(range(10))


def test_every_export_gives_the_probabilities_of_the_keras_model(shipped_project):
    images = load_split(shipped_project, "test").images
    expected = answer(load_classifier(shipped_project.model_file), images).probabilities
    served = exports.run_saved_model(shipped_project.export / "saved_model" / "1", images)
    floating = litert.predict(shipped_project.export / "model.tflite", images).probabilities
    assert served == pytest.approx(expected, abs=1e-5)
    assert floating == pytest.approx(expected, abs=1e-5)
    assert onnx.predict(shipped_project.export / "model.onnx", images) == pytest.approx(expected, abs=1e-5)
    int8 = litert.predict(shipped_project.export / "model_int8.tflite", images).probabilities
    assert np.abs(int8 - expected).mean() < 0.05


def test_the_saved_model_has_named_inputs_and_outputs(shipped_project):
    signature = tf.saved_model.load(str(shipped_project.export / "saved_model" / "1")).signatures["serving_default"]
    assert {name: spec.dtype for name, spec in signature.structured_input_signature[1].items()} == {"image": tf.uint8}
    assert set(signature.structured_outputs) == {"probabilities", "embedding"}


def test_the_int8_model_computes_nothing_in_floating_point(shipped_project):
    interpreter = Interpreter(str(shipped_project.export / "model_int8.tflite"))
    interpreter.allocate_tensors()
    assert {tensor["dtype"] for tensor in interpreter.get_tensor_details()} <= {np.int8, np.uint8, np.int32}


def test_the_report_holds_sizes_latencies_and_the_verdict(shipped_project):
    report = json.loads((shipped_project.export / "report.json").read_text())
    assert report["verdict"] == "passed"
    assert all(check["low"] == check["value"] == check["high"] for check in report["checks"])
    assert {check["name"] for check in report["checks"]} == {
        "saved_model_agreement",
        "float_agreement",
        "int8_agreement",
        "onnx_agreement",
    }
    assert report["bytes"].keys() - report["latency_milliseconds"].keys() == {"keras"}
    assert report["bytes"]["onnx"] == (shipped_project.export / "model.onnx").stat().st_size
    assert report["bytes"]["int8"] < report["bytes"]["float"]
    assert report["bytes"]["keras"] == (shipped_project.export / "model.keras").stat().st_size
    assert all(0 < value < 1000 for value in report["latency_milliseconds"].values())


def test_an_export_that_agrees_too_rarely_fails_its_gate_with_the_figure(shipped_project, monkeypatch):
    (shipped_project.export / "left_over").touch()
    write = onnx.export_onnx

    def write_another(model, path):
        """Of a model that knows the classes in the opposite order."""
        *weights, matrix, bias = model.get_weights()
        model.set_weights([*weights, matrix[:, ::-1], bias[::-1]])
        write(model, path)
        model.set_weights([*weights, matrix, bias])

    monkeypatch.setattr(onnx, "export_onnx", write_another)
    gate = export(shipped_project, load_params(shipped_project.params)).gate
    assert gate.verdict == "failed"
    (failed,) = [check for check in gate.checks if check.verdict == "failed"]
    assert failed.name == "onnx_agreement"
    assert failed.value < failed.limit == 0.9999
    report = json.loads((shipped_project.export / "report.json").read_text())
    assert report["verdict"] == "failed"
    assert {"name": "onnx_agreement", "value": failed.value}.items() <= report["checks"][-1].items()
    assert not (shipped_project.export / "left_over").exists()


def test_without_onnx_runtime_the_error_says_what_to_type_and_nothing_is_lost(shipped_project, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "fashion.adapters.onnx")
    monkeypatch.delattr(fashion.adapters, "onnx")
    before = (shipped_project.export / "report.json").read_bytes()
    with pytest.raises(SetupError, match=r"onnx_agreement_at_least.*onnxruntime.*make setup"):
        export(shipped_project, load_params(shipped_project.params))
    assert (shipped_project.export / "report.json").read_bytes() == before


def test_onnx_runtime_leaves_nothing_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    subprocess.run([sys.executable, "-c", "import fashion.adapters.onnx"], check=True, capture_output=True)
    assert not list(tmp_path.rglob("*"))


def test_a_params_yaml_of_an_earlier_release_asks_for_no_onnx(trained_project, monkeypatch):
    """And needs none of its packages."""
    gates = yaml.safe_load(trained_project.params.read_text())["export"]["gates"]
    del gates["onnx_agreement_at_least"]
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "fashion.adapters.onnx")
    monkeypatch.delattr(fashion.adapters, "onnx")
    assert formats_of(trained_project, ExportGates(**gates)).keys() == {"saved_model", "float", "int8"}
