"""docs/remote.md, typed line by line: a folder and S3 as DVC's remote, and a clone on another machine."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer
from typer.testing import CliRunner

from fashion.adapters.versioning import push
from fashion.adapters.versioning.pinning import default_remote, pull_for
from fashion.cli import app
from fashion.errors import ServiceError
from fashion.paths import Project
from fashion.storage import folder_digest
from tests.projects import IDENTITY, git

DOCUMENT = (Path(__file__).parents[2] / "docs" / "remote.md").read_text(encoding="utf-8")
BLOCKS = {
    section.splitlines()[0]: re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    for section in DOCUMENT.split("\n## ")[1:]
}
FOLDER, S3, CLONE, SERVERS = "A folder", "S3", "Another machine", "State on servers"


def type_in(folder, block, replacements):
    """Run the lines of a block in a shell, but for those that set up the environment that this test has."""
    for placeholder, real in replacements.items():
        assert placeholder in DOCUMENT
        block = block.replace(placeholder, shlex.quote(str(real)))
    lines = [line for line in block.splitlines() if not line.startswith(("make ", "source "))]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    identity = shlex.join(["git", *IDENTITY])
    script = "\n".join([f'git() {{ command {identity} "$@"; }}', *lines])
    result = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path},
        text=True,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert result.returncode == 0, f"{script}\n{result.stdout}"
    return result.stdout


def artifacts(project):
    """The MD5 of each stage's outputs, as dvc.lock names them."""
    stages = yaml.safe_load((project.root / "dvc.lock").read_text())["stages"]
    return {output["path"]: output["md5"] for stage in stages.values() for output in stage["outs"]}


def clone(project, folder, between=lambda clone: None):
    """Another machine: nothing but git and the remote."""
    folder.mkdir()
    getting, *_ = BLOCKS[CLONE]
    first, rest = getting.split("dvc pull")
    address = {"ADDRESS-OF-THIS-REPOSITORY": project.root}
    type_in(folder, first, address)
    between(folder / "fashion")
    return Project(folder / "fashion"), type_in(folder / "fashion", f"dvc pull{rest}", {})


def test_every_command_of_the_document_is_typed_here():
    assert {title: len(blocks) for title, blocks in BLOCKS.items() if blocks} == {
        FOLDER: 1,
        S3: 3,
        CLONE: 1,
        SERVERS: 1,
    }


def test_a_clone_with_nothing_but_git_and_a_folder_has_nothing_to_run(trained_project, tmp_path, monkeypatch):
    type_in(trained_project.root, BLOCKS[FOLDER][0], {"/mnt/shared/fashion": tmp_path / "shared folder"})
    other, output = clone(trained_project, tmp_path / "elsewhere")
    assert "Running stage" not in output
    assert "Data and pipelines are up to date." in output
    assert set(artifacts(other)) == {
        f"artifacts/{name}" for name in ("validation", "dataset", "model", "evaluation", "export")
    }
    assert other.model_file.read_bytes() == trained_project.model_file.read_bytes()
    assert git(other.root, "status", "--porcelain") == ""


@pytest.mark.advice("dvc push", "registry/reproduction.py")
@pytest.mark.advice("dvc remote", "registry/reproduction.py")
def test_data_of_a_commit_from_before_the_remote_come_from_it_all_the_same(trained_project, tmp_path):
    type_in(trained_project.root, BLOCKS[FOLDER][0], {"/mnt/shared/fashion": tmp_path / "shared folder"})
    shutil.rmtree(trained_project.root / ".dvc" / "cache")
    git(trained_project.root, "worktree", "add", "--detach", str(tmp_path / "tree"), "HEAD~1")
    tree = Project(tmp_path / "tree")
    assert default_remote(tree) is None
    pull_for(tree, trained_project)
    assert folder_digest(tree.data) == folder_digest(trained_project.data)


@pytest.fixture
def bucket(monkeypatch):
    """An S3 server on loopback with a bucket, and nothing in the environment that opens it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    boto3.client("s3", endpoint_url=address, **keys).create_bucket(Bucket="garments")
    yield address
    server.stop()


def test_a_clone_with_nothing_but_git_and_s3_has_nothing_to_run_and_no_key_is_in_git(trained_project, tmp_path, bucket):
    add, log_in, bring = BLOCKS[S3]
    place = {"s3://my-bucket/fashion": "s3://garments/fashion", "https://s3.example.com": bucket}
    keys = {"MY-KEY": "the-key", "MY-SECRET": "the-secret"}
    type_in(trained_project.root, add, place)
    type_in(trained_project.root, log_in, keys)
    type_in(trained_project.root, bring, {})
    other, output = clone(trained_project, tmp_path / "elsewhere", lambda folder: type_in(folder, log_in, keys))
    assert "Running stage" not in output
    assert "Data and pipelines are up to date." in output
    assert other.model_file.read_bytes() == trained_project.model_file.read_bytes()
    for project in (trained_project, other):
        assert git(project.root, "status", "--porcelain") == ""
        assert "the-secret" in (project.root / ".dvc" / "config.local").read_text()
        assert "the-secret" not in git(project.root, "grep", "-h", "", "--", ".dvc")


@pytest.mark.parametrize(
    "address", ["s3://garments/fashion", "/dev/null/folder"], ids=["no S3 answers", "a folder that cannot be"]
)
def test_a_remote_that_is_away_is_told_by_push_and_passed_over_by_fetch(small_project, address, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    remote = {"access_key_id": "key", "secret_access_key": "secret", "endpointurl": "http://127.0.0.1:9"}
    settings = "".join(f"    {name} = {value}\n" for name, value in remote.items() if address.startswith("s3"))
    config = small_project.root / ".dvc" / "config"
    config.write_text(f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {address}\n{settings}")
    assert default_remote(small_project) == "storage"
    with pytest.raises(ServiceError, match="dvc push"):
        push(small_project, lambda line: None)
    for file in small_project.data.iterdir():
        file.unlink()
    monkeypatch.setenv("FASHION_HOME", str(small_project.root))
    monkeypatch.setenv("FASHION_DATA_SOURCES", "dvc,/nowhere")
    for cached in (small_project.root / ".dvc" / "cache").rglob("*"):
        if cached.is_file():
            cached.unlink()
    result = CliRunner().invoke(app, ["fetch"])
    assert "No source has" in str(result.exception)
    assert "  dvc: " in str(result.exception)


def test_a_project_without_a_remote_has_none(small_project):
    assert default_remote(small_project) is None
