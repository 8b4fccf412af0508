"""Keys by name: who may ask the service for what, while it runs, and by the commands that make them."""

import json
import logging

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient
from typer.testing import CliRunner

from fashion.adapters.predictions.tables import labels
from fashion.cli import app
from fashion.errors import ArtifactError, ParamsError, ServiceError
from fashion.params import load_params
from fashion.paths import Project
from fashion.serving.app import create_app
from fashion.serving.keys import Keys, Right, add_key, keys_file, read_keys, remove_key
from fashion.serving.limits import NEEDS, OPEN
from fashion.serving.server import serve
from tests.advice import follow
from tests.services import IMAGES, make_service

HERE = "http://127.0.0.1"
ANY_KEY = {"/model"}
METHODS = {"/predict": "POST", "/feedback": "POST", "/model/refresh": "POST"}
IMAGE = {"images": IMAGES[:1].tolist()}


@pytest.fixture
def home(tmp_path):
    return Project(tmp_path)


def client_of(home, default=None, folder="service"):
    service = make_service(home.root / folder, keys=Keys(keys_file(home), default))
    return TestClient(create_app(service), base_url=HERE)


def ask(client, key, path="/model"):
    content = IMAGE if path == "/predict" else {}
    return client.request(METHODS.get(path, "GET"), path, json=content, headers={"X-API-Key": key})


def test_a_key_is_for_what_it_may_and_for_nothing_else(home):
    keys = {right: add_key(home, right.value, [right]) for right in Right}
    with client_of(home) as client:
        for right, key in keys.items():
            for path, needed in NEEDS.items():
                answer = ask(client, key, path)
                assert (answer.status_code == 403) == (needed is not right), (right, path)
                if needed is not right:
                    assert f"lacks the right '{needed}'" in answer.json()["error"]
            assert ask(client, key).status_code == 200
        for path in (*NEEDS, "/model", "/no-such-path"):
            assert ask(client, "wrong", path).status_code == 401, path


def test_every_path_asks_for_a_right_unless_it_is_open_or_any_key_will_do(home):
    with client_of(home, default="secret") as client:
        described = client.get("/openapi.json").json()["paths"]
    assert set(described) - set(OPEN) == set(NEEDS) | ANY_KEY
    for path, right in NEEDS.items():
        for operation in described[path].values():
            assert f"must have the right `{right}`" in operation["description"]
            assert {"401", "403"} <= operation["responses"].keys()


def test_who_may_only_ask_cannot_teach_and_what_is_taught_is_noted_under_the_name_of_the_key(home):
    asks, teaches = add_key(home, "asks", [Right.PREDICT]), add_key(home, "shop", [Right.PREDICT, Right.FEEDBACK])
    service = make_service(home.root / "service", keys=Keys(keys_file(home), "secret"))
    with TestClient(create_app(service), base_url=HERE) as client:
        given = {"prediction_id": ask(client, asks, "/predict").json()["predictions"][0]["id"], "label": "top"}
        for key, source, status in (
            (asks, "line 3", 403),
            (teaches, "line 3", 200),
            (teaches, "x" * 64, 200),
            ("secret", "line 3", 200),
        ):
            headers = {"X-API-Key": key}
            assert client.post("/feedback", json=given | {"source": source}, headers=headers).status_code == status
        with service.log.transaction() as connection:
            sources = list(connection.scalars(select(labels.c.source).order_by(labels.c.number)))
    assert sources == ["shop/line 3", f"shop/{'x' * 59}", "default/line 3"]


def test_only_who_may_operate_is_told_why_something_is_down(home):
    asks, operates = add_key(home, "asks", [Right.PREDICT]), add_key(home, "operates", [Right.OPERATE])
    service = make_service(home.root / "service", keys=Keys(keys_file(home)))
    service.champions.trouble = "No MLflow server answers at http://mlflow.example"
    service.champions.registry_up = False
    with TestClient(create_app(service), base_url=HERE) as client:
        assert ask(client, asks, "/readyz").json()["registry"] == "down"
        assert "mlflow.example" in ask(client, operates, "/readyz").json()["registry"]


def test_keys_that_are_made_or_removed_count_from_the_next_request_on(home):
    with client_of(home) as client:
        assert client.get("/model").status_code == 200
        first = add_key(home, "first", [Right.PREDICT])
        assert client.get("/model").status_code == 401
        assert ask(client, first).status_code == 200
        second = add_key(home, "second", [Right.PREDICT])
        remove_key(home, "first")
        assert [ask(client, key).status_code for key in (first, second)] == [401, 200]
        remove_key(home, "second")
        assert [ask(client, key).status_code for key in (first, second, "")] == [401, 401, 401]
    with client_of(home, folder="the next one") as client:
        assert client.get("/model").status_code == 200


DAMAGED = {
    "cut off": '{"shop": {"may": ["predict"]',
    "no names": "[]",
    "an unknown right": json.dumps({"shop": {"may": ["everything"], "sha256": "0" * 64}}),
    "no digest": json.dumps({"shop": {"may": ["predict"], "sha256": "secret"}}),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_file_of_keys_that_is_damaged_while_the_service_runs_lets_nobody_in(home, content, caplog):
    key = add_key(home, "shop", [Right.PREDICT])
    with client_of(home) as client:
        keys_file(home).write_text(content)
        with caplog.at_level(logging.WARNING, "fashion"):
            assert ask(client, "").status_code == 401
        assert "The keys stay as they were" in caplog.text
        assert ask(client, key).status_code == 200


def test_the_first_file_of_keys_closes_the_service_even_if_it_is_damaged(home):
    with client_of(home) as client:
        keys_file(home).parent.mkdir()
        keys_file(home).write_text("{")
        assert client.get("/model").status_code == 401


@pytest.mark.advice("fashion key --may", "serving/keys.py")
def test_a_service_does_not_start_with_a_damaged_file_of_keys(project):
    keys_file(project).parent.mkdir(exist_ok=True)
    keys_file(project).write_text("{")
    with pytest.raises(ArtifactError) as told:
        serve(project, load_params(project.params), "127.0.0.1", 0)
    keys_file(project).unlink()
    follow(project, str(told.value).replace("NAME", "shop"), "fashion key add shop --may predict")
    assert [key.name for key in read_keys(keys_file(project))] == ["shop"]


@pytest.mark.advice("fashion key --may", "serving/server.py")
def test_beyond_loopback_a_key_by_name_will_do(project):
    with pytest.raises(ParamsError) as told:
        serve(project, load_params(project.params), "0.0.0.0", 0)
    follow(project, str(told.value).replace("NAME", "shop"), "fashion key add shop --may predict")
    with pytest.raises(ServiceError, match="has no champion"):  # The key is no question any more.
        serve(project, load_params(project.params), "0.0.0.0", 0)


def type_in(project, *arguments):
    return CliRunner().invoke(app, ["key", *arguments], env={"FASHION_HOME": str(project.root)})


def test_a_key_is_printed_once_and_kept_as_a_digest(project):
    made = type_in(project, "add", "shop", "--may", "feedback", "--may", "predict")
    assert made.exit_code == 0, made.output
    key = made.stdout.strip()
    assert "shop may feedback, predict" in made.stderr
    assert key not in keys_file(project).read_text()
    assert Keys(keys_file(project)).find(key.encode()).name == "shop"
    shown = type_in(project, "list").output
    assert "shop" in shown
    assert "feedback, predict" in shown
    assert key not in shown
    assert type_in(project, "remove", "shop").exit_code == 0
    assert read_keys(keys_file(project)) == []


@pytest.mark.advice("fashion key", "serving/keys.py")
def test_a_name_that_is_taken_or_unknown_is_told_with_what_helps(project):
    first = add_key(project, "shop", [Right.PREDICT])
    with pytest.raises(ParamsError) as told:
        add_key(project, "shop", [Right.FEEDBACK])
    with pytest.raises(ParamsError) as unknown:
        remove_key(project, "shops")
    assert "shop" in follow(project, unknown.value, "fashion key list")
    follow(project, told.value, "fashion key remove shop")
    assert add_key(project, "shop", [Right.FEEDBACK]) != first


@pytest.mark.parametrize("name", ["default", "", "a/b", "A", "-a", "a" * 24, "ä"])
def test_a_name_that_the_log_could_not_tell_from_another_is_refused(home, name):
    with pytest.raises(ParamsError, match="cannot be a key's name"):
        add_key(home, name, [Right.PREDICT])
