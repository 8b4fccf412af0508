"""The images and compose.yaml: the commands and settings of `make up`; nothing unpinned, open or unsaid."""

import inspect
import json
import re
import subprocess
import tomllib
from urllib.parse import urlsplit

import pytest

from fashion.serving import app
from fashion.settings import Settings
from flows.services import worker
from flows.services.processes import MLFLOW, PREFECT, WORKER, service_commands, service_environments
from flows.services.supervisor import STOP_SECONDS
from tests.compose import TEXT, read_compose, variables
from tests.containers import instructions
from tests.projects import SOURCE

COMPOSE = read_compose()
SERVICES = COMPOSE["services"]
OURS = {name: content for name, content in SERVICES.items() if content["image"].startswith("fashion-")}
DOCUMENT = (SOURCE / "docs" / "containers.md").read_text(encoding="utf-8")
DOCKERFILE = (SOURCE / "Dockerfile").read_text(encoding="utf-8")
ELSEWHERE = {"127.0.0.1": "0.0.0.0", "sqlite:///": "postgresql+psycopg://"}
"""What is otherwise where a server has a machine of its own: others reach it, and its state is on servers."""


@pytest.fixture
def made_up(project, monkeypatch):
    """The commands and environments of `make up` with the defaults."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    return service_commands(project), service_environments(project)


def test_the_servers_run_by_the_commands_of_make_up(project, made_up):
    commands, _ = made_up
    elsewhere = ELSEWHERE | {str(project.state / "mlflow"): "s3://mlflow"}
    for name in (PREFECT, MLFLOW):
        _, *arguments = commands[name]
        assert SERVICES[name]["command"] == ["python", *(elsewhere.get(word, word) for word in arguments)]


def test_the_servers_have_the_settings_of_make_up(made_up):
    _, environments = made_up
    for name in (PREFECT, MLFLOW):
        assert SERVICES[name]["env_file"] == ["defaults.env", ".env"]
    origins = "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"
    assert SERVICES[PREFECT]["environment"][origins] == environments[PREFECT][origins]
    hosts = "MLFLOW_SERVER_ALLOWED_HOSTS"
    allowed = SERVICES[MLFLOW]["environment"][hosts].split(",")
    assert set(allowed) == {*environments[MLFLOW][hosts].split(","), "mlflow:5000"}
    database = "MLFLOW_BACKEND_STORE_URI"
    assert environments[MLFLOW][database].startswith("sqlite:///")
    assert SERVICES[MLFLOW]["environment"][database].startswith(ELSEWHERE["sqlite:///"])


def test_the_worker_is_what_make_up_starts_where_both_servers_are_elsewhere(project, monkeypatch):
    for name, value in SERVICES[WORKER]["environment"].items():
        monkeypatch.setenv(name, value)
    assert list(service_commands(project)) == [WORKER]
    assert instructions("worker")["CMD"] == ["python", "-m", "flows.services", "up"]
    assert "command" not in SERVICES[WORKER]
    assert int(SERVICES[WORKER]["stop_grace_period"].removesuffix("s")) > 2 * STOP_SECONDS[WORKER]


def test_addresses_name_a_container_and_the_port_on_which_it_listens():
    for name, content in OURS.items():
        for value in content["environment"].values():
            for address in re.findall(r"http://[\w.:]+", value):
                host, port = urlsplit(address).hostname, urlsplit(address).port
                server = name if host in ("127.0.0.1", "localhost") else host
                assert re.search(rf"\b{port}\b", str(SERVICES[server]["command"])), (name, address)
            for database in re.findall(r"postgresql\S*://(\w+):\w+@database/(\w+)$", value):
                assert (
                    f"CREATE DATABASE {database[1]} OWNER {database[0]};" in COMPOSE["configs"]["databases"]["content"]
                )
    assert f"http://service:{instructions('service')['EXPOSE']};" in COMPOSE["configs"]["proxy"]["content"]


def test_a_check_asks_what_there_is_and_each_container_waits_for_checks():
    waited_for = inspect.getsource(worker.work)
    for name, path in ((PREFECT, "/api/health"), (MLFLOW, "/health")):
        port = SERVICES[name]["command"][SERVICES[name]["command"].index("--port") + 1]
        assert f"'http://127.0.0.1:{port}{path}'" in SERVICES[name]["healthcheck"]["test"][-1]
        assert f'{path}"' in waited_for
    checked = instructions("service")["HEALTHCHECK"]
    assert '@app.get("/healthz")' in inspect.getsource(app)
    assert "'/healthz'" in json.dumps(checked)
    assert instructions("worker")["HEALTHCHECK"] == ["python", "-m", "flows.services", "check"]
    for content in SERVICES.values():
        for other, wait in content.get("depends_on", {}).items():
            ends = SERVICES[other].get("healthcheck", {}).get("disable", False)
            assert wait["condition"] == ("service_completed_successfully" if ends else "service_healthy")
            assert "healthcheck" in SERVICES[other] or "build" in SERVICES[other]


def test_every_image_has_a_version_and_ours_that_of_the_project():
    version = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]["version"]
    assert {content["image"].partition(":")[2] for content in OURS.values()} == {version}
    for content in SERVICES.values():
        assert re.search(r":v?\d+\.\d+", content["image"]), content["image"]
    base = re.search(r"^ARG BASE=\S+:(\S+)$", DOCKERFILE, re.MULTILINE)[1]
    assert base.startswith("3.11-")
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${BASE}", "tools"}


def test_only_the_proxy_is_published_and_what_others_reach_knows_least():
    assert [name for name, content in SERVICES.items() if "ports" in content] == ["proxy"]
    assert SERVICES["proxy"]["networks"] == ["front"]
    assert [name for name, content in SERVICES.items() if "front" in content["networks"]] == ["service", "proxy"]
    assert not [name for name in SERVICES["service"]["environment"] if name.startswith("PREFECT")]
    for name, content in SERVICES.items():
        assert content["security_opt"] == ["no-new-privileges:true"], name
    for name in (*OURS, "proxy"):
        assert (SERVICES[name]["read_only"], SERVICES[name]["cap_drop"]) == (True, ["ALL"]), name
    lines = re.search(r"```nginx\nlocation / \{\n(.*?)\}\n```", (SOURCE / "docs/serving.md").read_text(), re.DOTALL)[1]
    for line in map(str.strip, lines.replace("http://127.0.0.1:8000", "$service").splitlines()):
        assert line in COMPOSE["configs"]["proxy"]["content"]


def test_every_variable_is_asked_for_in_words_made_by_the_document_and_known(tmp_path):
    assert all(re.match(r":\?\w", rest) for rest in variables().values())
    assert not re.search(r"\$\w", TEXT.replace("$$", ""))
    block = next(block for block in re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL) if "compose.env" in block)
    made = block.partition("export COMPOSE_ENV_FILES=.state/compose.env\n")[0]
    subprocess.run(["sh", "-e", "-c", made], cwd=tmp_path, check=True)
    file = tmp_path / ".state" / "compose.env"
    values = dict(line.split("=", 1) for line in file.read_text().splitlines())
    assert values.keys() == variables().keys()
    assert file.stat().st_mode & 0o077 == 0
    assert all(f"`{name}`" in DOCUMENT for name in values)
    known = {f"FASHION_{name.upper()}" for name in Settings.model_fields}
    assert {
        name for content in OURS.values() for name in content["environment"] if name.startswith("FASHION_")
    } <= known


@pytest.mark.parametrize(("target", "lock"), [("service", "requirements-serve.lock"), ("worker", "requirements.lock")])
def test_an_image_is_locked_checked_and_runs_without_root(target, lock):
    found = instructions(target)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", found["USER"])
    assert {"HEALTHCHECK", "ENTRYPOINT", "CMD"} <= found.keys()
    assert f"COPY --from={target}-packages /opt/fashion /opt/fashion" in DOCKERFILE
    stage = DOCKERFILE.partition(f" AS {target}-packages\n")[2].partition("\nFROM")[0]
    assert f"uv pip sync {lock} " in stage
    installing = re.findall(r"pip (?:sync|install) [^&\n]*", DOCKERFILE.replace("\\\n", " "))
    assert len(installing) == 5
    assert all("--require-hashes" in command or "--no-index" in command for command in installing)


def test_the_images_are_given_what_they_copy_and_nothing_else_of_the_folder():
    lines = (SOURCE / ".dockerignore").read_text().splitlines()
    ignored, *rules = [line for line in lines if not line.startswith("#")]
    assert ignored == "*"
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    assert {rule[1:] for rule in rules if rule.startswith("!")} == names
    assert all((SOURCE / name).exists() for name in names)
