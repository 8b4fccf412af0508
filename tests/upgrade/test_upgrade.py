"""A project that earlier code made goes on working: each archive, unpacked in another folder, and today's code."""

import shutil
import tarfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

from fashion.adapters import litert
from fashion.adapters.predictions import PredictionLog, Record
from fashion.errors import ServiceError
from fashion.images.synthetic import draw
from fashion.loop.monitor import monitor, read_history
from fashion.pages.report import write_report
from fashion.params import load_params
from fashion.paths import Project
from fashion.registry.champion import find_champion
from fashion.registry.lineage import look_up_lineage
from fashion.registry.overview import list_changes, list_models
from fashion.registry.predict import predict
from fashion.registry.register import register
from fashion.serving.server import build_service
from fashion.settings import predictions_url, tracking_uri
from tests.conftest import forget_artifact_folders, use_environment
from tests.upgrade.make import CLASSES, SIZE, tiny_project

ARCHIVES = sorted(Path(__file__).parent.glob("*.tar.xz"))
FILTER = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Python 3.11 has it from 3.11.4 on."""


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda archive: archive.name.removesuffix(".tar.xz"))
def unpacked(request, tmp_path_factory):
    """What git keeps, as it is today; all else as it was."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("upgrade") / "project"
        use_environment(Project(folder), patch)
        project, _ = tiny_project(folder)
        shutil.rmtree(project.data)
        with tarfile.open(request.param) as archive:
            archive.extractall(folder, **FILTER)
    return project


@pytest.fixture
def old(unpacked, tmp_path, monkeypatch):
    """A copy of that project, and its parameters."""
    project = Project(shutil.copytree(unpacked.root, tmp_path / "project", symlinks=True))
    use_environment(project, monkeypatch)
    forget_artifact_folders()
    return project, load_params(project.params)


def read_log(project):
    log = PredictionLog(predictions_url(project))
    window = log.read_window()
    log.close()
    return window


def test_its_champion_answers_as_it_did(old, tmp_path):
    project, params = old
    logged = read_log(project)
    Image.fromarray(logged.images[0, ..., 0]).save(tmp_path / "picture.png")
    answers = predict(project, params, [tmp_path / "picture.png"])
    assert answers.version == "2"
    probabilities = [answers.predictions[0].answer.probabilities[name] for name in params.data.classes]
    np.testing.assert_allclose(probabilities, logged.probabilities[0], atol=1e-5)


def test_its_versions_and_their_history_are_shown(old):
    models = list_models(*old)
    assert [model.version for model in models.models] == ["2", "1"]
    assert models.models[0].aliases == ("champion",)
    assert models.in_order
    changes = list_changes(*old)
    assert [(change.action, change.version) for change in changes[:2]] == [("promote", "2"), ("promote", "1")]
    assert changes[-1].action == "register"


def test_the_lineage_of_its_versions_is_known(old):
    project, params = old
    for number in ("1", "2"):
        lineage = look_up_lineage(project, params, number)
        assert (lineage.version.number, lineage.origin.training["seed"]) == (number, int(number))


def test_a_version_without_a_model_card_gets_it_with_its_report_and_what_a_person_wrote_stays(old):
    project, params = old
    client, name = MlflowClient(tracking_uri(project)), params.register_.name
    client.update_model_version(name, "2", "Written by hand")
    assert not client.get_model_version(name, "1").description
    assert [write_report(project, params, number).described for number in ("1", "1", "2")] == [True, False, False]
    card = client.get_model_version(name, "1").description
    assert card.startswith("Accuracy 79.17% on 120 test images")
    assert "| Pullover | 0.875 |" in card
    assert "Tells grey images of 10 x 10 pixels of 3 classes apart" in client.get_registered_model(name).description
    assert client.get_model_version(name, "2").description == "Written by hand"


def test_its_last_champion_is_known_while_the_registry_is_away(old, keeps_by_number):
    project, params = old
    if keeps_by_number:
        as_if_never_moved(project, params)
    (project.state / "mlflow.db").write_bytes(b"no database")
    found = find_champion(project, params)
    assert (found.champion.version, found.champion.model.is_file()) == ("2", True)
    assert "mlflow.db cannot be used" in found.trouble


def test_what_was_kept_by_number_is_not_taken_for_a_version_of_another_registry(old, keeps_by_number):
    if not keeps_by_number:
        pytest.skip("this project keeps versions by their identity")
    project, params = old
    kept = as_if_never_moved(project, params)
    shutil.move(kept / "1" / "MLmodel", kept / "2" / "MLmodel")
    (project.state / "mlflow.db").write_bytes(b"no database")
    with pytest.raises(ServiceError, match=r"mlflow\.db cannot be used"):
        find_champion(project, params)


@pytest.fixture
def keeps_by_number(old):
    """Whether the project was made by code up to 0.1.0."""
    project, _ = old
    return any(path.name.isdecimal() for path in (project.state / "champion").glob("*/*"))


def as_if_never_moved(project, params):
    """Give the folder of the champions the name that 0.1.0 made of the database's path; that folder."""
    (kept,) = (project.state / "champion").iterdir()
    address = f"{tracking_uri(project)}\n{params.register_.name}"
    return kept.rename(kept.with_name(sha256(address.encode()).hexdigest()[:16]))


def test_its_service_starts_with_the_champion(old):
    service = build_service(*old)
    assert service.champions.current.version.number == "2"
    assert service.champions.current.rule is not None
    assert service.champions.trouble is None
    service.champions.current.retire()
    service.recorder.close()
    service.log.close()


def test_the_next_window_follows_the_one_that_was_judged(old):
    project, params = old
    found = find_champion(project, params)
    images, _ = draw(120, CLASSES, SIZE, seed=4)
    outputs = litert.predict(found.champion.model, images)
    rows = zip(images, outputs.probabilities, outputs.embedding, strict=True)
    last = UUID(str(read_log(project).ids[-1])).int
    log = PredictionLog(predictions_url(project))
    ids = (str(UUID(int=last + number)) for number in range(1, len(images) + 1))
    log.write([Record(next(ids), datetime.now(UTC), "2", *row, None, found.version.identity) for row in rows])
    log.close()
    watched = monitor(project, params)
    assert (watched.judged.number, watched.version) == (2, "2")
    first, second = read_history(project, params)
    assert (first.labelled, second.labelled) == (120, 0)


def test_another_version_is_registered_beside_them(old):
    project, params = old
    registration = register(project, params)
    assert (registration.version, registration.created) == ("3", True)
    assert registration.verdict == "challenger"
    assert "the same model as the champion, version 2" in registration.reason
