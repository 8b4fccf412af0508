"""The history of the aliases: by hand, by judgement, by several processes at once."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import mlflow
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from fashion.adapters import tracking
from fashion.adapters.tracking import Aliases, Change, Decision
from fashion.adapters.tracking import ledger as ledger_module
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.tracking.changes import from_entry, to_entry
from fashion.cli import app
from fashion.errors import PromotionError, ServiceError
from fashion.params import load_params
from fashion.registry import promotion
from fashion.registry.champion import fetch_champion
from fashion.registry.judgement import Judgement
from fashion.registry.overview import change_to_dict, list_changes, list_models
from fashion.registry.promotion import judged_line, line, promote, roll_back
from fashion.registry.register import register
from tests.advice import follow
from tests.candidates import make_candidate
from tests.projects import SOURCE
from tests.servers import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def short_grace(monkeypatch):
    monkeypatch.setattr(ledger_module, "GRACE", 0.3)


def load(project):
    return load_params(project.params)


def registry(project):
    return registry_of(project, load(project))


def champion(project):
    return tracking.read_ledger(registry(project)).aliases.champion


def add_versions(project, count=1, gates="passed"):
    """More versions with the files of version 1, in a fraction of the time of `register`."""
    mlflow.set_tracking_uri(registry(project).uri)  # MLflow looks the model up there.
    client = MlflowClient(registry(project).uri)
    first = client.get_model_version("fashion-classifier", "1")
    tags = {name: value for name, value in first.tags.items() if name != "artifacts_sha256"} | {"gates": gates}
    model_id = first.source.removeprefix("models:/")
    made = [
        client.create_model_version(first.name, first.source, first.run_id, tags=tags, model_id=model_id)
        for _ in range(count)
    ]
    return [str(version.version) for version in made]


def fashion(project, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", "from fashion.cli import main; main()", *arguments],
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def typed(project, *arguments):
    """Exit status, output and error of a command, in this process."""
    result = CliRunner().invoke(app, arguments, env={"FASHION_HOME": str(project.root)})
    return result.exit_code, result.stdout, f"{result.stderr}{result.exception or ''}"


def change(action, before, after, number=1):
    return Change(number, "", "", None, action, after, Aliases(before), Aliases(after), "", False, {}, "")


def test_the_flow_that_made_the_first_champion_is_in_the_history(trained_project):
    (first,) = list_changes(trained_project, load(trained_project))
    assert (first.number, first.action, first.version) == (1, "register", "1")
    assert first.moves == (("champion", None, "1"),)
    assert "@" in first.who
    assert first.flow_run.startswith("baseline, seed")
    assert first.time.endswith("+00:00")
    assert first.reason == "all gates passed; there was no champion"


def test_a_judged_candidate_is_entered_with_its_figures(trained_project):
    make_candidate(trained_project, seed=5)
    registration = register(trained_project, load(trained_project))
    newest = list_changes(trained_project, load(trained_project))[0]
    assert (newest.version, newest.reason) == (registration.version, registration.reason)
    assert newest.figures
    json.dumps(change_to_dict(newest))
    assert tracking.get_version(registry(trained_project), registration.version).tags["gates"] == "passed"


def test_promoting_by_hand_and_rolling_back_are_kept_and_predict_follows(trained_project):
    (two,) = add_versions(trained_project)
    done = promote(trained_project, load(trained_project), two, "a better one")
    assert (done.before, done.champion, done.changed) == ("1", two, True)
    back = roll_back(trained_project, load(trained_project), None, "it calls bags shirts")
    assert back.champion == "1"
    assert fetch_champion(trained_project, load(trained_project)).version.number == "1"
    newest, middle, _ = list_changes(trained_project, load(trained_project))
    assert (newest.action, newest.reason, newest.moves) == (
        "rollback",
        "it calls bags shirts",
        (("champion", two, "1"),),
    )
    assert (middle.action, middle.forced) == ("promote", False)


def test_a_refused_version_that_a_person_made_champion_is_called_champion(trained_project):
    (two,) = add_versions(trained_project, gates="failed")
    name = registry(trained_project).name
    MlflowClient(registry(trained_project).uri).set_model_version_tag(name, two, "verdict", "challenger")
    promote(trained_project, load(trained_project), two, "nothing else is here", force=True)
    newest = list_models(trained_project, load(trained_project)).models[0]
    assert (newest.version, newest.aliases, newest.verdict) == (two, ("champion",), "champion")
    assert newest.reason.startswith("promoted by ")
    assert newest.reason.endswith(" although its gates failed: nothing else is here")


def test_promoting_the_champion_changes_nothing(trained_project):
    assert not promote(trained_project, load(trained_project), "1", "again").changed
    assert len(list_changes(trained_project, load(trained_project))) == 1


@pytest.mark.parametrize("number", ["99", "0", "-1", "one", "", "1; drop table"])
def test_a_version_that_is_not_there_is_refused_with_those_that_are(trained_project, number):
    with pytest.raises(PromotionError, match="it has: 1"):
        promote(trained_project, load(trained_project), number, "because")


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001, "a\nb"])
def test_a_change_without_a_reason_in_a_line_is_refused(trained_project, reason):
    with pytest.raises(PromotionError, match="one line of 1 to 1,000"):
        promote(trained_project, load(trained_project), "1", reason)


def test_a_version_whose_gates_decided_nothing_is_promoted_like_one_that_passed(trained_project):
    (two,) = add_versions(trained_project, gates="undecided")
    assert promote(trained_project, load(trained_project), two, "no gate failed").champion == two


@pytest.mark.parametrize("gates", ["failed", "?"])
def test_a_version_whose_gates_failed_needs_force_and_force_is_kept(trained_project, gates):
    (two,) = add_versions(trained_project, gates=gates)
    with pytest.raises(PromotionError, match="--force"):
        promote(trained_project, load(trained_project), two, "I want it")
    assert champion(trained_project) == "1"
    assert promote(trained_project, load(trained_project), two, "I want it", force=True).changed
    assert list_changes(trained_project, load(trained_project))[0].forced
    roll_back(trained_project, load(trained_project), "1", "no, really")
    with pytest.raises(PromotionError, match="--force"):
        roll_back(trained_project, load(trained_project), two, "back")
    assert roll_back(trained_project, load(trained_project), two, "back", force=True).champion == two


@pytest.mark.parametrize("damage", ["gone", "model.keras", "model.tflite"])
def test_a_version_that_cannot_be_loaded_gets_no_alias_even_with_force(trained_project, damage):
    (two,) = add_versions(trained_project)
    version = tracking.get_version(registry(trained_project), two)
    tracking.keep_version(registry(trained_project), version, trained_project.state / "champion")
    models = trained_project.state / "mlflow" / "models"
    if damage == "gone":
        shutil.rmtree(models)
    else:
        for path in models.rglob(damage):
            path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(PromotionError, match="cannot be loaded, so it gets no alias"):
        promote(trained_project, load(trained_project), two, "try", force=True)
    assert champion(trained_project) == "1"
    assert len(list_changes(trained_project, load(trained_project))) == 1


def test_rolling_back_goes_further_back_each_time_and_never_forth(trained_project):
    params = load(trained_project)
    for number in add_versions(trained_project, 2):
        promote(trained_project, params, number, "next")
    assert roll_back(trained_project, params, None, "one").champion == "2"
    assert roll_back(trained_project, params, None, "two").champion == "1"
    with pytest.raises(PromotionError, match="no champion before the present one"):
        roll_back(trained_project, params, None, "three")


def test_a_rollback_that_is_repeated_after_a_crash_is_finished_and_goes_no_further(trained_project, monkeypatch):
    params = load(trained_project)
    two, three = add_versions(trained_project, 2)
    for number in (two, three):
        promote(trained_project, params, number, "next")
    with monkeypatch.context() as patch:
        patch.setattr(ledger_module, "_carry_out", lambda *_: None)
        roll_back(trained_project, params, None, "power fails")
    assert champion(trained_project) == three
    finished = roll_back(trained_project, params, None, "power fails")
    assert (finished.before, finished.champion, finished.changed) == (three, two, True)
    assert list_changes(trained_project, params)[0].moves == (("champion", three, two),)
    assert roll_back(trained_project, params, None, "one more").champion == "1"


def test_rolling_back_passes_over_the_present_champion_and_versions_that_were_deleted(trained_project):
    params, client = load(trained_project), MlflowClient(registry(trained_project).uri)
    two, three, four = add_versions(trained_project, 3)
    promote(trained_project, params, two, "next")
    client.delete_registered_model_alias("fashion-classifier", "champion")
    promote(trained_project, params, two, "given back")
    assert line(tracking.read_ledger(registry(trained_project)).changes) == ["1", two, two]
    assert roll_back(trained_project, params, None, "before it").champion == "1"
    for number in (two, three, four, two):
        promote(trained_project, params, number, "next")
    for number in (three, four):
        client.delete_model_version("fashion-classifier", number)
    assert roll_back(trained_project, params, None, "before those that are gone").champion == "1"


def test_rolling_back_to_an_empty_number_goes_nowhere(trained_project):
    (two,) = add_versions(trained_project)
    promote(trained_project, load(trained_project), two, "next")
    with pytest.raises(PromotionError, match="has no version  in"):
        roll_back(trained_project, load(trained_project), "", "a variable that is not set")
    assert champion(trained_project) == two


def test_a_rollback_takes_its_target_and_all_after_it_off_the_line():
    steps = [("register", None, "1"), ("promote", "1", "2"), ("register", "2", "3"), ("rollback", "3", "2")]
    assert line([change(*step) for step in steps]) == ["1", "2"]
    assert line([change(*step) for step in [*steps, ("promote", "2", "4")]]) == ["1", "2", "4"]
    assert line([change(*step) for step in [*steps, ("rollback", "2", "3")]]) == ["1", "2", "3"]


def test_a_change_by_hand_begins_a_new_series_of_judged_champions_and_approval_goes_on_with_the_old_one():
    steps = [("register", None, "1"), ("register", "1", "2"), ("propose", "2", "2"), ("approve", "2", "3")]
    assert judged_line([change(*step) for step in steps]) == ["1", "2", "3"]
    assert judged_line([change(*step) for step in [*steps, ("register", "3", "3")]]) == ["1", "2", "3"]
    for action in ("promote", "rollback", "outside"):
        assert judged_line([change(*step) for step in [*steps, (action, "3", "2"), ("register", "2", "4")]]) == [
            "2",
            "4",
        ]
    assert judged_line([change(*step) for step in [*steps, ("outside", "3", None), ("register", None, "4")]]) == ["4"]


@pytest.mark.advice("fashion promote --reason", "registry/promotion.py")
def test_a_rollback_to_a_version_that_never_was_champion_is_refused(trained_project):
    (two,) = add_versions(trained_project)
    with pytest.raises(PromotionError, match="was never champion") as told:
        roll_back(trained_project, load(trained_project), two, "because")
    follow(trained_project, told.value, f"fashion promote {two} --reason '...'")
    assert champion(trained_project) == two


@pytest.mark.advice("fashion history", "adapters/tracking/ledger.py")
def test_a_decision_on_an_old_view_is_refused_and_leaves_nothing(trained_project):
    two, three = add_versions(trained_project, 2)
    seen = tracking.settle(registry(trained_project))
    promote(trained_project, load(trained_project), two, "I was first")
    version = tracking.get_version(registry(trained_project), three)
    words = r"came first: champion 1 → 2 by .*I was first.*Nothing was changed"
    with pytest.raises(ServiceError, match=words) as told:
        decision = promotion.decide(seen, version, Judgement(True, ("late",)), None, False)
        tracking.record(registry(trained_project), seen, decision)
    assert champion(trained_project) == two
    assert len(list_changes(trained_project, load(trained_project))) == 2
    assert "I was first" in follow(trained_project, told.value, "fashion history")


@pytest.mark.advice("fashion history", "adapters/tracking/ledger.py")
def test_a_decision_does_not_undo_a_move_that_was_made_in_mlflow_meanwhile(trained_project):
    two, three = add_versions(trained_project, 2)
    promote(trained_project, load(trained_project), two, "for now")
    seen = tracking.settle(registry(trained_project))
    MlflowClient(registry(trained_project).uri).set_registered_model_alias("fashion-classifier", "champion", "1")
    version = tracking.get_version(registry(trained_project), three)
    decision = promotion.decide(seen, version, Judgement(False, ("worse",)), None, False)
    words = f"moved in MLflow meanwhile: champion is version 1, was {two}. Nothing was changed"
    with pytest.raises(ServiceError, match=words) as told:
        tracking.record(registry(trained_project), seen, decision)
    assert champion(trained_project) == "1"
    assert "for now" in follow(trained_project, told.value, "fashion history")
    assert tracking.settle(registry(trained_project)).changes[-1].moves == (("champion", two, "1"),)


def test_of_a_move_that_was_made_in_mlflow_meanwhile_only_the_aliases_that_moved_are_named(trained_project):
    (two,) = add_versions(trained_project)
    here, client = registry(trained_project), MlflowClient(registry(trained_project).uri)
    seen = tracking.settle(here)
    decision = Decision("promote", two, seen.aliases.with_champion(two), "late")
    client.set_registered_model_alias("fashion-classifier", "challenger", two)
    with pytest.raises(ServiceError, match=f"meanwhile: challenger is version {two}, was none. Nothing"):
        tracking.record(here, seen, decision)
    client.delete_model_version("fashion-classifier", "1")
    words = f"meanwhile: champion is none, was 1; challenger is version {two}, was none. Nothing"
    with pytest.raises(ServiceError, match=words):
        tracking.record(here, seen, decision)


def test_a_number_with_leading_zeros_is_the_version_that_mlflow_takes_it_for(trained_project):
    two, three = add_versions(trained_project, 2)
    promote(trained_project, load(trained_project), two, "next")
    promote(trained_project, load(trained_project), f"0{three}", "typed so")
    assert champion(trained_project) == three
    assert not promote(trained_project, load(trained_project), f"0{three}", "again").changed
    assert roll_back(trained_project, load(trained_project), None, "complaints").champion == two
    assert champion(trained_project) == two
    promote(trained_project, load(trained_project), three, "once more")
    assert roll_back(trained_project, load(trained_project), f"0{two}", "typed so").champion == two
    with pytest.raises(PromotionError, match="has no version 09 "):
        roll_back(trained_project, load(trained_project), "09", "one that is not there")
    assert tracking.read_ledger(registry(trained_project)).in_order


def test_a_crash_between_entry_and_alias_is_mended_by_the_next_command(trained_project, monkeypatch):
    two, three = add_versions(trained_project, 2)
    with monkeypatch.context() as patch:
        patch.setattr(ledger_module, "_carry_out", lambda *_: None)
        promote(trained_project, load(trained_project), two, "power fails")
    assert champion(trained_project) == "1"
    assert not list_models(trained_project, load(trained_project)).in_order
    promote(trained_project, load(trained_project), three, "power is back")
    assert champion(trained_project) == three
    assert [one.action for one in list_changes(trained_project, load(trained_project))] == [
        "promote",
        "promote",
        "register",
    ]
    assert list_changes(trained_project, load(trained_project))[0].moves == (("champion", two, three),)


def test_the_same_command_after_a_crash_notes_that_the_version_is_champion(trained_project, monkeypatch):
    (two,) = add_versions(trained_project, gates="failed")
    MlflowClient(registry(trained_project).uri).set_model_version_tag(
        "fashion-classifier", two, "verdict", "challenger"
    )
    with monkeypatch.context() as patch:
        patch.setattr(ledger_module, "_carry_out", lambda *_: None)
        patch.setattr(promotion, "note_outcome", lambda *_: None)
        promote(trained_project, load(trained_project), two, "power fails", force=True)
    assert not promote(trained_project, load(trained_project), two, "power fails", force=True).changed
    newest = list_models(trained_project, load(trained_project)).models[0]
    assert (newest.version, newest.aliases, newest.verdict) == (two, ("champion",), "champion")
    assert newest.reason.endswith(" although its gates failed: power fails")


def test_a_version_that_was_made_champion_by_hand_before_its_verdict_is_not_judged_against_itself(trained_project):
    (two,) = add_versions(trained_project)
    client = MlflowClient(registry(trained_project).uri)
    for tag in ("verdict", "reason"):
        client.delete_model_version_tag("fashion-classifier", two, tag)
    digest = client.get_model_version("fashion-classifier", "1").tags["artifacts_sha256"]
    client.delete_model_version_tag("fashion-classifier", "1", "artifacts_sha256")
    client.set_model_version_tag("fashion-classifier", two, "artifacts_sha256", digest)
    promote(trained_project, load(trained_project), two, "cannot wait")
    registered = register(trained_project, load(trained_project))
    assert (registered.version, registered.verdict) == (two, "champion")
    assert registered.reason.startswith("promoted by ")
    assert [one.action for one in list_changes(trained_project, load(trained_project))] == ["promote", "register"]


def test_a_move_in_mlflow_after_a_crash_between_entry_and_alias_stays(trained_project, monkeypatch):
    two, three, four = add_versions(trained_project, 3)
    with monkeypatch.context() as patch:
        patch.setattr(ledger_module, "_carry_out", lambda *_: None)
        promote(trained_project, load(trained_project), two, "power fails")
    MlflowClient(registry(trained_project).uri).set_registered_model_alias("fashion-classifier", "champion", three)
    assert tracking.settle(registry(trained_project)).aliases.champion == three
    outside, interrupted, _ = list_changes(trained_project, load(trained_project))
    assert (outside.action, outside.moves) == ("outside", (("champion", two, three),))
    assert interrupted.moves == (("champion", "1", two),)
    promote(trained_project, load(trained_project), four, "next")
    assert tracking.read_ledger(registry(trained_project)).in_order


def test_a_process_that_slept_after_its_entry_does_not_undo_a_later_change(trained_project):
    two, three = add_versions(trained_project, 2)
    promote(trained_project, load(trained_project), two, "sleeps before its alias")
    sleeper = list_changes(trained_project, load(trained_project))[0]
    promote(trained_project, load(trained_project), three, "later")
    ledger_module._carry_out(registry(trained_project), sleeper)
    assert champion(trained_project) == three


def test_a_registration_that_was_cut_off_before_its_tags_is_not_judged_again(trained_project):
    client = MlflowClient(registry(trained_project).uri)
    for tag in ("verdict", "reason"):
        client.delete_model_version_tag("fashion-classifier", "1", tag)
    again = register(trained_project, load(trained_project))
    assert (again.version, again.verdict) == ("1", "champion")
    assert len(list_changes(trained_project, load(trained_project))) == 1


def test_an_alias_that_was_moved_in_mlflow_itself_is_entered_as_such(trained_project):
    two, three = add_versions(trained_project, 2)
    MlflowClient(registry(trained_project).uri).set_registered_model_alias("fashion-classifier", "champion", two)
    promote(trained_project, load(trained_project), three, "by the book")
    newest, outside, _ = list_changes(trained_project, load(trained_project))
    assert (outside.action, outside.moves) == ("outside", (("champion", "1", two),))
    assert newest.moves == (("champion", two, three),)


def test_a_champion_deleted_in_mlflow_does_not_block_the_next_one(trained_project):
    (two,) = add_versions(trained_project)
    MlflowClient(registry(trained_project).uri).delete_model_version("fashion-classifier", "1")
    with pytest.raises(PromotionError, match="version 1 was champion until the version was deleted in MLflow"):
        roll_back(trained_project, load(trained_project), None, "the last one")
    with pytest.raises(PromotionError, match="has no version 9{25} "):
        promote(trained_project, load(trained_project), "9" * 25, "one that no database can hold")
    assert promote(trained_project, load(trained_project), two, "next").champion == two


def test_a_model_that_was_deleted_and_made_anew_is_judged_whatever_the_history_says_of_its_former_versions(
    trained_project,
):
    two, three = add_versions(trained_project, 2)
    promote(trained_project, load(trained_project), two, "the former second")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_module, "_carry_out", lambda *_: None)
        promote(trained_project, load(trained_project), three, "power fails")
    MlflowClient(registry(trained_project).uri).delete_registered_model("fashion-classifier")
    assert len(list_changes(trained_project, load(trained_project))) == 3
    anew = register(trained_project, load(trained_project))
    assert (anew.version, anew.verdict, champion(trained_project)) == ("1", "champion", "1")
    assert anew.judgement.promoted
    newest, *former = list_changes(trained_project, load(trained_project))
    assert (newest.number, newest.action, newest.moves) == (4, "register", (("champion", None, "1"),))
    assert [one.reason for one in former][:2] == ["power fails", "the former second"]
    add_versions(trained_project)
    with pytest.raises(PromotionError, match="no champion before the present one"):
        roll_back(trained_project, load(trained_project), None, "to which?")
    with pytest.raises(PromotionError, match="2 of fashion-classifier was never champion"):
        roll_back(trained_project, load(trained_project), "2", "another model's")


def test_entries_of_earlier_code_are_of_the_model_that_was_there_when_they_were_made():
    entry = replace(change("promote", None, "1"), time="2026-11-28T12:00:00+00:00")
    noon = 1_795_867_200_000
    assert [entry.is_of(created) for created in (noon - 1, noon, noon + 999, noon + 1000, None)] == [
        *(True, True, True, False, False)
    ]
    stamped = replace(entry, model_created=noon)
    assert [stamped.is_of(created) for created in (noon - 1, noon, noon + 1, None)] == [False, True, False, False]


def test_what_later_code_adds_to_an_entry_is_passed_over():
    """Another clone, with later code, may write into the same registry."""
    known = change("promote", "1", "2")
    entry = json.loads(to_entry(known)) | {"added_later": "yes"}
    entry["after"] |= {"retired": "1"}
    assert from_entry(json.dumps(entry)) == known


def test_a_deleted_history_says_how_to_bring_it_back(trained_project):
    client = MlflowClient(registry(trained_project).uri)
    client.delete_experiment(client.get_experiment_by_name("fashion-classifier-history").experiment_id)
    with pytest.raises(ServiceError, match="mlflow experiments restore --experiment-id"):
        list_changes(trained_project, load(trained_project))


def test_a_history_whose_run_was_deleted_says_how_to_bring_it_back(trained_project):
    client = MlflowClient(registry(trained_project).uri)
    (run,) = client.search_runs([client.get_experiment_by_name("fashion-classifier-history").experiment_id])
    (two,) = add_versions(trained_project)
    client.delete_run(run.info.run_id)
    with pytest.raises(ServiceError, match=f"mlflow runs restore --run-id {run.info.run_id}"):
        promote(trained_project, load(trained_project), two, "next")
    client.restore_run(run.info.run_id)
    assert promote(trained_project, load(trained_project), two, "next").changed


def test_figures_too_long_for_mlflow_are_left_out_and_the_change_is_kept(trained_project):
    here = registry(trained_project)
    seen = tracking.settle(here)
    figures = {f"class {number}": 0.123456789 for number in range(1000)}
    tracking.record(here, seen, Decision("promote", "1", seen.aliases, "x" * 1000, figures=figures))
    assert list_changes(trained_project, load(trained_project))[0].figures == {"left_out": "too long"}


def test_the_history_survives_losing_the_checkout(trained_project, tmp_path):
    clone = replace(trained_project, root=tmp_path / "clone")
    shutil.copytree(SOURCE / "expectations", clone.root / "expectations")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(trained_project.root / name, clone.root / name)
    assert list_changes(clone, load(clone)) == list_changes(trained_project, load(trained_project))


def one_wins_or_both_in_turn(project, numbers, results):
    """Every process either made its change or was told whose came first, and the champion is the last entry's."""
    ledger = tracking.read_ledger(registry(project))
    entered = {one.version for one in ledger.changes if one.action == "promote"}
    for number, (code, _, errors) in zip(numbers, results, strict=True):
        assert (code == 0) == (number in entered), errors
        if code:
            assert "came first" in errors
    assert entered
    assert ledger.in_order
    for earlier, later in zip(ledger.changes, ledger.changes[1:], strict=False):
        assert later.before == earlier.after


def promote_at_once(project, numbers):
    processes = [fashion(project, "promote", number, "--reason", f"I want {number}") for number in numbers]
    return [
        (process.returncode, *output)
        for process in processes
        for output in [process.communicate(timeout=PATIENCE_SECONDS)]
    ]


def test_processes_that_promote_at_once_leave_one_champion_and_a_true_history(trained_project):
    numbers = add_versions(trained_project, 4)
    one_wins_or_both_in_turn(trained_project, numbers, promote_at_once(trained_project, numbers))


CREATE = """
import sys
from pathlib import Path
from fashion.adapters import tracking
from fashion.errors import ServiceError
registry = tracking.Registry(sys.argv[1], Path(sys.argv[2]), "garments")
sys.stdin.readline()
made = 0
for _ in range(5):
    try:
        seen = tracking.read_ledger(registry)
        tracking.record(registry, seen, tracking.Decision("promote", None, tracking.Aliases(), sys.argv[3]))
        made += 1
    except ServiceError as error:
        assert "came first" in str(error), error
print(made)
"""


def test_no_entry_is_lost_when_processes_start_the_history_and_write_it_at_once(tmp_path):
    here = tracking.Registry(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "artifacts", "garments")
    MlflowClient(here.uri).create_registered_model("garments")
    command = [sys.executable, "-c", CREATE, here.uri, str(here.artifacts)]
    processes = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in "abc"
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    made = dict(
        zip("abc", [int(process.communicate(timeout=PATIENCE_SECONDS)[0]) for process in processes], strict=True)
    )
    changes = tracking.read_ledger(here).changes
    assert [one.number for one in changes] == list(range(1, len(changes) + 1))
    assert {name: sum(one.reason == name for one in changes) for name in "abc"} == made
    assert len(changes) >= 5


def test_the_same_holds_on_a_server(trained_project, mlflow_server, monkeypatch):
    address, _ = mlflow_server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert register(trained_project, load(trained_project)).verdict == "champion"
    numbers = add_versions(trained_project, 2)
    one_wins_or_both_in_turn(trained_project, numbers, promote_at_once(trained_project, numbers))
    code, output, errors = typed(trained_project, "rollback", "--to", "1", "--reason", "back to the first")
    assert code == 0, errors
    assert "champion is version 1" in output
    assert champion(trained_project) == "1"


def test_the_commands_show_it_as_table_and_as_json(trained_project):
    (two,) = add_versions(trained_project)
    code, output, errors = typed(trained_project, "promote", two, "--reason", "[bold]better[/bold]")
    assert (code, output) == (0, f"fashion-classifier: champion is version {two}, was 1\n"), errors
    code, output, _ = typed(trained_project, "promote", two, "--reason", "again")
    assert (code, "is already the champion" in output) == (0, True)
    code, output, errors = typed(trained_project, "promote", "77", "--reason", "x")
    assert (code, "has no version 77" in errors, "Traceback" in errors) == (1, True, False)
    changes = json.loads(typed(trained_project, "history", "--json")[1])
    assert changes[0]["aliases"] == {"champion": {"from": "1", "to": two}}
    assert changes[0]["reason"] == "[bold]better[/bold]"
    found = json.loads(typed(trained_project, "models", "--json")[1])
    assert [(one["version"], one["aliases"], one["gates"]) for one in found["models"]] == [
        (two, ["champion"], "passed"),
        ("1", [], "passed"),
    ]
    assert "[bold]" in typed(trained_project, "history")[1]
    assert max(map(len, typed(trained_project, "history")[1].splitlines())) <= 80
    assert "champion" in typed(trained_project, "models")[1]
