"""State on servers: Prefect, MLflow and the prediction log in PostgreSQL, artifacts in S3, and two clones that share them.

The tests tell one story, in their order, and share the servers and the clones: each would take a minute otherwise.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import boto3
import httpx
import psycopg
import pytest
from mlflow import MlflowClient
from moto.server import ThreadedMotoServer

from fashion.adapters.predictions import PredictionLog, WindowHistory
from fashion.errors import DataError, ParamsError, ServiceError
from fashion.images.synthetic import draw
from fashion.loop.clones import check_data
from fashion.params import load_params
from fashion.settings import load_settings, predictions_url, tracking_uri
from flows.services.server import prefect_server
from tests.conftest import copy_prefect, copy_template, use_environment
from tests.faults.commands import must, run, start
from tests.projects import IDENTITY, SOURCE, commit, copy_cache, edit_params, git, make_quick
from tests.servers import PATIENCE_SECONDS, Service, end, postgresql, reserved_port, wait_until

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


def documented(**real):
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
        wait_until(lambda: is_well(variables["PREFECT_API_URL"], process, log))
        yield
    finally:
        end(process)


def is_well(address, process, log):
    assert process.poll() is None, log.read_text()
    try:
        return httpx.get(f"{address}/health", timeout=5).is_success
    except httpx.TransportError:
        return False


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
        variables = documented(**places) | keys | {"PREFECT_API_AUTH_STRING": "fashion:test"}
        with prefect_on(variables | {"PREFECT_SERVER_API_AUTH_STRING": "fashion:test"}, home):
            yield variables, client


class Clones:
    def __init__(self, ann, bob):
        self.ann, self.bob = ann, bob


@pytest.fixture(scope="module")
def templates(small_template, trained_template, servers, tmp_path_factory):
    """Two clones with the same data, the second of the first, and a DVC remote in the bucket for both."""
    variables, _ = servers
    folder = tmp_path_factory.mktemp("clones")
    with pytest.MonkeyPatch.context() as patch:
        ann = copy_template(small_template, folder / "ann", patch)
        edit_params(ann, {"collect": {"at_least": ENOUGH}})
        make_quick(ann)
        config = ann.root / ".dvc" / "config"
        place = f"    url = s3://garments/dvc\n    endpointurl = {variables['MLFLOW_S3_ENDPOINT_URL']}\n"
        config.write_text(f"{config.read_text()}[core]\n    remote = storage\n['remote \"storage\"']\n{place}")
        commit(ann.root, "A remote for both")
        copy_cache(trained_template, ann, "validate", "prepare")
        bob = copy_template(ann.root, folder / "bob", patch)
    git(bob.root, "remote", "add", "origin", str(ann.root))
    git(bob.root, "fetch", "--quiet")
    git(bob.root, "branch", "--quiet", "--set-upstream-to=origin/main")
    return Clones(ann, bob)


@pytest.fixture
def clones(templates, servers, monkeypatch):
    """Everything that this test starts uses the servers; state of other tools is the first clone's."""
    use_environment(templates.ann, monkeypatch)
    for name, value in servers[0].items():
        monkeypatch.setenv(name, value)
    return templates


def at(monkeypatch, project):
    monkeypatch.setenv("FASHION_HOME", str(project.root))
    return load_params(project.params)


def query(variables, database, statement):
    url = variables["FASHION_PREDICTIONS_URL"].removesuffix("/log")
    with psycopg.connect(f"{url}/{database}") as connection:
        return connection.execute(statement).fetchall()
