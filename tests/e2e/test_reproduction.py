"""Versions are made again, from a project that has gone on since, and what cannot be made again is said."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fashion.adapters.versioning import data_version
from fashion.adapters.versioning.pinning import pull_for
from fashion.cli import app
from fashion.cli.lineage import DIFFERS
from fashion.errors import LineageError, ServiceError, StageError
from fashion.params import load_params
from fashion.registry.lineage import look_up_lineage
from fashion.registry.register import register
from fashion.registry.reproduction import reproduce
from fashion.stages.fetch import Drawing, draw_data
from fashion.storage import folder_digest
from tests.advice import follow
from tests.projects import commit, edit_params, git


def load(project):
    return load_params(project.params)


def register_anew(project, params):
    """A second version of the same model, from the tree as it stands."""
    (project.evaluation / "note.txt").write_text("other artifacts, so another version")
    return register(project, params)


def ignore(line):
    """Nobody reads it."""


def go_on(project):
    """Three commits: other data, code that cannot train, another recipe. And work that is not committed."""
    draw_data(project, load(project), Drawing(600, 200, seed=7))
    commit(project.root, "Other data")
    (project.root / "src/fashion/model/training.py").write_text("raise RuntimeError('not this code')\n")
    commit(project.root, "Other code")
    edit_params(project, {"train": {"seed": 9}})
    commit(project.root, "Another seed")
    (project.root / "notes.txt").write_text("work in progress\n")


def footprint(project):
    """All that a reproduction must leave alone."""
    folders = ("data", "artifacts", "src", ".dvc/cache", ".state/mlflow")
    digests = {name: folder_digest(project.root / name) for name in folders}
    worktrees = git(project.root, "worktree", "list", "--porcelain").count("worktree ")
    files = [(project.root / name).read_bytes() for name in ("dvc.lock", "data.dvc", "params.yaml", ".state/mlflow.db")]
    return digests, worktrees, files, git(project.root, "status", "--porcelain")


def test_a_version_three_commits_and_a_dataset_back_is_made_again_bit_by_bit(trained_project, monkeypatch):
    go_on(trained_project)
    before = footprint(trained_project)
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    result = CliRunner().invoke(app, ["reproduce", "1"])
    assert result.exit_code == 0, result.output
    assert "Running stage 'train'" in result.output
    assert "epoch 1 of 6" in result.output
    assert "The weights are identical, bit by bit" in result.output
    assert "LiteRT model: the same bytes" in result.output
    assert footprint(trained_project) == before
    assert [path.name for path in (trained_project.state / "reproduction").iterdir()] == ["lock"]


def test_a_version_that_was_registered_with_other_parameters_than_trained_differs_and_the_cause_is_named(
    trained_project, monkeypatch
):
    """The data have changed in between, too; those are none of the version's, and no cause."""
    edit_params(trained_project, {"train": {"seed": 4}})
    draw_data(trained_project, load(trained_project), Drawing(600, 200, seed=7))
    registered = register_anew(trained_project, load(trained_project))
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    result = CliRunner().invoke(app, ["reproduce", registered.version])
    assert result.exit_code == DIFFERS, result.output
    assert "The weights differ: " in result.output
    assert "- train.seed, an input of train: 1 when it was trained, 4 when it was registered" in result.output
    assert "data, an input" not in result.output


def test_lineage_leads_from_the_data_to_the_aliases(trained_project, monkeypatch):
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    (alike, shown) = (CliRunner().invoke(app, ["lineage", name, "--json"]).stdout for name in ("champion", "1"))
    assert shown == alike
    found = json.loads(shown)
    assert found["data"]["version"] == found["tags"]["data_version"]
    assert found["data"]["synthetic"] is True
    assert found["code"]["commit"] == git(trained_project.root, "rev-parse", "HEAD~1").strip()
    assert found["code"]["changed"] == ["dvc.lock"]
    assert found["machine"]["python"] == sys.version.split()[0]
    assert {"numpy", "keras", "scipy"} < set(found["machine"]["packages"])
    assert found["training"]["seed"] == 1
    assert len(found["requirements_sha256"]) == 64
    assert found["pipeline"]["train"]["dependencies"]["artifacts/dataset"].endswith(".dir")
    assert [change["action"] for change in found["history"]] == ["register"]
    tree = CliRunner().invoke(app, ["lineage", "1"])
    for words in ("data.dvc", "seed 0", "baseline, seed 1", "All 18 gates passed", "champion none → 1"):
        assert words in tree.stdout


def test_the_lineage_of_a_version_from_before_gates_had_intervals_is_shown_as_it_was_judged(
    trained_project, monkeypatch
):
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    (kept,) = (trained_project.state / "mlflow").glob("**/origin/*/lineage.json")
    content = json.loads(kept.read_text())
    accuracy = {"name": "accuracy", "value": 0.8954, "limit": 0.9, "passed": False}
    size = {"name": "model_bytes", "value": 1_000_000, "limit": 5_000_000, "passed": True}
    kept.write_text(json.dumps(content | {"gates": [accuracy, size]}))
    tree = CliRunner().invoke(app, ["lineage", "1"])
    assert tree.exit_code == 0, tree.output
    assert "failed: accuracy is 0.8954, limit 0.9" in tree.stdout
    assert "model_bytes is" not in tree.stdout


@pytest.mark.parametrize(
    ("which", "complaint"), [("7", "no version 7.*it has: 1"), ("challenger", "no version challenger"), ("x", "x")]
)
def test_a_version_that_is_not_there_is_told(trained_project, which, complaint):
    with pytest.raises(LineageError, match=complaint):
        look_up_lineage(trained_project, load(trained_project), which)


def test_a_version_from_before_lineages_is_told(trained_project):
    (origin,) = trained_project.state.glob("mlflow/*/artifacts/origin")
    shutil.rmtree(origin)
    with pytest.raises(LineageError, match="before versions carried their lineage"):
        look_up_lineage(trained_project, load(trained_project), "1")


@pytest.mark.advice("fashion fetch --synthetic", "registry/reproduction.py")
def test_drawn_data_that_are_nowhere_any_more_are_told_with_the_command_that_draws_them(trained_project):
    shutil.rmtree(trained_project.root / ".dvc" / "cache")
    with pytest.raises(LineageError, match=r"no default DVC remote is configured") as told:
        reproduce(trained_project, load(trained_project), "1", ignore)
    assert [path.name for path in (trained_project.state / "reproduction").iterdir()] == ["lock"]
    version = data_version(trained_project)
    follow(trained_project, told.value, "fashion fetch --synthetic", "--images 600 --test-images 200")
    assert data_version(trained_project) == version
    pull_for(trained_project, trained_project)


def test_a_commit_that_is_gone_is_told(trained_project):
    shutil.rmtree(trained_project.root / ".git")
    git(trained_project.root, "init", "--quiet")
    commit(trained_project.root, "Another history")
    with pytest.raises(LineageError, match="git fetch origin"):
        reproduce(trained_project, load(trained_project), "1", ignore)


@pytest.mark.advice("git init", "registry/reproduction.py")
@pytest.mark.advice("git add --all", "registry/reproduction.py")
@pytest.mark.advice("git commit", "registry/reproduction.py")
@pytest.mark.advice("make run", "registry/reproduction.py")
def test_a_version_made_outside_git_is_told(trained_project, monkeypatch):
    shutil.rmtree(trained_project.root / ".git")
    registered = register_anew(trained_project, load(trained_project))
    with pytest.raises(LineageError, match="without a git commit") as told:
        reproduce(trained_project, load(trained_project), registered.version, ignore)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "me")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "me@localhost")
    for command, more in (("git init", ""), ("git add --all", ""), ("git commit", "--message Start")):
        follow(trained_project, told.value, command, more)
    (trained_project.evaluation / "note.txt").write_text("what make run has made anew")
    version = register(trained_project, load(trained_project)).version
    head = git(trained_project.root, "rev-parse", "HEAD").strip()
    assert look_up_lineage(trained_project, load(trained_project), version).origin.code.commit == head


REPRODUCE = """
import sys
from pathlib import Path
from fashion.paths import Project
from fashion.params import load_params
from fashion.registry.reproduction import reproduce
project = Project(Path(sys.argv[1]))
reproduce(project, load_params(project.params), "1", lambda line: print(line, flush=True))
"""


def test_what_a_killed_reproduction_leaves_is_cleared_away_by_the_next_and_two_at_once_are_refused(trained_project):
    command = [sys.executable, "-c", REPRODUCE, trained_project.root]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=trained_project.root)
    try:
        assert any("Running stage" in line for line in killed.stdout)
        with pytest.raises(ServiceError, match="Another reproduction is running"):
            reproduce(trained_project, load(trained_project), "1", ignore)
    finally:
        killed.kill()
        killed.wait()
        killed.stdout.close()
    assert git(trained_project.root, "worktree", "list", "--porcelain").count("worktree ") == 2
    (left,) = [path for path in (trained_project.state / "reproduction").iterdir() if path.is_dir()]
    with pytest.raises(LineageError, match="no version 7"):
        reproduce(trained_project, load(trained_project), "7", ignore)
    assert not left.exists()
    assert git(trained_project.root, "worktree", "list", "--porcelain").count("worktree ") == 1
    assert not [link for link in Path("/proc").glob("[0-9]*/cwd") if str(left) in read_link(link)]


def read_link(path):
    try:
        return str(path.readlink())
    except OSError:
        return ""


def test_a_stage_that_fails_is_told_and_nothing_is_left(trained_project):
    params = load(trained_project)
    with trained_project.params.open("a") as file:
        file.write("nonsense: 1\n")
    registered = register_anew(trained_project, params)
    with pytest.raises(StageError, match=r"cannot be used:\n  nonsense: unknown key"):
        reproduce(trained_project, params, registered.version, ignore)
    assert [path.name for path in (trained_project.state / "reproduction").iterdir()] == ["lock"]
