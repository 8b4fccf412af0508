"""What is deployed elsewhere answers as the project does: the SavedModel behind TensorFlow Serving's API, and MLflow.

The container of TensorFlow Serving itself does not run here. Its messages do, over a real connection, and they reach
the SavedModel's signature in a process that has TensorFlow alone (tests/saved_model_server.py).
"""

import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from fashion.adapters import exports
from fashion.images.idx import write_images
from fashion.model.networks import answer, rebuild
from fashion.params import load_params
from fashion.registry.predict import predict
from fashion.settings import tracking_uri
from fashion.stages.classifier import load_classifier
from fashion.stages.dataset import load_split
from tests.conftest import copy_trained, use_environment
from tests.networks import untrained
from tests.projects import SOURCE
from tests.servers import PATIENCE_SECONDS, end, reserved_port

SERVING = (SOURCE / "docs" / "serving.md").read_text(encoding="utf-8")
GREY, COLOUR = "fashion-classifier", "colour"
COLOURED = (24, 40, 3)


@pytest.fixture(scope="module")
def trained(trained_template, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield copy_trained(trained_template, tmp_path_factory.mktemp("deployed") / "project", patch)


@pytest.fixture(scope="module")
def expected(trained, tmp_path_factory):
    """By model: its version folder, images, and what Keras answers for them."""
    grey, colour = load_classifier(trained.model_file), rebuild(untrained("compact", COLOURED, 3), 1.0, 1)
    folder = tmp_path_factory.mktemp("colour") / "1"
    exports.export_saved_model(colour, folder)
    drawn = np.random.default_rng(0).integers(0, 256, (5, *COLOURED), np.uint8)
    images = load_split(trained, "test").images[:5]
    return {
        GREY: (trained.export / "saved_model" / "1", images, answer(grey, images)),
        COLOUR: (folder, drawn, answer(colour, drawn)),
    }


@pytest.fixture(scope="module")
def serving(expected):
    """The addresses of gRPC and REST."""
    with ExitStack() as stack:
        ports = [stack.enter_context(reserved_port()) for _ in range(2)]
        models = [f"{name}={folder}" for name, (folder, _, _) in expected.items()]
        command = [sys.executable, "-P", "-s", SOURCE / "tests" / "saved_model_server.py", *map(str, ports), *models]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
        )
        stack.callback(end, process)
        assert process.stdout.readline() == "ready\n"
        process.stdout.close()
        yield [f"127.0.0.1:{port}" for port in ports]


def ask_by_grpc(address, name, images):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, "serving_default"
    request.inputs["image"].CopyFrom(tf.make_tensor_proto(images))
    with grpc.insecure_channel(address) as channel:
        outputs = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60).outputs
    return {output: tf.make_ndarray(tensor) for output, tensor in outputs.items()}


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("name", [GREY, COLOUR])
def test_a_predict_request_is_answered_as_by_keras(serving, expected, name, count):
    _, images, outputs = expected[name]
    found = ask_by_grpc(serving[0], name, images[:count])
    assert found.keys() == {"probabilities", "embedding"}
    assert found["probabilities"] == pytest.approx(outputs.probabilities[:count], abs=1e-5)
    assert found["embedding"] == pytest.approx(outputs.embedding[:count], abs=1e-4)


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("name", [GREY, COLOUR])
def test_both_forms_of_rest_are_answered_as_by_keras(serving, expected, name, count):
    _, images, outputs = expected[name]
    pixels = images[:count].tolist()
    rows = [{"instances": pixels}, {"instances": [{"image": one} for one in pixels]}]
    columns = [{"inputs": pixels}, {"inputs": {"image": pixels}}]
    for body in (*rows, *columns):
        sent = body | {"signature_name": "serving_default"}
        found = requests.post(f"http://{serving[1]}/v1/models/{name}:predict", json=sent, timeout=60).json()
        by_row = [row["probabilities"] for row in found["predictions"]] if "instances" in body else None
        probabilities = np.array(by_row or found["outputs"]["probabilities"])
        assert probabilities == pytest.approx(outputs.probabilities[:count], abs=1e-5)


def test_the_clients_in_the_manual_are_answered(serving, trained, expected, monkeypatch):
    """Word for word, but for the addresses."""
    monkeypatch.chdir(trained.root)
    section = SERVING.partition("## TensorFlow Serving")[2].partition("\n## ")[0]
    clients = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(clients) == 2
    _, _, outputs = expected[GREY]
    for code in clients:
        names = {}
        exec(code.replace("127.0.0.1:8500", serving[0]).replace("127.0.0.1:8501", serving[1]), names)
        assert np.array(names["probabilities"]) == pytest.approx(outputs.probabilities[:2], abs=1e-5)


@pytest.fixture(scope="module")
def mlflow_serving(trained):
    """The address of `mlflow models serve` with the registry's champion, by the command in the manual."""
    section = SERVING.partition("## MLflow's own server")[2].partition("\n## ")[0]
    documented = re.search(r"^mlflow models serve .*$", section, re.MULTILINE)[0].split()
    with reserved_port() as port:
        command = [sys.executable, "-m", *documented[:-1], str(port)]
        environment = os.environ | {"MLFLOW_TRACKING_URI": tracking_uri(trained)}
        process = subprocess.Popen(
            command,
            cwd=trained.root,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_for_ping(f"http://127.0.0.1:{port}", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            end(process)


def wait_for_ping(address, process):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{address}/ping", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    pytest.fail(f"mlflow models serve does not answer at {address}")


def test_mlflow_serves_the_champion_from_the_registry_as_fashion_predict_answers(
    mlflow_serving, trained, tmp_path, monkeypatch
):
    use_environment(trained, monkeypatch)
    images = load_split(trained, "test").images[:4]
    (tmp_path / "images.gz").write_bytes(write_images(images))
    document = predict(trained, load_params(trained.params), [tmp_path / "images.gz"]).to_dict()
    ours = np.array([list(one["probabilities"].values()) for one in document["predictions"]])
    assert ours.shape == (4, 10)
    for key in ("instances", "inputs"):
        answered = requests.post(f"{mlflow_serving}/invocations", json={key: images.tolist()}, timeout=60)
        found = np.array(answered.json()["predictions"]["probabilities"])
        assert found == pytest.approx(ours, abs=1e-5)


def test_mlflow_refuses_images_of_another_size(mlflow_serving):
    answered = requests.post(f"{mlflow_serving}/invocations", json={"instances": [[[0, 1], [2, 3]]]}, timeout=60)
    assert answered.status_code == 400
    assert "Incompatible input types" in answered.text or "shape" in answered.text
