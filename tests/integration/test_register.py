"""The registry's decisions, with real small models."""

import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import yaml
from mlflow import MlflowClient
from rich.console import Console
from typer.testing import CliRunner

from fashion.adapters import litert, tracking
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.versioning import data_version, folder_md5, read_lock, read_pin
from fashion.cli import app
from fashion.errors import ArtifactError, ServiceError
from fashion.images.synthetic import draw
from fashion.loop.collect import collect, is_learned
from fashion.params import load_params
from fashion.registry import promotion
from fashion.registry.approval import Answer, conclude
from fashion.registry.lineage import look_up_lineage
from fashion.registry.promotion import promote
from fashion.registry.register import register
from fashion.stages.evaluate import evaluate
from fashion.stages.fetch import Drawing, draw_data
from fashion.stages.prepare import prepare
from fashion.stages.train import train
from fashion.stages.validate import validate
from tests.advice import follow
from tests.candidates import make_candidate
from tests.integration.test_promotion import add_versions
from tests.projects import edit_params, log_predictions

WEAK = {"epochs": 1, "learning_rate": 1e-5}
"""A recipe that hardly learns, so that which of two models is better is no accident."""


def load(project):
    return load_params(project.params)


def aliases(project):
    registry = registry_of(project, load(project))
    found = {alias: tracking.version_with_alias(registry, alias) for alias in (tracking.CHAMPION, tracking.CHALLENGER)}
    return {alias: version.number if version else None for alias, version in found.items()}


def versions(project):
    return MlflowClient(registry_of(project, load(project)).uri).search_model_versions("name = 'fashion-classifier'")


def test_the_first_version_that_passes_its_gates_is_champion(trained_project):
    again = register(trained_project, load(trained_project))
    assert (again.version, again.verdict, again.created) == ("1", "champion", False)
    assert aliases(trained_project) == {"champion": "1", "challenger": None}


def test_a_version_that_another_has_replaced_is_not_champion_when_it_is_registered_again(trained_project):
    (two,) = add_versions(trained_project)
    promote(trained_project, load(trained_project), two, "a try")
    again = register(trained_project, load(trained_project))
    assert (again.version, again.verdict, again.created) == ("1", "challenger", False)
    assert again.reason.startswith("version 2 has become champion since; before: all gates passed")


def test_the_same_artifacts_make_no_second_version(trained_project):
    for _ in range(2):
        register(trained_project, load(trained_project))
    assert len(versions(trained_project)) == 1


def test_a_version_carries_what_it_was_made_from(trained_project):
    registry = registry_of(trained_project, load(trained_project))
    client = MlflowClient(registry.uri)
    version = client.get_model_version("fashion-classifier", "1")
    assert version.tags["synthetic_data"] == "true"
    assert version.description.startswith("Accuracy ")
    assert "drawn images" in version.description.splitlines()[0]
    assert "of 10 classes apart" in client.get_registered_model("fashion-classifier").description
    run = client.get_run(version.run_id).data
    assert "/versions/1?" in run.tags["mlflow.note.content"]
    assert f"{run.metrics['test/accuracy']:.4f}" == version.tags["accuracy"]
    assert version.tags["data_version"].endswith(".dir")
    assert len(version.tags["git_commit"]) == 40
    folder = f"origin/{version.tags['artifacts_sha256']}"
    origin = {file.path.removeprefix(f"{folder}/") for file in client.list_artifacts(version.run_id, folder)}
    assert {"params.yaml", "data.dvc", "dvc.lock", "requirements.lock", "expectations", "changes.patch"} < origin
    assert "evaluation/confusion_matrix.png" in {
        file.path for file in client.list_artifacts(version.run_id, "evaluation")
    }
    assert client.get_metric_history(version.run_id, "epochs/validation_accuracy")


@pytest.fixture
def others(trained_project):
    """Puts other drawn data into data/ of the trained project, calls what it is given, and puts the first ones back."""

    def call(*actions):
        for action in (lambda: draw_data(trained_project, load(trained_project), Drawing(600, 200, seed=7)), *actions):
            action()
        draw_data(trained_project, load(trained_project), Drawing(600, 200))

    return call


def register_anew(project):
    return register(project, edit_params(project, {"register": {"name": "anew"}}))


def data_of(project, registration):
    """The version of the data that a version claims, by its tag, its lineage and its data.dvc."""
    version = MlflowClient(registry_of(project, load(project)).uri).get_model_version("anew", registration.version)
    lineage = look_up_lineage(project, load(project), registration.version).origin.data.version
    (pinned,) = project.state.glob(f"mlflow/{version.run_id}/artifacts/origin/*/data.dvc")
    return {version.tags["data_version"], lineage, yaml.safe_load(pinned.read_text())["outs"][0]["md5"]}


def test_a_version_claims_the_data_that_it_has_learned_from_and_no_others_that_came_since(trained_project):
    learned, pinned = data_version(trained_project), (trained_project.root / "data.dvc").read_text()
    assert read_pin(trained_project).to_yaml() == pinned
    params = edit_params(trained_project, {"collect": {"at_least": 120}})
    log_predictions(trained_project, *draw(120, 10, (28, 28), seed=11))
    assert collect(trained_project, params).batch
    assert data_of(trained_project, register_anew(trained_project)) == {learned}
    assert not is_learned(trained_project, load(trained_project))


def test_data_are_not_learned_before_their_version_was_decided_about(trained_project, monkeypatch):
    """A retraining that finds nothing new goes on with a registration that was interrupted."""
    params = edit_params(trained_project, {"register": {"name": "anew"}})
    with monkeypatch.context() as patch:
        patch.setattr(promotion, "check_loadable", lambda *_: pytest.fail("killed here"))
        with pytest.raises(pytest.fail.Exception):
            register(trained_project, params)
    (version,) = tracking.list_versions(registry_of(trained_project, params))
    assert version.tags["data_version"] == data_version(trained_project)
    assert not is_learned(trained_project, params)
    assert register(trained_project, params).version == version.number
    assert is_learned(trained_project, params)


def test_stages_by_hand_leave_no_word_in_dvc_lock_and_a_version_of_theirs_claims_what_they_read(
    trained_project, others
):
    (trained_project.root / "dvc.lock").unlink()
    others(lambda: refuses(trained_project, "it is not known which data"))
    (trained_project.data / "later").write_text("not pinned")
    refuses(trained_project, "it is not known which data")
    (trained_project.data / "later").unlink()
    assert data_of(trained_project, register_anew(trained_project)) == {data_version(trained_project)}


def refuses(project, complaint):
    with pytest.raises(ArtifactError, match=complaint) as told:
        register_anew(project)
    return told.value


@pytest.mark.advice("dvc repro", "registry/origin.py")
@pytest.mark.parametrize(
    ("stages", "complaint"),
    [
        ([validate], "data/ changed between the stages validate and prepare"),
        ([validate, prepare], "was trained on a different dataset"),
    ],
)
def test_artifacts_of_several_versions_of_the_data_are_no_version(trained_project, others, stages, complaint):
    learned = data_version(trained_project)
    others(*(partial(stage, trained_project, load(trained_project)) for stage in stages))
    told = refuses(trained_project, complaint)
    follow(trained_project, told, "dvc repro")
    assert data_of(trained_project, register_anew(trained_project)) == {learned}


def test_a_version_claims_the_training_that_it_comes_from_and_not_the_one_that_params_yaml_describes_now(
    trained_project,
):
    trained = json.loads((trained_project.model / "training.json").read_text())
    edit_params(trained_project, {"train": {"seed": trained["seed"] + 1}})
    version = tracking.get_version(registry_of(trained_project, load(trained_project)), "1")
    MlflowClient(registry_of(trained_project, load(trained_project)).uri).delete_run(version.run_id)
    anew = register_anew(trained_project)
    client = MlflowClient(registry_of(trained_project, load(trained_project)).uri)
    tags = client.get_model_version("anew", anew.version).tags
    assert (tags["recipe"], tags["network"], tags["seed"]) == ("baseline", trained["network"], str(trained["seed"]))
    assert client.get_run(anew.run_id).info.run_name == f"baseline, seed {trained['seed']}"


def test_artifacts_of_other_classes_than_those_of_params_yaml_are_no_version(trained_project):
    _, *others = load(trained_project).data.classes
    edit_params(trained_project, {"data": {"classes": ["Tee", *others]}})
    refuses(trained_project, "classes.json is about other classes or images than params.yaml")
    assert tracking.list_versions(registry_of(trained_project, load(trained_project))) == ()


def test_the_content_of_a_folder_has_the_name_that_dvc_gives_it(trained_project):
    assert folder_md5(trained_project.data) == data_version(trained_project)
    (trained_project.data / ".half-written").touch()
    assert folder_md5(trained_project.data) == data_version(trained_project)
    stages = read_lock(trained_project.root / "dvc.lock").values()
    for name, digest in {name: digest for stage in stages for name, digest in stage.outputs.items()}.items():
        assert folder_md5(trained_project.root / name) == digest, name


def test_a_better_candidate_takes_the_place_of_the_champion(trained_project):
    champion = make_and_register_weak_champion(trained_project)
    make_candidate(trained_project, seed=5)
    better = register(trained_project, load(trained_project))
    assert better.verdict == "champion"
    assert better.reason.startswith(f"all gates passed, not worse than version {champion.version}, and better in")
    assert "accuracy (+" in better.reason
    assert aliases(trained_project) == {"champion": better.version, "challenger": None}


def test_a_failed_gate_alone_refuses_a_better_candidate_for_that_reason_alone(trained_project):
    champion = make_and_register_weak_champion(trained_project)
    edit_params(trained_project, {"evaluate": {"gates": {"latency_milliseconds_at_most": 0.000001}}})
    make_candidate(trained_project, seed=5)
    refused = register(trained_project, load(trained_project))
    assert refused.verdict == "challenger"
    (reason,) = refused.judgement.reasons
    assert reason.startswith("gates failed: latency_milliseconds is")
    assert {"accuracy": "better"}.items() <= {line.figure: line.verdict for line in refused.judgement.lines}.items()
    assert aliases(trained_project)["champion"] == champion.version


def test_the_judgement_is_kept_in_the_registry_and_at_hand(trained_project):
    make_and_register_weak_champion(trained_project)
    make_candidate(trained_project, seed=5)
    better = register(trained_project, load(trained_project))
    assert better.judgement.promoted
    assert better.judgement.images == 200
    assert better.judgement.champion == "version 1"
    client = MlflowClient(registry_of(trained_project, load(trained_project)).uri)
    version = client.get_model_version(better.name, better.version)
    assert version.tags["judged_against"] == "version 1"
    assert version.tags["judged_accuracy"].startswith("+")
    folder = f"judgement/{better.name}/{better.version}"
    kept = {file.path for file in client.list_artifacts(version.run_id, folder)}
    assert kept == {f"{folder}/judgement.{kind}" for kind in ("json", "md")}
    assert json.loads((trained_project.judgement / "judgement.json").read_text())["promoted"] is True
    shutil.rmtree(trained_project.judgement)
    again = register(trained_project, load(trained_project))
    assert again.judgement == better.judgement
    assert "| accuracy |" in (trained_project.judgement / "judgement.md").read_text()


def test_the_command_prints_the_judgement(trained_project, monkeypatch):
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    weak = load(trained_project).train.chosen.model_dump() | WEAK
    make_candidate(trained_project, recipes={"baseline": weak})
    monkeypatch.setattr("fashion.cli.pipeline.console", Console(width=160, soft_wrap=True))
    result = CliRunner().invoke(app, ["register"])
    assert result.exit_code == 0, result.output
    assert "fashion-classifier version 2: challenger" in result.output
    assert "Candidate against version 1" in result.output
    assert "may be worse" in result.output
    assert "McNemar's exact p = " in result.output


def test_size_and_latency_of_both_are_of_the_files_that_answer(trained_project, monkeypatch):
    champion = make_and_register_weak_champion(trained_project)
    make_candidate(trained_project, seed=5)
    measure, measured = litert.latencies, []

    def measure_without_noise(models, *arguments):
        """The same network in the same form: whatever differs is noise of the machine."""
        measured.extend(path.read_bytes() for path in models)
        times = measure(models, *arguments)
        return np.broadcast_to(times.mean(axis=0), times.shape)

    monkeypatch.setattr(litert, "latencies", measure_without_noise)
    better = register(trained_project, load(trained_project))
    lines = {line.figure: line for line in better.judgement.lines}
    answers = (trained_project.export / "model.tflite").read_bytes()
    assert lines["size"].candidate == len(answers)
    assert len(measured) == 2
    assert answers in measured
    assert {len(one) for one in measured} == {lines["size"].candidate, lines["size"].champion}
    assert lines["latency"].candidate > 0
    assert lines["size"].verdict == lines["latency"].verdict == "no better", champion


def test_the_champions_own_model_measured_again_is_a_tie(trained_project):
    params = edit_params(trained_project, {"evaluate": {"gates": {"accuracy_at_least": 0.01}}})
    evaluate(trained_project, params)
    tie = register(trained_project, params)
    assert (tie.version, tie.verdict) == ("2", "challenger")
    assert tie.judgement.reasons == ("it is the same model as the champion, version 1, byte for byte",)
    assert aliases(trained_project) == {"champion": "1", "challenger": "2"}


def test_a_judgement_that_was_interrupted_after_the_alias_had_moved_is_finished(trained_project):
    before = register(trained_project, load(trained_project))
    registry = registry_of(trained_project, load(trained_project))
    for tag in ("verdict", "reason"):
        MlflowClient(registry.uri).delete_model_version_tag(registry.name, "1", tag)
    assert register(trained_project, load(trained_project)) == replace(before, created=True)
    assert aliases(trained_project) == {"champion": "1", "challenger": None}


def make_and_register_weak_champion(project):
    """A champion of one epoch in a registry of its own."""
    params = edit_params(project, {"register": {"name": "fashion-classifier-weak"}})
    recipe = params.train.chosen.model_dump() | WEAK
    make_candidate(project, recipes={params.train.recipe: recipe})
    champion = register(project, load(project))
    assert champion.verdict == "champion", champion.reason
    edit_params(project, {"train": {"recipes": {params.train.recipe: params.train.chosen.model_dump()}}})
    return champion


def test_a_worse_candidate_stays_challenger_and_the_reason_is_kept(trained_project):
    params = load(trained_project)
    weak = params.train.chosen.model_dump() | WEAK
    make_candidate(trained_project, recipes={params.train.recipe: weak})
    worse = register(trained_project, load(trained_project))
    assert (worse.version, worse.verdict) == ("2", "challenger")
    assert "its accuracy may be below version 1's by more than the margin of 0.5 points" in worse.reason
    assert aliases(trained_project) == {"champion": "1", "challenger": "2"}
    tags = MlflowClient(registry_of(trained_project, load(trained_project)).uri)
    assert tags.get_model_version("fashion-classifier", "2").tags["reason"] == worse.reason


def test_a_failed_gate_keeps_even_a_first_version_from_becoming_champion(trained_project):
    params = edit_params(
        trained_project,
        {"register": {"name": "strict"}, "evaluate": {"gates": {"latency_milliseconds_at_most": 0.000001}}},
    )
    evaluate(trained_project, params)
    refused = register(trained_project, params)
    assert refused.verdict == "challenger"
    assert refused.reason.startswith("gates failed: latency_milliseconds is")
    assert tracking.version_with_alias(registry_of(trained_project, params), tracking.CHAMPION) is None


def name_classes(project, classes):
    """Let the champion's description name other classes, as if it had been made for them."""
    (contract,) = (project.state / "mlflow").glob("**/extra_files/classes.json")
    contract.write_text(json.dumps(json.loads(contract.read_text()) | {"classes": classes}))
    shutil.rmtree(project.state / "champion", ignore_errors=True)


def test_a_champion_that_shares_hardly_a_class_is_never_replaced_silently(trained_project):
    name_classes(trained_project, [f"garment {number}" for number in range(9)] + ["Ankle boot"])
    make_candidate(trained_project, seed=5)
    refused = register(trained_project, load(trained_project))
    assert refused.verdict == "challenger"
    assert "cannot be compared: it knows garment 0, garment 1, garment 2, garment 3, garment 4, ..." in refused.reason
    assert "fewer than 2 classes are known to both" in refused.reason
    assert aliases(trained_project)["champion"] == "1"


def test_that_a_class_disappears_must_be_confirmed_by_a_person(trained_project):
    first, second, *others, last = load(trained_project).data.classes
    name_classes(trained_project, [second, first, *others, "Sandal boot"])  # Two are mistaken for each other.
    make_candidate(trained_project, seed=5)
    proposed = register(trained_project, load(trained_project))
    assert (proposed.verdict, proposed.approval) == ("challenger", "awaited")
    assert proposed.reason.startswith("awaits approval: all ")
    assert f"new: {last}, judged by the gates alone" in proposed.reason
    assert "no longer known: Sandal boot, which version 1 knows; a person has to agree to that" in proposed.reason
    assert aliases(trained_project) == {"champion": "1", "challenger": "2"}
    yes = Answer(approved=True, who="Anna", via="fashion approve", reason="we sell none any more")
    assert conclude(trained_project, load(trained_project), "2", yes, "a run").verdict == "champion"
    assert aliases(trained_project) == {"champion": "2", "challenger": None}


def test_a_model_of_drawn_images_never_replaces_one_of_real_images(trained_project):
    registry = registry_of(trained_project, load(trained_project))
    champion = tracking.version_with_alias(registry, tracking.CHAMPION)
    tracking.tag_version(registry, champion, {"synthetic_data": "false"})
    make_candidate(trained_project, seed=5)
    refused = register(trained_project, load(trained_project))
    assert refused.verdict == "challenger"
    assert "drawn images" in refused.reason
    assert aliases(trained_project)["champion"] == "1"


def test_a_champion_whose_files_are_gone_is_never_replaced_silently(trained_project):
    shutil.rmtree(trained_project.state / "mlflow" / "models")
    shutil.rmtree(trained_project.state / "champion", ignore_errors=True)
    make_candidate(trained_project, seed=5)
    refused = register(trained_project, load(trained_project))
    assert refused.verdict == "challenger"
    assert "cannot be compared" in refused.reason


def test_a_champion_whose_model_is_damaged_is_never_replaced_silently(trained_project):
    (model,) = (trained_project.state / "mlflow").glob("**/extra_files/model.tflite")
    model.write_bytes(model.read_bytes()[:1000])
    make_candidate(trained_project, seed=5)
    refused = register(trained_project, load(trained_project))
    assert refused.verdict == "challenger"
    assert "the champion, version 1, cannot be compared" in refused.reason
    assert aliases(trained_project)["champion"] == "1"


def test_the_champion_is_taken_from_the_registry_and_not_from_a_copy_of_another_one(trained_project):
    stray = trained_project.state / "champion" / "1" / "extra_files"
    stray.mkdir(parents=True)
    for name in ("model.tflite", "classes.json"):
        shutil.copy(trained_project.export / name, stray)
    make_and_register_weak_champion(trained_project)
    make_candidate(trained_project, seed=5)
    assert register(trained_project, load(trained_project)).judgement.champion == "version 1"


def test_a_model_that_was_not_measured_is_refused(trained_project):
    params = load(trained_project)
    train(trained_project, edit_params(trained_project, {"train": {"seed": 77}}), on_step=lambda done, total: None)
    with pytest.raises(ArtifactError, match="not the model that was measured"):
        register(trained_project, params)
    assert len(versions(trained_project)) == 1


@pytest.mark.parametrize(("file", "stage"), [("evaluation/gate.json", "evaluate"), ("export/report.json", "export")])
def test_gates_from_before_there_were_intervals_are_refused_with_the_command_that_measures_again(
    trained_project, file, stage
):
    path = trained_project.root / "artifacts" / file
    content = json.loads(path.read_text())
    old = [{name: one[name] for name in ("name", "value", "limit")} | {"passed": True} for one in content["checks"]]
    path.chmod(0o644)
    path.write_text(json.dumps(content | {"passed": True, "checks": old}))
    with pytest.raises(ArtifactError, match=f"make it again with: dvc repro {stage}$"):
        register(trained_project, load(trained_project))


def test_a_candidate_whose_gates_decide_nothing_is_registered_as_undecided(trained_project):
    accuracy = json.loads((trained_project.evaluation / "metrics.json").read_text())["accuracy"]
    changes = {"register": {"name": "undecided"}, "evaluate": {"gates": {"accuracy_at_least": accuracy}}}
    params = edit_params(trained_project, changes)
    evaluate(trained_project, params)
    registered = register(trained_project, params)
    assert registered.verdict == "champion"
    assert registered.reason.startswith("no gate failed, 1 undecided: accuracy is ")
    assert registered.reason.endswith("; there was no champion")
    version = tracking.get_version(registry_of(trained_project, params), registered.version)
    assert version.tags["gates"] == "undecided"


def test_a_judgement_that_is_damaged_in_mlflow_costs_its_figures_alone(trained_project, caplog):
    (kept,) = trained_project.state.glob("mlflow/**/judgement.json")
    kept.write_text('{"lines": 1}')
    again = register(trained_project, load(trained_project))
    assert (again.verdict, again.created, again.judgement) == ("champion", False, None)
    assert "judgement on version 1 cannot be read in MLflow" in caplog.text


def test_missing_artifacts_say_how_to_make_them(small_project):
    with pytest.raises(ArtifactError, match="dvc repro evaluate"):
        register(small_project, load(small_project))


def test_a_registry_that_does_not_know_the_training_gets_its_curves_afterwards(trained_project, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/later.db")
    late = register(trained_project, load(trained_project))
    assert (late.version, late.verdict, late.created) == ("1", "champion", True)
    client = MlflowClient(f"sqlite:///{tmp_path}/later.db")
    run_id = client.get_model_version("fashion-classifier", "1").run_id
    epochs = load(trained_project).train.chosen.epochs
    assert len(client.get_metric_history(run_id, "epochs/validation_loss")) == epochs


def test_without_a_server_training_does_not_start(trained_project, monkeypatch):
    before = trained_project.model_file.read_bytes()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    steps = []
    with pytest.raises(ServiceError, match="No MLflow server answers"):
        train(trained_project, load(trained_project), on_step=lambda done, total: steps.append(done))
    assert not steps
    assert trained_project.model_file.read_bytes() == before
