"""`fashion status`, and /status on the service: whole, with tools away, with keys, and what it lets nobody see."""

import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from fashion.adapters import tracking
from fashion.adapters.orchestration import read_runs
from fashion.adapters.predictions import PredictionLog, WindowHistory
from fashion.adapters.tracking.address import registry_of
from fashion.cli import app
from fashion.evaluation.alarm import Verdict
from fashion.pages.links import find_links, find_served
from fashion.pages.status import Board, write_status
from fashion.params import load_params
from fashion.paths import Project
from fashion.registry.register import register
from fashion.serving.keys import Keys, Right, add_key, keys_file
from fashion.serving.limits import KEY_HEADER
from fashion.settings import tracking_uri
from fashion.stages.raw import digests
from fashion.storage import write_json, write_text
from tests.advice import follow
from tests.logs import judged, record
from tests.projects import copy_project, edit_params
from tests.services import make_service, running

HOSTILE = "<script>alert(1)</script>"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PATIENCE = 60.0
PAGES = (
    "evaluation/calibration.png",
    "exploration/index.html",
    "monitoring/index.html",
    "reports/fashion-classifier/1.html",
    "validation/docs/index.html",
)


def look(project):
    return Board(project, load_params(project.params)).look(PATIENCE)


@pytest.fixture
def silent():
    """An address that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_new_project_has_no_version_and_the_look_makes_nothing(project):
    found = look(project)
    assert found.troubles == {}
    assert "make run" in found.needs[0].what
    assert not list(project.root.glob(".state/*.db"))


@pytest.mark.advice("fashion monitor --history", "pages/needs.py")
def test_the_state_of_a_trained_project_is_told_by_the_command(trained_project):
    project = trained_project
    log = PredictionLog(f"sqlite:///{project.state}/predictions.db")
    name = load_params(project.params).register_.name
    log.write([record(model=name, asked=True) for _ in range(3)])
    history = WindowHistory(log, name)
    history.add(replace(judged(1), model=name))
    history.add(replace(judged(2, Verdict.ALARM, by_class={"0": (20, 18)}), model=name, because=HOSTILE))
    log.close()
    environment = {"FASHION_HOME": str(project.root), "COLUMNS": "200"}
    result = CliRunner().invoke(app, ["status", "--json"], env=environment)
    assert result.exit_code == 0, result.output
    content = json.loads(result.output)
    assert content["mlflow"]["content"]["champion"]["version"] == "1"
    assert content["mlflow"]["content"]["since"]["action"] == "register"
    assert content["log"]["content"]["wanted"] == 3
    assert content["log"]["content"]["windows"][1]["live_accuracy"]["value"] == 0.9
    shown = CliRunner().invoke(app, ["status"], env=environment).output
    assert "version 1 is champion since" in shown
    assert "3 labels were requested at random" in shown
    follow(project, [need.ways for need in look(project).needs], "fashion monitor --history")


def test_whatever_is_away_says_so_and_the_rest_is_shown(trained_project, monkeypatch, silent):
    project = trained_project
    board = Board(project, load_params(project.params))
    board.look(PATIENCE)
    monkeypatch.setenv("PREFECT_API_URL", f"{silent}/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    (project.state / "predictions.db").write_bytes(b"no database" * 100)
    found = board.look(PATIENCE)
    assert set(found.troubles) == {"MLflow", "the prediction log", "Prefect"}
    assert "No MLflow server answers" in found.mlflow.trouble
    assert found.mlflow.content.champion.version == "1"  # As it was known before.
    assert found.mlflow.age > 0
    assert "cannot be used" in found.log.trouble
    assert "ReadTimeout" in found.prefect.trouble
    assert found.files.content.links


def lose_files(project, number):
    """Delete what MLflow has of a version; where it was."""
    registry = registry_of(project, load_params(project.params))
    folder = Path(tracking.find_folder(registry, tracking.get_version(registry, number)))
    shutil.rmtree(folder)
    return folder


def test_files_of_the_champion_that_are_gone_are_named_with_a_way_out_and_the_rest_is_shown(trained_project):
    project, params = trained_project, load_params(trained_project.params)
    assert look(project).mlflow.content.loss is None
    folder = lose_files(project, "1")
    found = look(project)
    assert found.troubles == {}
    (need,) = (need for need in found.needs if "gone" in need.what)
    assert f"Files of version 1, the champion, are gone from {folder}: extra_files/classes.json" in need.what
    assert str(folder) in need.ways[0]
    shown = CliRunner().invoke(app, ["status"], env={"FASHION_HOME": str(project.root), "COLUMNS": "500"})
    assert shown.exit_code == 0, shown.output
    assert need.what in shown.output
    assert "version 1 is champion since" in shown.output
    page = write_status(found, service=None)
    assert f"are gone from {folder}" in page
    assert "<h2>Last runs</h2>" in page
    assert "delete version 1 in MLflow" in need.ways[1]
    MlflowClient(tracking_uri(project)).delete_model_version(params.register_.name, "1")
    assert "make run DATA=synthetic" in need.ways[1]
    assert register(project, params).verdict == "champion"  # The last step of that command.
    assert look(project).needs == ()


def test_without_a_server_on_this_machine_prefect_is_not_in_trouble():
    assert read_runs("http://127.0.0.1:1/api", 5) is None
    assert read_runs("", 5) is None


def test_the_last_runs_are_those_of_prefect(at_server, project):
    from prefect import flow

    at_server(project)

    @flow(name=f"status {uuid4().hex[:6]}")
    def failing():
        raise ValueError("no disk")

    with pytest.raises(ValueError, match="no disk"):
        failing()
    found = look(project)
    assert found.troubles == {}
    assert (found.prefect.content[0].flow, found.prefect.content[0].failed) == (failing.name, True)
    assert any(f"The last run of {failing.name} failed" in need.what for need in found.needs)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A project with some pages, and params.yaml beside them."""
    project = copy_project(tmp_path_factory.mktemp("home") / "project")
    for path in (*PAGES, "monitoring/1/index.html", "monitoring/1/evidently.html"):
        (project.root / "artifacts" / path).parent.mkdir(parents=True, exist_ok=True)
        (project.root / "artifacts" / path).write_text(f"<p>{path}</p>", encoding="utf-8")
    files = {file.name: file.sha256 for file in load_params(project.params).data.files}
    write_json(project.exploration / "exploration.json", {"made_from": {"files": files}})
    (project.monitoring / "2").mkdir()
    (project.monitoring / "2" / "index.html").symlink_to(project.root / "artifacts/exploration/index.html")
    return project


def serve(folder, home, **options):
    service = make_service(folder, **options)
    board = Board(home, load_params(home.params), service.log)
    return replace(service, board=board)


def test_the_page_has_no_scripts_loads_nothing_and_escapes_what_others_wrote(tmp_path, home):
    service = serve(tmp_path, home)
    name = load_params(home.params).register_.name
    WindowHistory(service.log, name).add(replace(judged(1, Verdict.ALARM), model=name, because=HOSTILE))
    with running(service) as address:
        answer = httpx.get(f"{address}/status", timeout=PATIENCE)
        as_json = httpx.get(f"{address}/status?format=json", timeout=PATIENCE).json()
        wrong = httpx.get(f"{address}/status?format=xml", timeout=PATIENCE)
        page = httpx.get(f"{address}/status/windows/1/index.html", timeout=PATIENCE)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert HOSTILE not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "http://" not in answer.text.replace(address, "")
    assert "https://" not in answer.text
    assert 'href="/status/windows/1/index.html"' in answer.text
    assert as_json["log"]["content"]["windows"][0]["verdict"] == "alarm"
    assert wrong.status_code == 422
    assert page.text == "<p>monitoring/1/index.html</p>"
    assert page.headers["Content-Security-Policy"] == answer.headers["Content-Security-Policy"]


def test_each_page_that_is_listed_is_shown_at_its_address(home):
    write_text(home.reports / "another" / "1.html", "<p>of another dataset</p>")
    links = find_links(home, load_params(home.params))
    assert {link.path for link in links} == {f"artifacts/{path}" for path in PAGES}
    for link in links:
        _, status, name, path = link.address.split("/", 3)
        assert (status, find_served(home, name, path)) == ("status", home.root / link.path)


def test_the_page_about_the_data_is_listed_for_the_dataset_that_params_yaml_names_alone(small_project):
    def listed():
        return "The data explored" in {link.title for link in find_links(project, load_params(project.params))}

    project = small_project
    write_text(project.exploration / "index.html", "<p>the data</p>")
    assert not listed()  # Nothing says of which.
    drawn = digests(project, load_params(project.params).data)
    write_json(project.exploration / "exploration.json", {"made_from": {"files": drawn}})
    assert listed()
    (project.data / "SYNTHETIC").unlink()  # As `fashion fetch` does when it brings the real ones.
    assert not listed()
    keys = ("train_images", "train_labels", "test_images", "test_labels")
    edit_params(project, {"data": {key: {"sha256": sha256} for key, sha256 in zip(keys, drawn.values(), strict=True)}})
    assert listed()
    edit_params(project, {"data": {"test_labels": {"sha256": "0" * 64}}})
    assert not listed()


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("windows", "../../params.yaml"),
        ("windows", "../exploration/index.html"),
        ("windows", "/etc/hostname.html"),
        ("windows", "2/index.html"),
        ("windows", "1/evidently.html"),
        ("windows", "\0.html"),
        ("windows", f"{'x' * 5000}.html"),
        ("evaluation", "metrics.json"),
        ("dataset", "dataset.json"),
        ("reports", ""),
    ],
)
def test_nothing_else_is_shown(home, name, path):
    assert find_served(home, "windows", "1/index.html")
    assert find_served(home, name, path) is None


def test_only_a_key_that_may_operate_sees_it_and_a_browser_is_asked_for_one(tmp_path, home):
    asks, operates = (
        add_key(Project(tmp_path), "asks", [Right.PREDICT]),
        add_key(Project(tmp_path), "ops", [Right.OPERATE]),
    )
    service = serve(tmp_path / "service", home, keys=Keys(keys_file(Project(tmp_path))))
    with running(service) as address:
        for path in ("/status", "/status/windows/1/index.html"):
            for key, status in ((None, 401), (asks, 403), (operates, 200)):
                headers = {KEY_HEADER: key} if key else {}
                assert httpx.get(address + path, headers=headers, timeout=PATIENCE).status_code == status
            prompt = httpx.get(address + path, headers=BROWSER, timeout=PATIENCE)
            assert prompt.status_code == 401
            assert "API key" in prompt.text
            assert "champion" not in prompt.text
