"""A registry without a champion: why, what that means, and commands that work in that very state."""

import re
import shlex

import mlflow
import pytest
from mlflow import MlflowClient
from PIL import Image
from typer.testing import CliRunner

from fashion.adapters import tracking
from fashion.adapters.tracking import ledger as ledger_module
from fashion.adapters.tracking.address import registry_of
from fashion.cli import app
from fashion.cli.terminal import console
from fashion.errors import FashionError
from fashion.params import load_params
from fashion.registry.absence import explain_absence
from fashion.registry.approval import Answer, conclude
from fashion.registry.champion import find_champion
from fashion.registry.promotion import promote
from fashion.registry.register import register
from fashion.stages.dataset import load_split
from fashion.stages.export import export
from fashion.text import shorten
from flows.artifacts import print_summary
from tests.advice import follow
from tests.candidates import make_candidate, measure
from tests.integration.test_promotion import add_versions
from tests.projects import edit_params

STRICT = {"register": {"name": "strict"}, "evaluate": {"gates": {"model_bytes_at_most": 1}}}
ASKED = {"register": {"name": "asked", "approval": "required"}}


@pytest.fixture(autouse=True)
def short_grace(monkeypatch):
    monkeypatch.setattr(ledger_module, "GRACE", 0.3)


def load(project):
    return load_params(project.params)


def registry(project):
    return registry_of(project, load(project))


def client(project):
    return MlflowClient(registry(project).uri)


def champion(project):
    return tracking.read_ledger(registry(project)).aliases.champion


def measure_and_register(project, changes):
    params = edit_params(project, changes)
    measure(project, params)
    return register(project, params)


def fail_gates(project, monkeypatch):
    measure_and_register(project, STRICT)


def propose(project, monkeypatch):
    register(project, edit_params(project, ASKED))


def propose_and_refuse(project, monkeypatch):
    propose(project, monkeypatch)
    conclude(project, load(project), "1", Answer(False, "Bob", "Prefect's page", "too slow"), "a run")


def propose_and_fail_another(project, monkeypatch):
    propose(project, monkeypatch)
    measure_and_register(project, {"evaluate": {"gates": {"model_bytes_at_most": 1}}})


def remove_alias(project, monkeypatch):
    client(project).delete_registered_model_alias("fashion-classifier", "champion")


def remove_alias_of_a_version_that_was_forced(project, monkeypatch):
    client(project).set_model_version_tag("fashion-classifier", "1", "gates", "failed")
    remove_alias(project, monkeypatch)


def remove_alias_and_fail_another(project, monkeypatch):
    remove_alias(project, monkeypatch)
    measure_and_register(project, {"evaluate": {"gates": {"model_bytes_at_most": 1}}})


def delete_the_last_of_two_champions(project, monkeypatch):
    (two,) = add_versions(project)
    promote(project, load(project), two, "newer")
    client(project).delete_model_version("fashion-classifier", two)


def delete_the_only_champion(project, monkeypatch):
    (two,) = add_versions(project)
    for tag, value in {"verdict": "challenger", "reason": "no better"}.items():
        client(project).set_model_version_tag("fashion-classifier", two, tag, value)
    client(project).delete_model_version("fashion-classifier", "1")


def interrupt_the_first_change(project, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(ledger_module, "_carry_out", lambda *_: None)
        register(project, edit_params(project, {"register": {"name": "cut"}}))


def publish(project, name, tags):
    """A version of that name with the files of version 1, of which the history knows nothing."""
    mlflow.set_tracking_uri(registry(project).uri)
    one = client(project).get_model_version("fashion-classifier", "1")
    edit_params(project, {"register": {"name": name}})
    client(project).create_registered_model(name)
    client(project).create_model_version(name, one.source, one.run_id, tags=tags, model_id=one.source.split("/")[-1])


def interrupt_a_registration(project, monkeypatch):
    publish(project, "cut", {"gates": "passed"})


def lose_alias_and_history(project, monkeypatch):
    publish(project, "old", {"verdict": "champion", "reason": "it was good"})


STATES = {
    fail_gates: (
        "version 1, the newest, was refused (gates failed: model_bytes is",
        "promote 1 --reason '...' --force",
    ),
    propose: ("version 1 awaits approval.", "promote 1 --reason '...'"),
    propose_and_refuse: ("was refused (refused by Bob (Prefect's page): too slow)", "promote 1 --reason '...'"),
    propose_and_fail_another: (
        "version 1 awaits approval; version 2, the newest, was refused (gates failed: model_bytes is",
        "promote 1 --reason '...'",
    ),
    remove_alias: ("version 1 was champion until the alias was removed in MLflow.", "rollback --reason '...'"),
    remove_alias_of_a_version_that_was_forced: ("until the alias was removed", "rollback --reason '...' --force"),
    remove_alias_and_fail_another: (
        "the alias was removed in MLflow; version 2, the newest, was refused (gates failed: model_bytes is",
        "rollback --reason '...'",
    ),
    delete_the_last_of_two_champions: (
        "version 2 was champion until the version was deleted in MLflow.",
        "rollback --to 1 --reason '...'",
    ),
    delete_the_only_champion: (
        "champion until the version was deleted in MLflow; version 2, the newest, was refused (no better)",
        "promote 2 --reason '...'",
    ),
    interrupt_the_first_change: (
        "version 1 was to become champion, but that change was interrupted.",
        "promote 1 --reason '...'",
    ),
    interrupt_a_registration: ("the registration of version 1 was interrupted.", "promote 1 --reason '...'"),
    lose_alias_and_history: ("lost the alias, and the history has no record", "promote 1 --reason '...' --force"),
}


def commands(text):
    return re.findall(r": fashion (.*)$", text, re.MULTILINE)


@pytest.mark.advice("fashion promote --reason", "registry/absence.py")
@pytest.mark.advice("fashion rollback --reason", "registry/absence.py")
@pytest.mark.parametrize("leave", STATES, ids=lambda state: state.__name__)
def test_the_reason_is_named_with_a_command_that_makes_a_champion_and_works_in_that_state(
    trained_project, monkeypatch, leave
):
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    leave(trained_project, monkeypatch)
    assert champion(trained_project) is None
    why, command = STATES[leave]
    text = explain_absence(registry(trained_project))
    assert why in text
    assert commands(text)[0] == command
    assert "Until there is one, fashion predict" in text
    version = re.search(r"(?:promote|--to) (\d+)", command)
    result = CliRunner().invoke(app, shlex.split(command))
    assert result.exit_code == 0, result.exception
    assert champion(trained_project) == (version[1] if version else "1")


@pytest.mark.parametrize("leave", [fail_gates, remove_alias_of_a_version_that_was_forced])
def test_force_is_named_only_where_the_command_is_refused_without_it(trained_project, monkeypatch, leave):
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    leave(trained_project, monkeypatch)
    (command,) = commands(explain_absence(registry(trained_project)))
    result = CliRunner().invoke(app, shlex.split(command.removesuffix(" --force")))
    assert "add --force" in str(result.exception)
    assert champion(trained_project) is None


def test_an_empty_registry_asks_for_a_training(project):
    registry = registry_of(project, load(project))
    assert explain_absence(registry) == (
        f"fashion-classifier has no champion in {registry.uri}: no version is registered there under this name. "
        "Train and register one with: make run"
    )


@pytest.mark.advice("make run", "registry/absence.py")
@pytest.mark.advice("make run DATA=synthetic", "registry/absence.py")
def test_after_failed_gates_a_changed_limit_and_another_seed_lead_to_a_champion(trained_project, monkeypatch):
    fail_gates(trained_project, monkeypatch)
    text = explain_absence(registry(trained_project))
    assert "another seed (train.seed in params.yaml) or recipe (train.recipe), then: make run DATA=synthetic" in text
    assert "(evaluate.gates in params.yaml, or export.gates for an agreement), change it, then: make run" in text
    changed = measure_and_register(trained_project, {"evaluate": {"gates": {"model_bytes_at_most": 5_000_000}}})
    assert (changed.verdict, changed.absence) == ("champion", None)
    edit_params(trained_project, {"register": {"name": "another"}, "evaluate": {"gates": {"model_bytes_at_most": 1}}})
    measure_and_register(trained_project, {})
    edit_params(trained_project, {"evaluate": {"gates": {"model_bytes_at_most": 5_000_000}}})
    make_candidate(trained_project, seed=5)
    assert register(trained_project, load(trained_project)).verdict == "champion"


def test_the_limits_are_named_only_where_one_was_missed_and_approve_only_where_a_run_may_wait(
    trained_project, monkeypatch
):
    propose_and_refuse(trained_project, monkeypatch)
    assert "evaluate.gates" not in explain_absence(registry(trained_project))
    propose_by_flow = edit_params(trained_project, {"register": {"name": "flow"}})
    register(trained_project, propose_by_flow, flow_run="a run")
    assert "give it in Prefect's page or with: fashion approve 1\n" in explain_absence(registry(trained_project))
    register(trained_project, edit_params(trained_project, {"register": {"name": "hand"}}))
    assert "fashion approve" not in explain_absence(registry(trained_project))


LOOKING = [["predict", "shirt.png"], ["predict", "shirt.png", "--json"], ["serve", "--port", "0"]]
LOOKING += [["monitor"], ["monitor", "--json"], ["lineage", "champion"], ["rollback", "--reason", "it was better"]]


def test_whoever_looks_for_a_champion_hears_the_same(trained_project, monkeypatch):
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    fail_gates(trained_project, monkeypatch)
    text = explain_absence(registry(trained_project))
    for arguments in LOOKING:
        result = CliRunner().invoke(app, arguments)
        assert isinstance(result.exception, FashionError), arguments
        assert str(result.exception) == text, arguments
        assert result.output == "", arguments


def test_a_service_goes_on_with_the_last_champion_that_it_fetched_and_says_why(trained_project, monkeypatch):
    find_champion(trained_project, load(trained_project))
    remove_alias(trained_project, monkeypatch)
    found = find_champion(trained_project, load(trained_project))
    assert found.champion.version == "1"
    assert found.absent
    assert found.trouble == explain_absence(registry(trained_project))
    assert "fashion monitor have only the last champion that was fetched to their machine" in found.trouble


def printed(project, registration):
    with console.capture() as captured, pytest.MonkeyPatch.context() as patch:
        patch.setattr(console, "_width", 200)
        print_summary(project, registration)
    return captured.get()


@pytest.mark.advice("fashion models", "flows/artifacts.py")
def test_the_summary_of_a_run_without_a_champion_says_so_and_recommends_no_prediction(trained_project):
    names = [f"[/b] {name}" for name in load(trained_project).data.classes]
    export(trained_project, edit_params(trained_project, {"data": {"classes": names}}))
    registration = measure_and_register(trained_project, STRICT)
    text = printed(trained_project, registration)
    assert "strict version 1 is challenger\n" in text
    assert f"\n{explain_absence(registry(trained_project))}\n" in text
    assert "Recall of [/b] Shirt" in text
    assert text.count(shorten(registration.reason)) == 1
    assert f"Type fashion commands in {trained_project.root}" in text
    assert "fashion predict IMAGE" not in text
    assert "challenger" in follow(trained_project, text, "fashion models")


@pytest.mark.advice("fashion predict", "flows/artifacts.py")
def test_the_summary_of_a_refused_candidate_is_silent_about_absence_where_there_is_a_champion(
    trained_project, tmp_path
):
    refused = measure_and_register(trained_project, {"evaluate": {"gates": {"model_bytes_at_most": 1}}})
    assert (refused.verdict, refused.absence) == ("challenger", None)
    text = printed(trained_project, refused)
    assert f"fashion-classifier version 2 is challenger: {shorten(refused.reason)}\n" in text
    assert "no champion" not in text
    Image.fromarray(load_split(trained_project, "test").images[0, ..., 0]).save(tmp_path / "one.png")
    answer = follow(trained_project, text.replace("IMAGE...", ""), "fashion predict", f"{tmp_path}/one.png")
    assert "fashion-classifier, version 1" in answer


@pytest.mark.advice("fashion promote --reason", "flows/artifacts.py")
def test_the_summary_of_a_proposed_first_version_names_each_command_once(trained_project):
    text = printed(trained_project, register(trained_project, edit_params(trained_project, ASKED)))
    assert "asked version 1 is challenger: awaits approval: all gates passed" in text
    assert text.count("fashion promote 1 --reason '...'") == 1
    assert "To be asked: make up" in text
    follow(trained_project, text, "fashion promote 1 --reason '...'")
    assert champion(trained_project) == "1"


def test_the_summary_prints_what_a_person_wrote_as_text(trained_project, monkeypatch):
    propose(trained_project, monkeypatch)
    answer = Answer(False, "Bob", "Prefect's page", "[/b] too [red] slow")
    text = printed(trained_project, conclude(trained_project, load(trained_project), "1", answer, "a run"))
    assert "was refused (refused by Bob (Prefect's page): [/b] too [red] slow)" in text


def test_the_command_register_says_it_too(trained_project, monkeypatch):
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    measure(trained_project, edit_params(trained_project, STRICT))
    result = CliRunner().invoke(app, ["register"])
    assert explain_absence(registry(trained_project)) in result.output
