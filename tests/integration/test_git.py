"""What git tells of a tree, and a tree made from it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fashion.adapters import git as source
from fashion.adapters.git import check_repository, once_held, read_source, tree_of
from fashion.adapters.predictions import Collection
from fashion.errors import DataError, LineageError
from fashion.loop.clones import check_collected
from fashion.params import load_params
from fashion.paths import Project
from fashion.stages.fetch import Drawing, draw_data, fetch
from tests.advice import follow
from tests.faults.commands import must
from tests.projects import IDENTITY, SOURCE, commit, git


@pytest.fixture
def repository(tmp_path):
    """A commit with a few files."""
    root = tmp_path / "repository"
    root.mkdir()
    for name in ("kept.txt", "edited.txt", "removed.txt"):
        (root / name).write_text(f"{name}\n")
    (root / ".gitignore").write_text("ignored.txt\n")
    git(root, "init", "--quiet")
    commit(root, "First")
    return Project(root)


def make_changes(root):
    (root / "edited.txt").write_text("edited\r\nwithout an end")
    (root / "removed.txt").unlink()
    (root / "new folder").mkdir()
    (root / "new folder" / "ünïcode.bin").write_bytes(bytes(range(256)))
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "ignored.txt").write_text("a secret")


def contents(root):
    files = sorted(path for path in root.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mode & 0o100) for path in files}


def test_a_clean_tree_is_its_commit(repository):
    head = git(repository.root, "rev-parse", "HEAD").strip()
    found = read_source(repository)
    assert (found.commit, found.dirty, found.patch) == (head, False, b"")


def test_a_dirty_tree_comes_back_from_commit_and_patch_but_for_what_git_ignores(repository, tmp_path):
    make_changes(repository.root)
    found = read_source(repository)
    assert found.changed == ("edited.txt", "new folder/ünïcode.bin", "removed.txt", "run.sh")
    expected = contents(repository.root)
    del expected["ignored.txt"]
    (tmp_path / "patch").write_bytes(found.patch)
    git(repository.root, "stash", "--include-untracked")
    commit(repository.root, "Another one on top")
    with tree_of(repository, found.commit, tmp_path / "patch", tmp_path / "tree"):
        assert contents(tmp_path / "tree") == expected
    assert not (tmp_path / "tree").exists()
    assert git(repository.root, "worktree", "list", "--porcelain").count("worktree ") == 1


@pytest.mark.parametrize("name", ["a space at its end ", os.fsdecode(b"\xff")], ids=["a space at its end", "not UTF-8"])
def test_a_repository_is_found_whatever_its_folder_is_called(repository, name):
    project = Project(repository.root.rename(repository.root.with_name(name)))
    (project.root / "edited.txt").write_text("edited")
    found = read_source(project)
    assert (found.folder, found.changed) == ("", ("edited.txt",))
    assert found.patch


def test_looking_changes_nothing_in_the_repository(repository):
    make_changes(repository.root)
    git(repository.root, "add", "edited.txt")
    before = git(repository.root, "status", "--porcelain"), git(repository.root, "count-objects")
    index = (repository.root / ".git" / "index").read_bytes()
    read_source(repository)
    assert (git(repository.root, "status", "--porcelain"), git(repository.root, "count-objects")) == before
    assert (repository.root / ".git" / "index").read_bytes() == index


def test_files_that_would_make_the_patch_too_large_are_named(repository, monkeypatch):
    monkeypatch.setattr(source, "LARGEST_PATCH_BYTES", 100)
    (repository.root / "notes.txt").write_text("small")
    (repository.root / "film.avi").write_bytes(bytes(200))
    found = read_source(repository)
    assert found.changed == ("film.avi", "notes.txt")
    assert found.left_out == ("film.avi",)
    assert b"notes.txt" in found.patch
    assert b"film.avi" not in found.patch


def test_a_repository_inside_is_left_out(repository):
    (repository.root / "inner").mkdir()
    git(repository.root / "inner", "init", "--quiet")
    assert read_source(repository).left_out == ("inner/",)


SECRETS = (".env", ".env.local", "keys/Server.PEM", "secrets/notes.txt", "id_rsa", ".dvc/config", "my-passwords.txt")


def test_what_may_be_a_secret_is_named_and_not_kept_be_it_new_or_edited(repository):
    """.env and .dvc/config are files that git keeps, and in which people write passwords."""
    for name in (".env", ".dvc/config"):
        (repository.root / name).parent.mkdir(exist_ok=True)
        (repository.root / name).write_text("harmless\n")
    commit(repository.root, "Settings")
    for name in (*SECRETS, "src/tokenizer.py"):
        (repository.root / name).parent.mkdir(exist_ok=True)
        (repository.root / name).write_text("hunter2\n")
    found = read_source(repository)
    assert found.left_out == tuple(sorted(SECRETS))
    assert set(found.left_out) < set(found.changed)
    assert found.patch.count(b"hunter2") == 1
    assert b"src/tokenizer.py" in found.patch


def test_a_file_with_a_password_that_is_known_here_is_named_and_not_kept_whatever_its_name(repository, monkeypatch):
    monkeypatch.setenv("FASHION_SERVE_KEY", "correct-horse")
    monkeypatch.setenv("FASHION_PREDICTIONS_URL", "postgresql://someone:battery-staple@database.example/log")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "short")
    (repository.root / "run.sh").write_text("export FASHION_SERVE_KEY=correct-horse\n")
    (repository.root / "notes.txt").write_text("the database: someone, battery-staple\n")
    (repository.root / "harmless.txt").write_text("someone was short of a horse\n")
    found = read_source(repository)
    assert found.left_out == ("notes.txt", "run.sh")
    assert b"harmless.txt" in found.patch
    assert b"correct-horse" not in found.patch


def test_changes_beside_the_project_in_the_same_repository_are_none_of_its_own(repository, tmp_path):
    inner = Project(repository.root / "fashion")
    inner.root.mkdir()
    (inner.root / "params.yaml").write_text("seed: 1\n")
    commit(repository.root, "Two projects")
    (repository.root / "edited.txt").write_text("another project's")
    (repository.root / "fashion-2").mkdir()
    (repository.root / "fashion-2" / "salaries.csv").write_text("another project's")
    assert (read_source(inner).dirty, read_source(inner).patch) == (False, b"")
    (inner.root / "params.yaml").write_text("seed: 2\n")
    (inner.root / "new.py").write_text("")
    found = read_source(inner)
    assert found.changed == ("fashion/new.py", "fashion/params.yaml")
    assert b"another project's" not in found.patch
    (tmp_path / "patch").write_bytes(found.patch)
    with tree_of(inner, found.commit, tmp_path / "patch", tmp_path / "tree"):
        assert contents(tmp_path / "tree" / "fashion") == contents(inner.root)


def test_a_project_in_a_folder_of_a_repository_knows_which(repository):
    inner = Project(repository.root / "models" / "fashion")
    inner.root.mkdir(parents=True)
    (inner.root / "params.yaml").write_text("")
    found = read_source(inner)
    assert (found.folder, found.changed) == ("models/fashion", ("models/fashion/params.yaml",))


@pytest.mark.parametrize("made", [False, True], ids=["no repository", "no commit yet"])
def test_without_a_commit_there_is_none(tmp_path, monkeypatch, made):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    if made:
        git(tmp_path, "init", "--quiet")
    found = read_source(Project(tmp_path))
    assert (found.commit, found.dirty) == (None, None)


@pytest.fixture
def foreign(repository):
    """That repository, with another user as its owner."""
    if os.geteuid() != 0:
        pytest.skip("to give a repository to another user needs root")
    for path in (repository.root, *repository.root.rglob("*")):
        os.chown(path, 65534, 65534)
    return repository


def test_a_repository_of_another_user_is_refused_with_the_words_of_git(foreign, tmp_path):
    advice = rf"dubious ownership(.|\n)*git config --global --add safe.directory {foreign.root}"
    for look in (
        read_source,
        check_repository,
        lambda project: tree_of(project, "0123" * 10, tmp_path / "none", tmp_path / "tree").__enter__(),
    ):
        with pytest.raises(LineageError, match=advice):
            look(foreign)
    git(foreign.root, "config", "--global", "--add", "safe.directory", str(foreign.root))
    assert read_source(foreign).dirty is False


def name_author(monkeypatch):
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "me")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "me@localhost")


@pytest.mark.advice("git init", "adapters/git.py")
@pytest.mark.advice("git add --all", "adapters/git.py")
@pytest.mark.advice("git commit --message", "adapters/git.py")
def test_a_project_without_a_repository_is_told_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(LineageError, match="is not in a git repository.* Type: (.*), then the same") as told:
        check_repository(Project(tmp_path))
    name_author(monkeypatch)
    follow(Project(tmp_path), told.value, re.search("Type: (.*), then the same", str(told.value))[1])
    check_repository(Project(tmp_path))
    assert read_source(Project(tmp_path)).dirty is False


def test_what_pins_data_says_so_before_it_writes_any(project, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.root.parent))
    shutil.rmtree(project.root / ".git")
    params = load_params(project.params)
    for stage in (lambda: fetch(project, params), lambda: draw_data(project, params, Drawing(60, 20))):
        with pytest.raises(LineageError, match="is not in a git repository"):
            stage()
    assert not project.data.exists()


@pytest.mark.advice("git init", "Makefile")
@pytest.mark.advice("git add --all", "Makefile")
@pytest.mark.advice("git commit --message", "Makefile")
def test_the_synthetic_project_is_not_begun_without_a_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(SOURCE / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".installed").touch()
    command = ["make", "run", "DATA=synthetic"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "error: these files must be in a git repository; if they are in none, type: git init" in result.stderr
    assert not (tmp_path / ".state").exists()
    name_author(monkeypatch)
    follow(Project(tmp_path), result.stderr, "git init && git add --all && git commit --message 'As downloaded'")
    follow(Project(tmp_path), "make repository", "make repository")


def test_the_synthetic_project_uses_no_registry_or_log_that_clones_share(repository, monkeypatch):
    shutil.copy(SOURCE / "Makefile", repository.root)
    (repository.root / "flows").mkdir()
    show = "import os; print(*sorted(f'{name}={value}' for name, value in os.environ.items()), sep='\\n')"
    (repository.root / "flows" / "training.py").write_text(show)
    shared = {"MLFLOW_TRACKING_URI": "http://mlflow.example", "FASHION_PREDICTIONS_URL": "postgresql://log.example/all"}
    for name, value in {**shared, "FASHION_HOME": str(repository.root)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    lines = must(repository, "make", "run", "DATA=synthetic", "--old-file=setup").splitlines()
    assert "MLFLOW_TRACKING_URI=sqlite:///.state/mlflow.db" in lines
    assert "FASHION_PREDICTIONS_URL=sqlite:///.state/predictions.db" in lines
    assert f"PWD={repository.state / 'synthetic'}" in lines
    assert not any(line.startswith("FASHION_HOME=") for line in lines)


@pytest.mark.advice("git fetch --unshallow", "adapters/git.py")
def test_a_commit_that_a_shallow_clone_lacks_is_told_with_the_command_that_brings_it(repository, tmp_path):
    first = git(repository.root, "rev-parse", "HEAD").strip()
    commit(repository.root, "Second")
    git(tmp_path, "clone", "--quiet", "--depth=1", repository.root.as_uri(), "clone")
    clone = Project(tmp_path / "clone")
    with (
        pytest.raises(LineageError, match=rf"{first}.*shallow clone") as told,
        tree_of(clone, first, tmp_path / "none", tmp_path / "tree"),
    ):
        pytest.fail("there is no such tree")
    follow(clone, told.value, "git fetch --unshallow")
    with tree_of(clone, first, tmp_path / "none", tmp_path / "tree"):
        assert (tmp_path / "tree" / "kept.txt").exists()


def pin(project, letter, message="Collected"):
    """Commit a data.dvc that pins this digest; return the digest."""
    digest = f"{letter * 32}.dir"
    (project.root / "data.dvc").write_text(f"outs:\n- md5: {digest}\n  path: data\n")
    commit(project.root, message)
    return digest


@pytest.mark.advice("git fetch --unshallow", "loop/clones.py")
def test_a_shallow_clone_whose_data_have_gone_on_is_told_how_to_get_their_history(repository, tmp_path):
    first = pin(repository, "a")
    pin(repository, "b")
    git(tmp_path, "clone", "--quiet", "--depth=1", repository.root.as_uri(), "clone")
    clone = Project(tmp_path / "clone")
    with pytest.raises(DataError, match="Type: git fetch --unshallow, then: git pull, then: dvc pull") as told:
        check_collected(clone, Collection("batch", first, "ann@laptop:/project"))
    follow(clone, told.value, "git fetch --unshallow")
    check_collected(clone, Collection("batch", first, "ann@laptop:/project"))
    with pytest.raises(DataError, match="Type: git pull, then: dvc pull"):
        check_collected(clone, Collection("batch", "c" * 32, "ann@laptop:/project"))


def test_data_of_a_branch_whose_merge_kept_others_were_held(repository):
    pin(repository, "a")
    git(repository.root, "checkout", "--quiet", "-b", "side")
    aside = pin(repository, "b")
    git(repository.root, "checkout", "--quiet", "-")
    pin(repository, "c")
    git(repository.root, *IDENTITY, "merge", "--quiet", "-X", "ours", "--message", "Keep ours", "side")
    assert aside not in (repository.root / "data.dvc").read_text()
    assert once_held(repository, repository.root / "data.dvc", aside)
    assert not once_held(repository, repository.root / "data.dvc", "d" * 32)


@pytest.mark.advice("git fetch", "adapters/git.py")
def test_a_commit_that_only_the_origin_has_is_told_with_the_command_that_brings_it(repository, tmp_path):
    git(tmp_path, "clone", "--quiet", repository.root.as_uri(), "clone")
    clone, later = Project(tmp_path / "clone"), commit(repository.root, "Later")
    with (
        pytest.raises(LineageError) as told,
        tree_of(clone, later, tmp_path / "none", tmp_path / "tree"),
    ):
        pytest.fail("there is no such tree")
    follow(clone, told.value, f"git fetch origin {later}")
    with tree_of(clone, later, tmp_path / "none", tmp_path / "tree"):
        assert (tmp_path / "tree" / "kept.txt").exists()


def test_a_patch_that_does_not_fit_leaves_no_tree_behind(repository, tmp_path):
    (tmp_path / "patch").write_text(
        "diff --git a/kept.txt b/kept.txt\n--- a/kept.txt\n+++ b/kept.txt\n@@ -1 +1 @@\n-x\n+y\n"
    )
    head = git(repository.root, "rev-parse", "HEAD").strip()
    with (
        pytest.raises(LineageError, match=r"git apply (.|\n)*patch does not apply"),
        tree_of(repository, head, tmp_path / "patch", tmp_path / "tree"),
    ):
        pytest.fail("there is no such tree")
    assert not (tmp_path / "tree").exists()
    assert git(repository.root, "worktree", "list", "--porcelain").count("worktree ") == 1
