"""Advice in the state in which it is given: the error or summary is provoked, and its command typed."""

import http.server
import json
import os
import shlex
import shutil
import threading
from contextlib import contextmanager
from uuid import UUID

import pytest

from fashion.adapters import tracking
from fashion.adapters.git import read_source
from fashion.adapters.orchestration import Run, await_end
from fashion.adapters.quality import load_suite
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.versioning import data_version, locked_pin, pinned_files, push, read_lock, read_pin, reproduce
from fashion.adapters.versioning.pinning import pin
from fashion.errors import ArtifactError, DataError, FashionError, LineageError, ServiceError
from fashion.images.synthetic import draw
from fashion.loop.collect import collect
from fashion.loop.refused_labels import count_refused
from fashion.pages.needs import of_refused
from fashion.params import load_params
from fashion.paths import Project
from fashion.registry.champion import fetch_champion
from fashion.registry.contest import set_task
from fashion.registry.gates import read_gate
from fashion.registry.judging import judge_candidate
from fashion.registry.lineage import look_up_lineage
from fashion.registry.origin import describe_origin
from fashion.registry.overview import list_models
from fashion.registry.promotion import promote, roll_back
from fashion.registry.register import Registration, register
from fashion.stages.classifier import load_classifier
from fashion.stages.dataset import load_split, read_history
from fashion.stages.prepare import prepare
from fashion.stages.raw import read_batches, read_raw
from fashion.stages.restoring import SYNTHETIC
from fashion.storage import file_digest
from flows import progress
from flows.artifacts import print_summary
from tests.advice import follow
from tests.candidates import make_candidate
from tests.conftest import copy_template, use_environment
from tests.integration.test_predict import read_only
from tests.integration.test_promotion import add_versions
from tests.projects import commit, copy_pipeline, edit_params, log_predictions


def load(project):
    return load_params(project.params)


# Artifacts


def describe_all(project):
    describe_origin(project, read_source(project), read_pin(project))


def judge(project):
    registry = registry_of(project, load(project))
    judge_candidate(registry, project, load(project), tracking.get_version(registry, "1"), read_gate(project))


def register_anew(project):
    register(project, edit_params(project, {"register": {"name": "anew"}}))


def summarise(project):
    print_summary(project, Registration("x", "1", "0a", created=True, verdict="champion", reason="r", judgement=None))


def find_slices(project):
    """As for a judgement; where they were never measured, it says so, and judges the rest."""
    unjudged = set_task(project, load(project)).unjudged
    if any("since artifacts/evaluation" in why for why in unjudged):
        raise ArtifactError("; ".join(unjudged))


READERS = {
    "validate": [describe_all, summarise, register_anew, lambda project: prepare(project, load(project))],
    "prepare": [describe_all, lambda project: load_split(project, "train")],
    "train": [describe_all, read_history, lambda project: load_classifier(project.model_file)],
    "evaluate": [describe_all, summarise, read_gate, find_slices, register_anew],
    "export": [describe_all, read_gate, judge],
}
FOLDERS = {
    "validate": "validation",
    "prepare": "dataset",
    "train": "model",
    "evaluate": "evaluation",
    "export": "export",
}


def remove(path):
    path.unlink()


def overwrite(path):
    path.chmod(0o644)
    path.write_bytes(b"damaged")


@pytest.mark.advice(
    "dvc repro",
    "flows/artifacts.py",
    "stages/classifier.py",
    "stages/dataset.py",
    "registry/gates.py",
    "registry/origin.py",
    "stages/prepare.py",
    "stages/robustness.py",
)
@pytest.mark.parametrize("harm", [remove, overwrite])
def test_artifacts_that_are_missing_or_damaged_are_made_again_by_the_command_that_whoever_reads_them_names(
    trained_project, harm
):
    for stage, readers in READERS.items():
        for path in (trained_project.root / "artifacts" / FOLDERS[stage]).rglob("*"):
            if path.is_file():
                harm(path)
        for read in readers:
            with pytest.raises(ArtifactError) as told:
                read(trained_project)
            assert f"with: dvc repro {stage}" in str(told.value), read
        follow(trained_project, told.value, f"dvc repro {stage}")
        for read in readers:
            read(trained_project)


# What git and DVC keep


KEPT_BY_GIT = {
    "no data.dvc": ("data.dvc", remove, data_version),
    "a damaged data.dvc": ("data.dvc", overwrite, data_version),
    "a damaged data.dvc, to count": ("data.dvc", overwrite, pinned_files),
    "a damaged dvc.lock, for the data": ("dvc.lock", overwrite, lambda project: locked_pin(project, "x", project.data)),
    "a damaged dvc.lock": ("dvc.lock", overwrite, lambda project: read_lock(project.root / "dvc.lock")),
    "no params.yaml": ("params.yaml", remove, load),
    "no suite": ("expectations/train.json", remove, lambda project: load_suite(project.expectations / "train.json")),
}


@pytest.mark.advice("git checkout", "adapters/versioning/records.py", "adapters/quality.py", "params/__init__.py")
def test_files_that_git_keeps_are_restored_by_the_command_that_whoever_reads_them_names(small_project):
    (small_project.root / "dvc.lock").write_text("stages: {}\n")
    commit(small_project.root, "A lock")
    for name, harm, read in KEPT_BY_GIT.values():
        harm(small_project.root / name)
        with pytest.raises(FashionError) as told:
            read(small_project)
        follow(small_project, told.value, f"git checkout -- {name}")
        read(small_project)


@pytest.mark.advice("git checkout", "adapters/versioning/pinning.py")
def test_a_project_without_dvcs_folder_gets_it_back(small_project):
    shutil.rmtree(small_project.root / ".dvc")
    with pytest.raises(ServiceError) as told:
        pin(small_project)
    follow(small_project, told.value, "git checkout -- .dvc")
    pin(small_project)


@pytest.mark.advice("git checkout", "flows/progress.py")
def test_the_figures_of_the_first_run_are_restored(project, monkeypatch):
    monkeypatch.setattr(progress, "MEASURED", project.root / "benchmarks" / "first_run.json")
    overwrite(progress.MEASURED)
    with pytest.raises(ArtifactError) as told:
        progress.forecast(project, load(project))
    follow(project, told.value, "git checkout -- benchmarks/first_run.json")
    assert "minutes" in progress.forecast(project, load(project))


@pytest.fixture
def pipeline(pipeline_template, tmp_path):
    return copy_pipeline(pipeline_template, tmp_path / "pipeline", {"copy": {"cmd": "cp data/a c", "outs": ["c"]}})


@pytest.mark.advice("rm", "adapters/versioning/commands.py")
def test_a_lock_of_dvc_whose_number_is_another_process_now_is_removed(pipeline):
    user = {"pid": os.getpid(), "cmd": "dvc repro copy"}
    entry = {"write": {str(pipeline.root / "c"): user}, "read": {}}
    (pipeline.root / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(entry))
    with pytest.raises(ServiceError) as told:
        reproduce(pipeline, "copy", print, patience_seconds=0)
    follow(pipeline, told.value, "rm .dvc/tmp/rwlock")
    assert reproduce(pipeline, "copy", print, patience_seconds=0)


@pytest.mark.advice("dvc push", "adapters/versioning/commands.py")
def test_what_could_not_be_pushed_is_pushed_once_the_remote_is_back(pipeline, tmp_path):
    (tmp_path / "shared").write_text("in the way")
    config = f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {tmp_path / 'shared'}\n"
    (pipeline.root / ".dvc" / "config").write_text(config)
    with pytest.raises(ServiceError) as told:
        push(pipeline, print)
    (tmp_path / "shared").unlink()
    assert "pushed" in follow(pipeline, told.value, "dvc push")


# Data


@pytest.mark.advice("dvc pull", "stages/restoring.py")
@pytest.mark.advice("fashion fetch", "stages/restoring.py")
@pytest.mark.parametrize("drawn", [True, False], ids=["drawn", "real"])
@pytest.mark.parametrize("name", ["images-idx3-ubyte.gz", "predictions.csv", "survey.json"])
def test_a_damaged_batch_comes_back_as_data_dvc_pins_it(small_project, name, drawn):
    params = edit_params(small_project, {"collect": {"at_least": 120}})
    if not drawn:
        make_real(small_project, params)
        pin(small_project)
    log_predictions(small_project, *draw(120, 10, (28, 28), seed=11))
    path = small_project.batches / str(collect(small_project, load(small_project)).batch) / name
    before = path.read_bytes()
    overwrite(path)
    with pytest.raises(FashionError) as told:
        read_batches(small_project, params.data)
        collect(small_project, load(small_project))
    assert f"remove {path.parent}, then" in str(told.value)
    shutil.rmtree(path.parent)
    follow(small_project, told.value, "dvc pull data.dvc" if drawn else "fashion fetch")
    assert path.read_bytes() == before


def make_real(project, params):
    """Let the drawn files be those that params.yaml asks for."""
    (project.data / SYNTHETIC).unlink()
    names = ("train_images", "train_labels", "test_images", "test_labels")
    found = {name: file_digest(project.data / getattr(params.data, name).name) for name in names}
    edit_params(project, {"data": {name: {"sha256": digest} for name, digest in found.items()}})


@pytest.mark.advice("rm", "loop/collect.py", "loop/refused_labels.py", "pages/needs.py")
def test_refused_labels_are_tried_again_as_they_are_when_the_list_of_them_is_removed(
    small_template, tmp_path, monkeypatch
):
    project = copy_template(small_template, tmp_path / "a folder", monkeypatch)
    params = edit_params(project, {"collect": {"at_least": 120}})
    images, labels = draw(120, 10, (28, 28), seed=11)
    log_predictions(project, images, [(label + 1) % 10 for label in labels])
    path = project.state / "refused.csv"
    remove = f"rm {shlex.quote(str(path))}"
    for _ in range(2):
        with pytest.raises(DataError, match="With the 120 new labels") as told:
            collect(project, params)
        assert collect(project, params).batch is None
        (need,) = of_refused(count_refused(project, params), str(path))
        assert need.what.startswith("120 labels")
        assert remove in str(told.value)
        follow(project, need.ways, remove)
    path.write_text("id,label_number\n", encoding="utf-8")
    with pytest.raises(ArtifactError, match="refused.csv is damaged") as told:
        collect(project, params)
    follow(project, told.value, remove)
    with pytest.raises(DataError, match="With the 120 new labels"):
        collect(project, params)


@pytest.mark.advice("fashion fetch --synthetic", "stages/restoring.py")
@pytest.mark.parametrize("harm", [remove, overwrite])
def test_a_drawn_file_is_drawn_again(small_project, harm):
    params = load(small_project)
    harm(small_project.data / params.data.test_labels.name)
    with pytest.raises(DataError) as told:
        read_raw(small_project, params.data)
    follow(small_project, told.value, "fashion fetch --synthetic", "--images 600 --test-images 200")
    assert len(read_raw(small_project, params.data)["test"].labels) == 200


# The registry


@pytest.mark.advice("fashion models", "registry/lineage.py")
def test_who_asks_for_a_version_that_is_not_there_sees_those_that_are(trained_project):
    with pytest.raises(LineageError) as told:
        look_up_lineage(trained_project, load(trained_project), "7")
    assert "champion" in follow(trained_project, told.value, "fashion models")


@pytest.mark.advice("make run", "registry/lineage.py")
@pytest.mark.parametrize("harm", [remove, overwrite])
def test_a_version_without_its_lineage_is_followed_by_one_that_has_it(trained_project, harm):
    """`make run` trains and registers, as the last two lines do."""
    (kept,) = trained_project.state.glob("mlflow/**/origin/*/lineage.json")
    harm(kept)
    with pytest.raises(LineageError, match=r"change train\.seed in params\.yaml, then: make run"):
        look_up_lineage(trained_project, load(trained_project), "1")
    params = make_candidate(trained_project, seed=5)
    number = register(trained_project, params).version
    assert look_up_lineage(trained_project, params, number).origin.training["seed"] == 5


@pytest.mark.advice("fashion models", "registry/promotion.py")
def test_who_is_refused_a_version_that_failed_its_gates_sees_that_it_did(trained_project):
    (two,) = add_versions(trained_project, gates="failed")
    with pytest.raises(FashionError) as told:
        promote(trained_project, load(trained_project), two, "because")
    assert "failed" in follow(trained_project, told.value, "fashion models")
    promote(trained_project, load(trained_project), two, "because", force=True)


@pytest.mark.advice("fashion history", "registry/promotion.py")
def test_who_cannot_go_back_sees_why(trained_project):
    with pytest.raises(FashionError, match="no champion before the present one") as told:
        roll_back(trained_project, load(trained_project), None, "because")
    assert "champion none → 1" in follow(trained_project, told.value, "fashion history")


@pytest.mark.advice("fashion models", "adapters/tracking/relocation.py")
def test_a_moved_registry_that_may_only_be_read_is_brought_along_by_a_user_who_may_write_to_it(
    trained_project, monkeypatch
):
    moved = Project(trained_project.root.rename(trained_project.root.with_name("moved")))
    use_environment(moved, monkeypatch)
    with read_only(moved), pytest.raises(ServiceError, match="still points there") as told:
        list_models(moved, load(moved))
    assert "champion" in follow(moved, told.value, "fashion models")
    with read_only(moved):
        assert list_models(moved, load(moved)).models[0].aliases == ("champion",)


# Services


@contextmanager
def prefect_that_says(**state):
    """A server that answers every question about a run with this state."""

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            run = {"id": str(UUID(int=1)), "name": "a run", "tags": ["approval:asked/2"], "state": state}
            self.wfile.write(json.dumps(run).encode())

        def log_message(self, *arguments):
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


@pytest.mark.advice("fashion history", "adapters/orchestration/approval.py")
@pytest.mark.advice("fashion promote --reason", "adapters/orchestration/approval.py")
def test_a_version_whose_run_failed_after_the_answer_is_promoted_by_hand(trained_project):
    (two,) = add_versions(trained_project)
    run = Run(id=str(UUID(int=1)), name="a run", tags=[f"approval:asked/{two}"], state=None)
    with (
        prefect_that_says(type="FAILED", name="Failed", message="no disk", state_details={}) as address,
        pytest.raises(ServiceError, match="the run FAILED") as told,
    ):
        await_end(address, run)
    assert "champion none → 1" in follow(trained_project, told.value, "fashion history")
    follow(trained_project, told.value, f"fashion promote {two} --reason '...'")
    assert fetch_champion(trained_project, load(trained_project)).version.number == two


@pytest.mark.advice("unset", "adapters/tracking/address.py")
def test_without_the_server_of_a_variable_the_local_database_is_used(trained_project, monkeypatch):
    local = os.environ["MLFLOW_TRACKING_URI"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match="unset MLFLOW_TRACKING_URI") as told:
        tracking.check("http://127.0.0.1:9")
    output = follow(
        trained_project,
        f"{told.value}; fashion models",
        "unset MLFLOW_TRACKING_URI; fashion models",
    )
    assert "champion" in output
    assert local.startswith("sqlite:")
