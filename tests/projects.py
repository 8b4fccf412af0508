"""Projects to test with: copies of this one, in a temporary folder, with a repository and data of their own."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fashion.adapters.predictions import PredictionLog, Record, new_id
from fashion.images.descriptors import WATCHED_IN_COLOUR
from fashion.params import DataParams, Params, load_params
from fashion.params.pipeline import IDX_FILES
from fashion.paths import Project
from fashion.settings import predictions_url
from fashion.stages.fetch import Drawing, draw_data

SOURCE = Path(__file__).resolve().parent.parent
PARTS = (
    ".dvc/.gitignore",
    ".dvc/config",
    ".dvc/plots.html",
    ".dvcignore",
    ".env",
    ".gitattributes",
    ".gitignore",
    "benchmarks/first_run.json",
    "defaults.env",
    "dvc.yaml",
    "expectations",
    "flows",
    "params.yaml",
    "prefect.yaml",
    "pyproject.toml",
    "requirements.lock",
    "src",
)
"""What a project needs to run. Left out: data, data.dvc and dvc.lock, which say what the data are."""
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")


def copy_project(destination: Path) -> Project:
    """A copy of this project at `destination`, without data, in a git repository with one commit."""
    for name in PARTS:
        _copy(SOURCE / name, destination / name)
    _forget_server(destination / ".env")
    git(destination, "init", "--quiet", "--initial-branch=main", "--template=")
    commit(destination, "A copy for a test")
    return Project(destination.resolve())


def make_small(
    project: Project,
    train: int = 600,
    test: int = 200,
    classes: int = 10,
    size: tuple[int, int] = (28, 28),
    pictures: Mapping[str, Any] | None = None,
) -> Params:
    """Turn `project` to drawn data of this size, through params.yaml, expectations/ and the real fetch stage."""
    data = {"classes": _names(project, classes), "image_size": list(size), "pictures": dict(pictures or {})}
    edit_params(project, {"data": data})
    params = load_params(project.params)
    _edit_suites(project, {"train": train, "test": test}, params.data)
    draw_data(project, params, Drawing(train, test))
    commit(project.root, "Small drawn data")
    return params


def use_shards(project: Project, train: int = 2, test: int = 1) -> Params:
    """Let params.yaml name so many Parquet shards instead of the four IDX files; the next drawing writes them."""
    content = yaml.safe_load(project.params.read_text(encoding="utf-8"))
    for name in IDX_FILES:
        del content["data"][name]
    names = [
        f"{split}-{number:05d}-of-{count:05d}.parquet"
        for split, count in (("train", train), ("test", test))
        for number in range(count)
    ]
    content["data"]["shards"] = [{"name": name, "sha256": "0" * 64} for name in names]
    project.params.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_params(project.params)


def make_quick(project: Project, recipe: str = "baseline") -> None:
    """Choose a recipe of a few seconds whose epochs are always six, and gates that it can pass.

    The shipped model takes three times as long to compile and to export, and ONNX takes seconds for each candidate;
    test_another_dataset takes the one with the other through all.
    """
    quick = {"epochs": 6, "batch_size": 32, "patience": None}
    if recipe == "baseline":
        quick["learning_rate"] = 0.003
    without_onnx = {"onnx_agreement_at_least": None}
    gates = {
        "accuracy_at_least": 0.0,
        "recall_of_every_class_at_least": 0.0,
        "abstention_on_nonsense_at_least": 0.0,
        "expected_calibration_error_at_most": 0.5,
        "latency_milliseconds_at_most": 1000,
    }
    edit_params(
        project,
        {
            "train": {"recipe": recipe, "recipes": {recipe: quick}},
            "evaluate": {"gates": gates},
            "export": {"gates": {"int8_agreement_at_least": 0.0} | ({} if recipe == "compact" else without_onnx)},
            "monitor": {"overconfidence_tolerated": 0.5},
        },
    )
    commit(project.root, "A quick recipe and easy gates")


def train_small(project: Project) -> None:
    """Run the main job as a user does, quickly."""
    make_quick(project)
    run_main_job(project)


def run_main_job(project: Project) -> None:
    """Run the main job on the drawn data that are there, and commit what it leaves."""
    command = [sys.executable, "-m", "flows.training", "--synthetic", "--reason", "test"]
    # Nothing listens on port 9: the flow must start a server of its own.
    environment = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    result = subprocess.run(
        command,
        cwd=project.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    (project.state / "output.txt").write_text(result.stdout, encoding="utf-8")
    if result.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {result.returncode}:\n{result.stdout}")
    commit(project.root, "The main job was run")


def copy_cache(template: Path, project: Project, *stages: str) -> None:
    """Give the project what DVC kept of the template's runs, of these stages or of all: none of them runs again.

    That holds while data, code and parameters are the template's.
    """
    shutil.copytree(template / ".dvc" / "cache", project.root / ".dvc" / "cache", dirs_exist_ok=True)
    for run in list((project.root / ".dvc" / "cache" / "runs").rglob("*")):
        if stages and run.is_file():
            command = yaml.safe_load(run.read_text(encoding="utf-8"))["cmd"]
            if command.split()[-1] not in stages:
                run.unlink()
                if not any(run.parent.iterdir()):
                    run.parent.rmdir()  # DVC looks for a run in every folder that there is.


def move_registry(project: Project, origin: Path) -> None:
    """MLflow's database holds absolute paths; let those of a copied project point into the copy."""
    columns = {
        "experiments": ["artifact_location"],
        "runs": ["artifact_uri"],
        "logged_models": ["artifact_location"],
        "model_versions": ["source", "storage_location"],
    }
    with sqlite3.connect(project.state / "mlflow.db") as database:
        for table, names in columns.items():
            for name in names:
                database.execute(f"UPDATE {table} SET {name} = replace({name}, ?, ?)", (str(origin), str(project.root)))


def make_pipeline(project: Project) -> None:
    """A repository with one file in data/, pinned, and no stages yet."""
    project.data.mkdir(parents=True)
    (project.data / "a").write_text("a", encoding="utf-8")
    git(project.root, "init", "--quiet", "--template=")
    for command in (["init", "--quiet"], ["add", "--quiet", "data"]):
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=project.root, check=True)


def copy_pipeline(template: Path, destination: Path, stages: Mapping[str, Any]) -> Project:
    """A copy of such a repository with these stages, committed."""
    project = Project(shutil.copytree(template, destination, symlinks=True))
    (project.root / "dvc.yaml").write_text(yaml.safe_dump({"stages": dict(stages)}), encoding="utf-8")
    commit(project.root, "A pipeline")
    return project


def edit_params(project: Project, changes: dict[str, Any]) -> Params:
    """Merge `changes` into params.yaml; a dictionary goes into the section of that name."""
    content = yaml.safe_load(project.params.read_text(encoding="utf-8"))
    _merge(content, changes)
    project.params.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_params(project.params)


def commit(folder: Path, message: str) -> str:
    """Commit everything that git does not ignore; the commit's id."""
    git(folder, "add", "--all")
    git(folder, *IDENTITY, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(folder, "rev-parse", "HEAD").strip()


def git(folder: Path, *arguments: str) -> str:
    """What git prints."""
    result = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return result.stdout


def read_suite(project: Project, name: str) -> Any:
    return json.loads((project.expectations / f"{name}.json").read_text(encoding="utf-8"))


def write_suite(project: Project, name: str, content: Any) -> None:
    (project.expectations / f"{name}.json").write_text(json.dumps(content, indent=2), encoding="utf-8")


def _copy(source: Path, destination: Path) -> None:
    if source.is_dir():
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
        shutil.copytree(source, destination, ignore=ignore)
    elif source.exists():
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, destination)


def _forget_server(environment: Path) -> None:
    """A test must not reach the Prefect server that its user may be running."""
    lines = environment.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("PREFECT_API_URL=")]
    environment.write_text("\n".join(kept) + "\n", encoding="utf-8")


def _names(project: Project, classes: int) -> list[str]:
    known = load_params(project.params).data.classes
    return [*known, *(f"Class {number}" for number in range(len(known), classes))][:classes]


def _merge(content: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict):
            _merge(content.setdefault(key, {}), value)
        else:
            content[key] = value


def _edit_suites(project: Project, counts: dict[str, int], data: DataParams) -> None:
    classes, (height, width, channels) = len(data.classes), data.shape
    values = {"label": list(range(classes)), "height": [height], "width": [width]}
    for name in ("images", "batch", *counts):
        suite = read_suite(project, name)
        for expectation in suite["expectations"]:
            kwargs = expectation["kwargs"]
            if expectation["type"] == "expect_table_row_count_to_equal":
                kwargs["value"] = counts[name]
            if "column_list" in kwargs and channels == 3:
                place = kwargs["column_list"].index("content_hash") + 1
                kwargs["column_list"][place:place] = WATCHED_IN_COLOUR
            if "value_set" in kwargs and kwargs["column"] in values:
                kwargs["value_set"] = values[kwargs["column"]]
            if "partition_object" in kwargs:
                kwargs["partition_object"] = {"values": values["label"], "weights": [1 / classes] * classes}
        write_suite(project, name, suite)


def log_predictions(
    project: Project,
    images: Iterable[Any],
    labels: Iterable[Any],
    made: datetime | None = None,
    model: str | None = None,
    given_by: str = "test",
    asked: Iterable[bool] = repeat(True),
) -> list[str]:
    """Write what a service would into the log: predictions, and labels where there is one; the ids."""
    params = load_params(project.params)
    log = PredictionLog(predictions_url(project))
    nothing = {
        "model": model or params.register_.name,
        "model_version": "1",
        "probabilities": np.full(10, 0.1, np.float32),
        "embedding": np.zeros(4, np.float32),
    }
    records = [
        Record(id=new_id(), time=made or datetime.now(UTC), image=image, reason=None, asked=one, **nothing)
        for image, one in zip(images, asked, strict=False)
    ]
    log.write(records)
    for record, label in zip(records, labels, strict=True):
        if label is not None:
            log.add_label(record.id, int(label), given_by, params.data.classes[label])
    log.close()
    return [record.id for record in records]
