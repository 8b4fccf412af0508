"""State on servers: Prefect, MLflow and the prediction log in PostgreSQL, artifacts in S3, two clones that share them.

The tests tell one story, in their order, and share the servers and the clones: each would take a minute otherwise.
"""

import os
import re
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

import boto3
import psycopg
import pytest
from mlflow import MlflowClient
from mlflow.store.artifact import s3_artifact_repo
from moto.server import ThreadedMotoServer

from fashion.adapters.predictions import PredictionLog
from fashion.adapters.tracking import check_place, recreate_run
from fashion.adapters.tracking.address import registry_of
from fashion.errors import DataError, ParamsError, ServiceError, SetupError
from fashion.images.synthetic import draw
from fashion.loop.clones import check_data
from fashion.params import load_params
from fashion.settings import predictions_url, tracking_uri
from flows.pipeline import check_tracking, fetch
from tests.advice import follow
from tests.conftest import copy_template, use_environment
from tests.faults.commands import must, run, start
from tests.projects import SOURCE, copy_cache, edit_params, git, make_quick
from tests.servers import PATIENCE_SECONDS, Service, end, is_well, postgresql, reserved_port, wait_until

DOCUMENT = (SOURCE / "docs" / "remote.md").read_text(encoding="utf-8")
PLACEHOLDERS = {"https://s3.example.com", "my-bucket", "fashion:PASSWORD@db.example.com", "127.0.0.1:4200"}
TRAIN = (sys.executable, "-m", "flows.training", "--synthetic", "--reason", "test")
WATCH = (sys.executable, "-c", "from flows.monitoring import monitoring; monitoring()")
ENOUGH = 120
HOLD_THE_SLOT = """
import sys
from prefect import flow
from fashion.settings import load_project
from flows.services.slot import training_slot

@flow(name="training", flow_run_name="the first")
def hold():
    with training_slot(load_project(), print):
        print("holding", flush=True)
        sys.stdin.read()

hold()
"""


def documented(real):
    """The variables of the document's block, with what stands in it for these servers."""
    (block,) = re.findall(r"## State on servers\n.*?```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    for placeholder, value in real.items():
        assert placeholder in block
        block = block.replace(placeholder, value)
    return dict(line.removeprefix("export ").split("=", 1) for line in block.splitlines())


@contextmanager
def bucket():
    """An S3 server with a bucket, and the environment that opens it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    options = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", **options)
    client.create_bucket(Bucket="garments")
    try:
        yield f"http://{host}:{port}", client, keys | {"AWS_EC2_METADATA_DISABLED": "true"}
    finally:
        server.stop()


@contextmanager
def prefect_on(variables, home):
    """A Prefect server for all, as `make up` starts it."""
    environment = {**os.environ, **variables, "PREFECT_HOME": str(home)}
    port = variables["PREFECT_API_URL"].rpartition(":")[2].removesuffix("/api")
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
    log = home / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        wait_until(lambda: has_started(variables["PREFECT_API_URL"], process, log))
        yield
    finally:
        end(process)


def has_started(address, process, log):
    assert process.poll() is None, log.read_text()
    return is_well(f"{address}/health")


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """The variables of the document, for servers of this file, and the S3 client."""
    home = tmp_path_factory.mktemp("prefect")
    with ExitStack() as stack:
        address, _ = stack.enter_context(postgresql())
        endpoint, client, keys = stack.enter_context(bucket())
        port = stack.enter_context(reserved_port())
        with psycopg.connect(address, autocommit=True) as connection:
            for name in ("prefect", "mlflow", "log"):
                connection.execute(f"CREATE DATABASE {name}")
        database = address.removeprefix("postgresql://").removesuffix("/postgres")
        places = dict(zip(sorted(PLACEHOLDERS), (f"127.0.0.1:{port}", database, endpoint, "garments"), strict=True))
        variables = documented(places) | keys | {"PREFECT_API_AUTH_STRING": "fashion:test"}
        with prefect_on(variables | {"PREFECT_SERVER_API_AUTH_STRING": "fashion:test"}, home):
            yield variables, client


def query(variables, database, statement):
    url = variables["FASHION_PREDICTIONS_URL"].removesuffix("/log")
    with psycopg.connect(f"{url}/{database}") as connection:
        return connection.execute(statement).fetchall()


@pytest.fixture(scope="module")
def clones(small_template, trained_template, tmp_path_factory):
    """Two clones with the same data, the second of the first."""
    folder = tmp_path_factory.mktemp("clones")
    with pytest.MonkeyPatch.context() as patch:
        ann = copy_template(small_template, folder / "ann", patch)
        edit_params(ann, {"collect": {"at_least": ENOUGH}})
        make_quick(ann)
        copy_cache(trained_template, ann, "validate", "prepare")
        bob = copy_template(ann.root, folder / "bob", patch)
    git(bob.root, "remote", "add", "origin", str(ann.root))
    git(bob.root, "fetch", "--quiet")
    git(bob.root, "branch", "--quiet", "--set-upstream-to=origin/main")
    for name, value in (("name", "test"), ("email", "test@localhost")):
        git(ann.root, "config", f"user.{name}", value)
    return ann, bob


def add_remote(project, servers):
    """Give a clone a DVC remote in the bucket; the trainings push nothing there, which would take time."""
    place = f"    url = s3://garments/dvc\n    endpointurl = {servers[0]['MLFLOW_S3_ENDPOINT_URL']}\n"
    config = project.root / ".dvc" / "config.local"
    config.write_text(f"[core]\n    remote = storage\n['remote \"storage\"']\n{place}")


def enter(project, servers, patch):
    """Let this process and what it starts be in a clone that uses the servers."""
    use_environment(project, patch)
    for name, value in (servers[0] | {"FASHION_HOME": str(project.root)}).items():
        patch.setenv(name, value)
    return load_params(project.params)


@pytest.fixture(scope="module")
def outputs(clones, servers, tmp_path_factory):
    """What two runs said: one that waited for a third, which was killed, and then one of its model by another rule."""
    ann, bob = clones
    log = tmp_path_factory.mktemp("outputs") / "bob.log"
    with pytest.MonkeyPatch.context() as patch, log.open("w") as output:
        enter(ann, servers, patch)
        first = start(ann, sys.executable, "-c", HOLD_THE_SLOT, stdin=subprocess.PIPE)
        try:
            while (line := first.stdout.readline()) != "holding\n":
                assert line, "it ended"
            enter(bob, servers, patch)
            second = start(bob, *TRAIN, stdout=output)
            wait_until(lambda: "Waiting for the training slot" in log.read_text() or second.poll() is not None)
            waiting = log.read_text()
        finally:
            first.kill()
            first.communicate()
        assert second.wait(PATIENCE_SECONDS) == 0, log.read_text()
        enter(ann, servers, patch)
        copy_cache(bob.root, ann, "validate", "prepare", "train", "export")
        edit_params(ann, {"evaluate": {"abstention": {"confidence_at_least": 0.4}}})
        return waiting, log.read_text(), must(ann, *TRAIN)


def test_a_training_waits_for_one_of_another_clone_and_not_for_ever_if_that_is_killed(outputs):
    waiting, bob, ann = outputs
    assert "Waiting for the training slot: run the first" in waiting
    assert "Running stage" not in waiting
    assert "Waiting" not in ann
    assert "champion" in bob


def test_what_two_clones_train_is_judged_and_kept_on_the_servers_alone(clones, servers, outputs, monkeypatch):
    ann, bob = clones
    enter(bob, servers, monkeypatch)
    registry = MlflowClient(tracking_uri(bob))
    first, second = (registry.get_model_version("fashion-classifier", number) for number in "12")
    assert (first.tags["verdict"], first.tags["reason"]) == ("champion", "all gates passed; there was no champion")
    assert second.tags["verdict"] in ("champion", "challenger")
    assert "there was no champion" not in second.tags["reason"]
    trained_in = registry.get_run(first.run_id)
    assert trained_in.info.artifact_uri.startswith("s3://garments/mlflow/")
    assert len(registry.get_metric_history(first.run_id, "epochs/validation_accuracy")) == 6
    local = ("mlruns", "mlartifacts", ".state/mlflow", ".state/mlflow.db", ".state/predictions.db")
    assert [name for name in local if (ann.root / name).exists() or (bob.root / name).exists()] == []
    runs = query(servers[0], "prefect", "SELECT name, state_type::text FROM flow_run")
    assert [state for name, state in runs if name.startswith("baseline")] == ["COMPLETED"] * 2


@pytest.mark.advice("git pull", "loop/clones.py")
@pytest.mark.advice("dvc pull", "loop/clones.py")
@pytest.mark.usefixtures("outputs")
def test_what_is_served_and_monitored_there_is_collected_once(clones, servers, monkeypatch, tmp_path, new_port):
    ann, bob = clones
    add_remote(ann, servers)
    add_remote(bob, servers)
    params = enter(bob, servers, monkeypatch)
    images, labels = draw(ENOUGH, 10, (28, 28), seed=11)
    service = Service(bob, new_port(), tmp_path / "serve.log")
    try:
        answers = [one for part in (images[:60], images[60:]) for one in service.ask(part).json()["predictions"]]
    finally:
        service.end()
    with closing(PredictionLog(predictions_url(bob))) as log:
        for answer, label in zip(answers, labels, strict=True):
            log.add_label(answer["id"], int(label), "test", params.data.classes[label])
    must(bob, *WATCH)
    assert query(servers[0], "log", "SELECT count(*), min(predictions) FROM windows") == [(1, ENOUGH)]

    enter(ann, servers, monkeypatch)
    assert f"{ENOUGH} images, 0 in quarantine" in must(ann, "fashion", "collect", "--commit")
    enter(bob, servers, monkeypatch)
    with pytest.raises(DataError, match="The data of this clone are behind: it lacks batch") as told:
        fetch.fn(bob, params, synthetic=True)
    assert f":{ann.root}. Type: git pull, then: dvc pull data.dvc." in str(told.value)
    status, refused = run(bob, "fashion", "collect")
    assert (status, " ".join(refused.split())) == (1, f"error: {told.value}")
    must(bob, "git", "pull", "--quiet")
    status, refused = run(bob, "fashion", "collect")
    assert (status, "Get them with: dvc pull data.dvc" in " ".join(refused.split())) == (1, True), refused
    must(bob, "dvc", "pull", "data.dvc")
    fetch.fn(bob, params, synthetic=True)
    assert "Nothing to learn from: 0 new labels" in must(bob, "fashion", "collect")


@pytest.mark.usefixtures("outputs")
def test_data_of_the_champion_that_a_clone_never_had_are_missed(clones, servers, monkeypatch):
    _, bob = clones
    params = enter(bob, servers, monkeypatch)
    registry = MlflowClient(tracking_uri(bob))
    champion = registry.get_model_version_by_alias("fashion-classifier", "champion")
    registry.set_model_version_tag("fashion-classifier", champion.version, "synthetic_data", "false")
    check_data(bob, params)
    registry.set_model_version_tag("fashion-classifier", champion.version, "data_version", f"{'f' * 32}.dir")
    check_data(bob, params)  # All of their files are here, whatever the version is called.
    file = bob.data / params.data.files[0].name
    away = file.rename(bob.state / file.name)
    said = f"behind: champion {champion.version} of fashion-classifier learned from data ffffffff"
    with pytest.raises(DataError, match=said):
        check_data(bob, params)
    away.rename(file)
    registry.set_model_version_tag("fashion-classifier", champion.version, "synthetic_data", "true")
    check_data(bob, params)


@pytest.mark.usefixtures("outputs")
def test_what_stands_in_the_way_of_files_in_s3_is_said_before_a_training(clones, servers, monkeypatch):
    ann, _ = clones
    params = enter(ann, servers, monkeypatch)
    check_tracking(ann, params)
    registry = registry_of(ann, params)
    with pytest.raises(ServiceError, match="The specified bucket does not exist"):
        check_place(replace(registry, root="s3://nowhere/mlflow", experiment="another"))
    s3_artifact_repo._cached_get_s3_client.cache_clear()
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SetupError, match="boto3 is not installed. Type: make setup"):
        check_place(registry)
    monkeypatch.undo()
    enter(ann, servers, monkeypatch)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ServiceError, match=r"went away or refused: Could not connect to the endpoint URL"):
        check_place(registry)
    monkeypatch.delenv("MLFLOW_DEFAULT_ARTIFACT_ROOT")
    with pytest.raises(ParamsError, match="Set MLFLOW_DEFAULT_ARTIFACT_ROOT to a place that every machine reaches"):
        check_tracking(ann, params)


@pytest.mark.usefixtures("outputs")
def test_an_experiment_in_one_machines_folder_is_refused_and_makes_room(clones, servers, monkeypatch, tmp_path):
    ann, _ = clones
    registry = replace(registry_of(ann, enter(ann, servers, monkeypatch)), experiment="fashion-tuning")
    client = MlflowClient(registry.uri)
    made = client.create_experiment("fashion-tuning", artifact_location=(tmp_path / "mine").as_uri())
    for use in (check_place, lambda registry: recreate_run(registry, "late", {}, [])):
        with pytest.raises(ServiceError, match="a folder of one machine") as told:
            use(registry)
    follow(ann, told.value, f"mlflow experiments rename --experiment-id {made} --new-name fashion-tuning-local")
    check_place(registry)
    run_id = recreate_run(registry, "late", {}, [])
    assert client.get_run(run_id).info.artifact_uri.startswith("s3://garments/mlflow/")
