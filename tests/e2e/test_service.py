"""`fashion serve` as a process, with a registry: swaps, kill -9, the registry away."""

import signal
import sqlite3
import threading
import time

import httpx
import numpy as np
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from fashion.adapters.predictions import PredictionLog
from fashion.cli import app
from fashion.params import load_params
from fashion.registry.register import register
from fashion.settings import predictions_url, tracking_uri
from tests.projects import edit_params
from tests.servers import PATIENCE_SECONDS, Service, wait_until


@pytest.fixture
def run(trained_project, tmp_path, new_port):
    """Starts the service on one and the same port; whatever runs is ended."""
    port, started = new_port(), []

    def start():
        started.append(Service(trained_project, port, tmp_path / "serve.log"))
        return started[-1]

    start.address = f"http://127.0.0.1:{port}"
    yield start
    for service in started:
        service.end(signal.SIGKILL)


@pytest.fixture
def images(trained_project):
    return np.load(trained_project.dataset / "test_images.npy")


def second_version(project):
    """Version 2 is the same model with other gates; it is no champion."""
    edit_params(project, {"evaluate": {"abstention": {"confidence_at_least": 0.4}}})
    from fashion.stages.evaluate import evaluate

    params = load_params(project.params)
    evaluate(project, params)
    assert register(project, params).version == "2"
    return MlflowClient(tracking_uri(project))


@pytest.mark.advice("fashion serve", "adapters/client.py")
@pytest.mark.advice("fashion serve --port", "serving/server.py")
def test_a_simulation_without_a_service_says_which_command_starts_one(run, trained_project):
    """Port 8000, where `fashion serve` would be without --port, is no test's to take."""
    ask = ["simulate", "--images", "2", "--rate", "20", "--url", run.address]
    home = {"FASHION_HOME": str(trained_project.root)}
    before = CliRunner().invoke(app, ask, env=home)
    assert f"No service answers at {run.address}" in str(before.exception)
    assert str(before.exception).endswith("start it with: fashion serve")
    run()
    after = CliRunner().invoke(app, ask, env=home)
    assert "2 answers" in after.output, after.exception


def test_the_answers_are_logged_corrected_and_flushed_at_the_end(run, trained_project, images):
    service = run()
    found = service.ask(images[:5]).json()
    assert found["version"] == "1"
    correction = {"prediction_id": found["predictions"][0]["id"], "label": "Bag"}
    assert httpx.post(f"{service.address}/feedback", json=correction, timeout=PATIENCE_SECONDS).status_code == 200
    files = {"images": ("picture.png", (trained_project.evaluation / "sample_predictions.png").read_bytes())}
    assert httpx.post(f"{service.address}/predict", files=files, timeout=PATIENCE_SECONDS).status_code == 200
    assert service.get("/model")["tags"]["gates"] == "passed"
    assert service.get("/model")["abstention"]["confidence"] == 0.5
    assert len(service.get("/samples")) == 12
    last = service.ask(images[5:10]).json()
    service.end()
    log = PredictionLog(predictions_url(trained_project))
    window = log.read_window()
    assert len(window) == 11
    assert (window.images[:5] == images[:5]).all()
    assert window.ids[-1] == last["predictions"][-1]["id"]
    assert list(window.labels) == [8] + [-1] * 10


def test_the_alias_moves_under_load_and_no_request_fails(run, trained_project, images):
    registry = second_version(trained_project)
    service = run()
    stop, answers = threading.Event(), []

    def ask():
        with httpx.Client(timeout=PATIENCE_SECONDS) as client:
            while not stop.is_set():
                body = {"images": images[:2, ..., 0].tolist()}
                answer = client.post(f"{service.address}/predict", json=body)
                answers.append((answer.status_code, answer.json().get("version")))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in ("2", "1", "2", "1", "2"):
        registry.set_registered_model_alias("fashion-classifier", "champion", number)
        told = httpx.post(f"{service.address}/model/refresh", timeout=PATIENCE_SECONDS).json()
        assert (told["version"], told["registry"]) == (number, "up")
        before = len(answers)
        while len(answers) < before + 8:
            time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {"1", "2"}
    assert service.get("/model")["abstention"]["confidence"] == 0.4
    assert "fashion_swaps_total 5.0" in httpx.get(f"{service.address}/metrics", timeout=PATIENCE_SECONDS).text


def test_killed_under_load_it_leaves_whole_rows_and_serves_the_same_champion_without_its_registry(
    run, trained_project, images, monkeypatch
):
    service = run()
    killed = threading.Event()

    def ask():
        while not killed.is_set():
            try:
                service.ask(images[:10])
            except httpx.TransportError:
                return

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    log = PredictionLog(predictions_url(trained_project))
    wait_until(lambda: log.count() >= 200)
    service.end(signal.SIGKILL)
    killed.set()
    for thread in threads:
        thread.join()
    with sqlite3.connect(trained_project.state / "predictions.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    window = log.read_window()
    assert (window.images == np.tile(images[:10], (len(window) // 10 + 1, 1, 1, 1))[: len(window)]).all()
    assert np.allclose(window.probabilities.sum(axis=1), 1, atol=1e-4)

    again = run()
    assert again.get("/readyz")["version"] == "1"
    assert again.ask(images[:1]).status_code == 200
    again.end()
    # The database is no database any more: the last champion answers from its copy.
    (trained_project.state / "mlflow.db").write_bytes(b"destroyed" * 1000)
    alone = run()
    state = alone.get("/readyz")
    assert (state["ready"], state["version"]) == (True, "1")
    assert "mlflow.db cannot be used" in state["registry"]
    assert alone.ask(images[:1]).json()["version"] == "1"
