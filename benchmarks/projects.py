"""Projects of their own for benchmarks, so that nobody's artifacts are touched."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from benchmarks.processes import run
from benchmarks.results import ROOT
from fashion.defaults import read_defaults
from fashion.environment import apply_environment
from fashion.paths import Project


def copy_project(folder: Path) -> Project:
    """Make a fresh project with this one's files in `folder`, and let the environment of this process be its own."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.rstrip("\0").split("\0"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    ours = [name for name in os.environ if name.startswith(("FASHION_", "MLFLOW_"))]
    for name in [*ours, *read_defaults(ROOT)]:
        os.environ.pop(name, None)
    apply_environment(Project(folder))
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return Project(folder)


def make_project(folder: Path) -> Project:
    """Make a fresh project with this one's files and the real data."""
    project = copy_project(folder)
    os.environ["FASHION_DATA_SOURCES"] = data_sources()
    run(["fashion", "fetch"], folder)
    return project


def commit_all(project: Project) -> None:
    """Commit the files of a fresh project, as an import wants them to be."""
    author = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
    run(["git", "add", "--all"], project.root)
    run(["git", *author, "commit", "--quiet", "--message", "As it is"], project.root)


def data_sources() -> str:
    """Return this project's data, and where it would look for them, as seen from any folder."""
    sources = read_params(ROOT)["data"]["sources"]
    here = [source if ":" in source or source == "dvc" else str((ROOT / source).resolve()) for source in sources]
    return ",".join([str(ROOT / "data"), *here])


def prepare_dataset(project: Project) -> None:
    for stage in ("validate", "prepare"):
        run(["dvc", "repro", "--single-item", stage], project.root)


def set_training(project: Project, recipe: str, seed: int) -> None:
    content = read_params(project.root)
    content["train"] |= {"recipe": recipe, "seed": seed}
    project.params.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def read_params(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    return content
