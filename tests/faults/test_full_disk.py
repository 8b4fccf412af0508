"""The disk is full while something is written: words instead of a traceback, nothing half there, and on it goes."""

import gzip
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from fashion.adapters import tracking
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.versioning import reproduce
from fashion.batch.answer import Wanted, answer_with
from fashion.batch.folder import LOCK
from fashion.errors import DiskError, ServiceError
from fashion.images.idx import write_images
from fashion.locks import between_trainings, one_at_a_time
from fashion.params import load_params
from fashion.serving.app import create_app
from flows.services.server import prefect_server
from tests.advice import follow
from tests.conftest import forget_artifact_folders
from tests.litert_models import band_images
from tests.projects import edit_params
from tests.servers import wait_until
from tests.services import CLASSES, IMAGES, SIZE, make_champion, make_service

KIB = 1 << 10


@pytest.fixture
def small_disk():
    """Puts a folder on a disk of its own with so many bytes free, with what is in it; the disk can be made larger."""
    mounted = []

    def mount(folder, free):
        folder.mkdir(parents=True, exist_ok=True)
        aside = folder.with_name(f"{folder.name}-aside")
        folder.rename(aside)
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=1g", "fashion-test", str(folder)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            folder.rmdir()
            aside.rename(folder)
            pytest.skip(f"a small disk needs root and tmpfs: {result.stderr.strip()}")
        mounted.append(folder)
        subprocess.run(["cp", "-a", f"{aside}/.", str(folder)], check=True)
        resize(folder, used(folder) + free)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def used(folder):
    return int(subprocess.check_output(["df", "--output=used", "--block-size=1", folder]).split()[1])


def resize(folder, size):
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


def make_room(folder):
    resize(folder, 1 << 30)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "held", [partial(one_at_a_time, stage="validate"), partial(between_trainings, command="collect")]
)
def test_a_lock_that_cannot_name_its_holder_is_said_in_words(project, small_disk, held):
    project.state.mkdir()
    for name in ("validate.lock", "training.lock"):
        (project.state / name).touch()
    (project.state / "something").write_bytes(bytes(4 * KIB))
    small_disk(project.state, 0)
    with pytest.raises(DiskError, match=r"The disk is full: \S+\.lock could not be written"), held(project):
        pytest.fail("the lock is held")
    make_room(project.state)
    with held(project):
        pass


def draw(project, params):
    from fashion.stages.fetch import Drawing, draw_data

    draw_data(project, params, Drawing(600, 200, seed=7))


def validate(project, params):
    from fashion.stages.validate import validate

    validate(project, params)


def prepare(project, params):
    from fashion.stages.prepare import prepare

    prepare(project, params)


def train(project, params):
    from fashion.stages.train import train

    train(project, params, lambda done, total: None)


def evaluate(project, params):
    from fashion.stages.evaluate import evaluate

    evaluate(project, params)


def export(project, params):
    from fashion.stages.export import export

    export(project, params)


@pytest.mark.parametrize("free", [0, 64 * KIB])
@pytest.mark.parametrize(
    ("stage", "output"),
    [
        (validate, "artifacts/validation"),
        (prepare, "artifacts/dataset"),
        (train, "artifacts/model"),
        (evaluate, "artifacts/evaluation"),
        (export, "artifacts/export"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_stage_says_that_the_disk_is_full_and_keeps_what_was_there(trained_project, small_disk, stage, output, free):
    params = edit_params(trained_project, {"train": {"recipes": {"baseline": {"epochs": 1}}}})
    folder = trained_project.root / output
    before = contents(folder)
    small_disk(trained_project.root / "artifacts", free)
    with pytest.raises(DiskError, match=f"(?s)The disk is full: .*{output}.* then type the same command again"):
        stage(trained_project, params)
    assert contents(folder) == before
    assert not list(folder.parent.glob(".*"))
    make_room(trained_project.root / "artifacts")
    stage(trained_project, params)
    assert {path.parts[0] for path in contents(folder)} == {path.parts[0] for path in before}


def test_a_page_about_a_validation_that_does_not_fit_is_not_left_out_silently(trained_project, small_disk, tmp_path):
    from fashion.adapters.quality import check
    from fashion.images.descriptors import describe_dataset
    from fashion.stages.raw import read_raw
    from fashion.stages.validation_pages import write_docs

    table = describe_dataset(read_raw(trained_project, load_params(trained_project.params).data))
    findings = check({trained_project.expectations / "images.json": table})
    write_docs(tmp_path / "whole", "", findings, fit=True)
    size = sum(len(content) for content in contents(tmp_path / "whole").values())
    small_disk(tmp_path / "docs", size - 8 * KIB)
    with pytest.raises(DiskError, match="The disk is full"):
        write_docs(tmp_path / "docs", "", findings, fit=True)


@pytest.mark.advice("df", "storage.py")
def test_fetch_says_that_the_disk_is_full_and_goes_on_when_there_is_room(trained_project, small_disk):
    params = load_params(trained_project.params)
    small_disk(trained_project.data, 8 * KIB)
    with pytest.raises(DiskError, match="The disk is full") as told:
        draw(trained_project, params)
    assert f"{trained_project.data}\n" in follow(trained_project, told.value, "df -h")
    assert not list(trained_project.data.glob(".*"))
    make_room(trained_project.data)
    draw(trained_project, params)


@pytest.mark.advice("dvc gc --workspace", "adapters/versioning/commands.py", "doctor/machine.py")
def test_a_full_cache_of_dvc_is_said_and_the_same_command_goes_on(trained_project, small_disk):
    cache = trained_project.root / ".dvc" / "cache"
    edit_params(trained_project, {"prepare": {"seed": 4}})
    reproduce(trained_project, "prepare", print)  # What it made before is an old version now.
    edit_params(trained_project, {"prepare": {"seed": 5}})
    small_disk(cache, 8 * KIB)
    with pytest.raises(DiskError, match="Stage prepare: the disk is full, DVC could not keep its outputs") as told:
        reproduce(trained_project, "prepare", print)
    follow(trained_project, told.value, "dvc gc --workspace", "--force")  # On a terminal it asks instead.
    assert reproduce(trained_project, "prepare", print) is True
    assert reproduce(trained_project, "prepare", print) is False


@pytest.mark.parametrize(("free", "versions"), [(16 * KIB, 0), (2048 * KIB, 0)], ids=["database", "artifacts"])
def test_a_full_disk_of_mlflow_makes_no_half_version(trained_project, small_disk, free, versions):
    """With 16 KiB nothing can be written at all, with 2 MiB the artifacts do not all fit."""
    from fashion.registry.register import register

    params = edit_params(trained_project, {"register": {"name": "another"}})
    registry = registry_of(trained_project, params)
    forget_artifact_folders()
    small_disk(trained_project.state, free)
    with pytest.raises(DiskError, match="(?s)The disk is full.*the same command"):
        register(trained_project, params)
    assert len(tracking.list_versions(registry)) == versions
    make_room(trained_project.state)
    assert register(trained_project, params).verdict == "champion"
    assert len(tracking.list_versions(registry)) == 1


@pytest.mark.parametrize("free", [4 * KIB, 64 * KIB, 256 * KIB])
def test_a_full_disk_of_the_prediction_log_stops_no_request_and_loses_no_prediction(tmp_path, small_disk, free):
    """With 64 KiB the tables fit, with 256 KiB some of the rows."""
    small_disk(tmp_path / "disk", free)
    service = make_service(tmp_path, url=f"sqlite:///{tmp_path}/disk/log.db")
    images = {"images": IMAGES.tolist()}
    with TestClient(create_app(service), base_url="http://127.0.0.1") as client:
        wait_until(lambda: client.post("/predict", json=images).status_code == 200 and service.recorder.trouble)
        last = client.post("/predict", json=images).json()["predictions"][-1]
        assert "full" in client.get("/readyz").json()["log"]
        correction = {"prediction_id": last["id"], "label": CLASSES[-1]}
        assert client.post("/feedback", json=correction).status_code in (200, 503)  # A label may fit where rows do not.
        make_room(tmp_path / "disk")
        wait_until(lambda: not service.recorder.waiting)
        assert client.post("/feedback", json=correction).status_code == 200
        assert service.recorder.lost == 0
        window = service.log.read_window()
        assert len(window) == service.recorder.written
        assert (window.images == np.tile(IMAGES, (len(window) // len(IMAGES), 1, 1, 1))).all()
        assert window.ids[-1] == last["id"]
        assert window.labels[-1] == len(CLASSES) - 1


@pytest.mark.advice("df", "flows/services/server.py")
@pytest.mark.advice("rm", "flows/services/server.py")
def test_a_full_disk_under_prefects_database_is_said_before_anything_is_done(project, small_disk):
    """Prefect begins to make its database, and later does not get past what it has begun."""
    small_disk(project.state, 2048 * KIB)
    with pytest.raises(ServiceError, match="Is its disk full.*half made") as caught, prefect_server(project):
        pytest.fail("it started")
    (look,) = re.findall(r"\((df -h .*)\)", str(caught.value))
    assert "100%" in follow(project, caught.value, look)
    make_room(project.state)
    follow(project, caught.value, str(caught.value).rpartition(": ")[2])
    with prefect_server(project) as temporary:
        assert temporary


@pytest.mark.parametrize("free", [4 * KIB, 40 * KIB])
def test_a_full_disk_keeps_the_answers_that_are_whole_and_the_same_command_goes_on(tmp_path, small_disk, free):
    source, output = tmp_path / "images.idx", tmp_path / "disk" / "answers"
    images = band_images(3000, SIZE, len(CLASSES))
    source.write_bytes(gzip.decompress(write_images(images)))
    found = make_champion(tmp_path / "champion", "1")
    small_disk(tmp_path / "disk", free)

    def ask():
        with ThreadPoolExecutor(1) as executor:
            return answer_with(found, "bands", Wanted(source, output, 500), executor, lambda *_: None)

    with pytest.raises(DiskError, match="The disk is full: .* then type the same command again"):
        ask()
    written = sorted(output.glob("answers-*.parquet"))
    assert all(pq.read_metadata(path).num_rows == 500 for path in written)
    assert not [path for path in output.glob(".*") if path.name != LOCK]
    make_room(tmp_path / "disk")
    assert ask().known == len(written)
    assert len(pd.read_parquet(output)) == 3000
