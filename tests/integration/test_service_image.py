"""The service's image: built from the Dockerfile, started as a container, asked, stopped; what the worker's refuses."""

import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing

import httpx
import numpy as np
import pytest

from fashion.adapters import litert
from fashion.params import load_params
from fashion.registry.champion import find_champion
from fashion.stages.dataset import load_split
from tests.containers import images, instructions, started
from tests.servers import PATIENCE_SECONDS, wait_until

KEY = "a-key-of-this-test"


@pytest.fixture(scope="module")
def image():
    with images() as store:
        yield store.build("service")


@pytest.fixture
def volume(tmp_path, image):
    """An empty folder of the image's user."""
    folder = tmp_path / "volume"
    folder.mkdir()
    give(folder, image)
    return folder


def give(folder, image):
    for path in (folder, *folder.rglob("*")):
        os.chown(path, image.user, image.user)


def run(command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_a_champion_the_container_ends_with_the_next_step_and_the_check_says_that_nobody_answers(
    image, volume, new_port
):
    port = str(new_port())
    ended = run(image.enter(volume, image.command, FASHION_SERVE_PORT=port, FASHION_SERVE_KEY=KEY))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: fashion-classifier has no champion in sqlite:////fashion/.state/mlflow.db")
    assert "Traceback" not in ended.stderr
    checked = run(image.enter(volume, image.check, FASHION_SERVE_PORT=port))
    assert checked.returncode == 1
    assert "Connection refused" in checked.stderr


def test_the_service_answers_in_its_container_and_ends_when_it_is_asked_to(
    image, volume, trained_project, tmp_path, new_port
):
    samples = load_split(trained_project, "test").images[:20]
    champion = find_champion(trained_project, load_params(trained_project.params)).champion
    expected = litert.predict(champion.model, samples).probabilities
    shutil.copytree(trained_project.state, volume, dirs_exist_ok=True)
    give(volume, image)
    address, log = f"http://127.0.0.1:{(port := new_port())}", tmp_path / "log"
    with started(image, volume, log, FASHION_SERVE_PORT=str(port), FASHION_SERVE_KEY=KEY) as container:
        wait_until(lambda: container.process.poll() is not None or container.is_well())
        assert container.process.poll() is None, log.read_text()
        content = {"images": samples[..., 0].tolist()}
        assert httpx.post(f"{address}/predict", json=content, timeout=PATIENCE_SECONDS).status_code == 401
        with httpx.Client(base_url=address, headers={"X-API-Key": KEY}, timeout=PATIENCE_SECONDS) as client:
            predictions = client.post("/predict", json=content).raise_for_status().json()["predictions"]
            status = client.get("/status", headers={"accept": "text/html"})
        [first] = container.processes()
        first.send_signal(signal.SIGTERM)
        assert container.process.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM
    found = [[one["probabilities"][name] for name in champion.classes] for one in predictions]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert status.status_code == 200
    said = log.read_text()
    assert "version 1 answers at http://0.0.0.0:" in said
    assert not [word for word in ("Traceback", "Permission denied", "Read-only", KEY) if word in said]
    with closing(sqlite3.connect(volume / "predictions.db")) as database:
        assert database.execute("SELECT count(*) FROM predictions").fetchone() == (20,)
    assert {path.stat().st_uid for path in volume.rglob("*")} == {image.user}


def test_the_image_has_what_serving_needs_and_nothing_that_installs(image):
    assert {path.name for path in (image.root / "fashion").iterdir()} == {
        ".env",
        ".state",
        "defaults.env",
        "dvc.yaml",
        "params.yaml",
    }
    assert {path.name for path in (image.root / "opt").iterdir()} == {"fashion"}
    [packages] = (image.root / "opt" / "fashion").glob("lib/python*/site-packages")
    assert not [name for name in ("pip", "setuptools", "uv", "tensorflow", "prefect") if (packages / name).exists()]


def test_the_worker_refuses_a_clone_with_another_list_of_packages(tmp_path):
    *words, name = instructions("worker")["ENTRYPOINT"]
    (tmp_path / "requirements.lock").write_text("one==1\n")
    of_the_image = tmp_path / "of-the-image.lock"
    words = [word.replace("/opt/fashion/requirements.lock", str(of_the_image)) for word in words]
    for packages, expected in (("one==2\n", 1), ("one==1\n", 0)):
        of_the_image.write_text(packages)
        entered = subprocess.run(
            [*words, name, "echo", "$one"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert entered.returncode == expected
    assert entered.stdout == "$one\n"
