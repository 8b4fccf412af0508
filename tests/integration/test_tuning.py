"""`fashion tune`: the search, the comparison after it, and what happens when it is stopped or cannot go on."""

import json
import multiprocessing
import os
import re
import signal
import time
from dataclasses import replace
from datetime import datetime, timedelta
from difflib import ndiff

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState
from typer.testing import CliRunner

from fashion.adapters.studies import ABOUT, COMPLETE, FAILED, RUNNING, Trial, open_study
from fashion.adapters.tracking.address import TUNING, registry_of
from fashion.adapters.tracking.runs import live_run
from fashion.cli import app
from fashion.errors import ArtifactError, ParamsError, TrainingError
from fashion.experiments.adopt import adopt
from fashion.experiments.finals import seconds_spent
from fashion.experiments.results import WINNER
from fashion.experiments.search import MOST_FAILURES, Budget, Entrant, Limits, Search, Watch, budget_of, run_trials
from fashion.experiments.trainers import Trainers
from fashion.experiments.trial import Job, Outcome, Progress, StoppedError, train_apart
from fashion.experiments.tune import forecast, place_of, tune
from fashion.params import StartFrom, load_params, recipe_with
from fashion.settings import tracking_uri
from tests.faults.commands import start
from tests.projects import edit_params
from tests.servers import wait_until

QUIET = Watch(lambda *_: None, lambda _: None)
SLOW, GOOD = 1e-6, 0.003
"""Learning rates with which nothing is learned in six epochs, and with which something is."""
EXPLODING = {"optimizer": "sgd", "learning_rate": 1000.0, "l2": 1000.0}
"""With these the loss is soon no number any more."""


def edit(project, rate, choices, **tuning):
    """Let the recipe in use have this learning rate, and the search try these."""
    recipe = {"learning_rate": rate}
    space = {"space": {"learning_rate": {"choices": choices}}} | {"finalists": 1, "seeds": 2} | tuning
    content = {"train": {"recipes": {"baseline": recipe}}}
    edit_params(project, content)
    text = project.params.read_text()
    project.params.write_text(re.sub(r"^tune:\n(?: .*\n|\n)*", "", text, flags=re.MULTILINE))
    return edit_params(project, {"tune": space})


def runs_below(project, run_id):
    client = MlflowClient(tracking_uri(project))
    experiment = client.get_experiment_by_name("fashion-tuning")
    assert "fashion tune" in experiment.tags["mlflow.note.content"]
    return client.search_runs([experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")


@pytest.mark.advice("fashion tune --study --apply", "cli/tuning.py", "flows/tuning.py")
def test_a_better_recipe_is_found_shown_and_written_into_params(trained_project, monkeypatch):
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    params = edit(trained_project, SLOW, [SLOW, GOOD], seeds=3)
    epochs = []
    watch = Watch(lambda entrant, progress: epochs.append((entrant.name, progress.epoch)), lambda _: None)
    found = tune(trained_project, params, "study", Budget(trials=3), watch)
    assert [trial.state for trial in found.trials] == [COMPLETE] * 3
    assert found.trials[0].values == {"learning_rate": SLOW}, "the recipe in use is tried first"
    assert found.winner.trial.values == {"learning_rate": GOOD}
    assert found.winner.difference.low > 0
    assert {name for name, _ in epochs} >= {"trial 0", "the recipe in use, seed 2", "the recipe in use, seed 4"}

    folder = trained_project.tuning / "study"
    assert {path.name for path in folder.iterdir()} >= {"history.png", "curves.png", "slices.png", "summary.md"}
    assert "is better than baseline" in (folder / "summary.md").read_text()
    assert list(pd.read_csv(folder / "trials.csv")["learning_rate"]) == [
        t.values["learning_rate"] for t in found.trials
    ]

    with open_study(place_of(trained_project, "study"), 1, 0.3) as study:
        run_id = study.notes["run"]
    below = runs_below(trained_project, run_id)
    assert len(below) == 3 + 2 * 3
    assert {run.info.status for run in below} == {"FINISHED"}
    trial = next(run for run in below if run.info.run_name == "trial 0")
    assert trial.data.params["learning_rate"] == str(SLOW)
    assert "epochs/validation_accuracy" in trial.data.metrics
    client = MlflowClient(tracking_uri(trained_project))
    assert "summary.md" in {file.path for file in client.list_artifacts(run_id)}

    again = tune(trained_project, params, "study", Budget(trials=3), QUIET)
    assert again.winner.difference == found.winner.difference, "nothing is trained twice"
    assert len(runs_below(trained_project, run_id)) == len(below)

    result = CliRunner().invoke(app, ["tune", "--study", "study", "--apply"])
    assert result.exit_code == 0, result.output
    assert "has the recipe baseline-tuned now" in result.output
    changed = load_params(trained_project.params)
    assert changed.train.recipe == "baseline-tuned"
    assert changed.train.chosen == found.winner.recipe
    with pytest.raises(ParamsError, match=r"has changed since: the study study compared with baseline as it was then"):
        adopt(trained_project, changed, "study")


def test_a_trial_trains_what_fashion_train_trains(trained_project):
    params = load_params(trained_project.params)
    job = Job(trained_project.root, params.train.chosen, len(params.data.classes), params.train.seed)
    outcome = train_apart(job, lambda _: False)
    training = json.loads((trained_project.model / "training.json").read_text())
    assert outcome.accuracy == training["validation_accuracy"]
    assert outcome.accuracy == outcome.right.mean()


def test_a_trial_that_is_killed_refused_or_ended_costs_itself_alone(trained_project):
    params = load_params(trained_project.params)
    job = Job(trained_project.root, params.train.chosen, len(params.data.classes), 1)

    before = set(multiprocessing.active_children())  # Of other tests of this process.

    def kill(_):
        (own,) = set(multiprocessing.active_children()) - before
        os.kill(own.pid, signal.SIGKILL)
        return False

    with pytest.raises(TrainingError, match="ended by SIGKILL; the system kills so when memory runs out"):
        train_apart(job, kill)
    with pytest.raises(StoppedError):
        train_apart(job, lambda _: True)
    with pytest.raises(TrainingError, match="loss is not finite"):
        train_apart(replace(job, recipe=recipe_with(job.recipe, EXPLODING)), lambda _: False)
    (trained_project.dataset / "train_labels.npy").unlink()
    with pytest.raises(ArtifactError, match="train_labels.npy is missing"):
        train_apart(job, lambda _: False)
    assert set(multiprocessing.active_children()) <= before


def started(params):
    """The same parameters, with weights to start from."""
    start = StartFrom(version="fashion-classifier 3", path="data/start/fashion-classifier-3.keras", sha256="0" * 64)
    return params.model_copy(update={"train": params.train.model_copy(update={"start_from": start})})


def type_tune(*options):
    return CliRunner().invoke(app, ["tune", *options])


@pytest.mark.advice("fashion tune --restart", "experiments/search.py")
def test_a_search_in_which_everything_fails_ends_and_says_why(trained_project, monkeypatch):
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    edit(trained_project, GOOD, [GOOD])
    params = edit_params(
        trained_project, {"tune": {"space": {name: {"choices": [value]} for name, value in EXPLODING.items()}}}
    )
    with pytest.raises(TrainingError, match=r"All 5 trials failed, .*not finite(.|\n)*fashion tune --restart"):
        tune(trained_project, params, "study", Budget(trials=20), QUIET)
    edit(trained_project, GOOD, [GOOD])
    result = type_tune("--restart", "--trials", "1")
    assert result.exit_code == 0, result.output
    assert "no complete trial besides baseline" in result.output


@pytest.mark.advice("fashion tune --study", "experiments/tune.py", "adapters/studies/storage.py")
@pytest.mark.advice("fashion tune --restart", "experiments/tune.py", "adapters/studies/storage.py")
def test_a_study_that_cannot_go_on_is_left_alone_begun_anew_or_has_another_beside_it(trained_project, monkeypatch):
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    params = edit(trained_project, GOOD, [GOOD])
    with open_study(place_of(trained_project, "study"), 1, 0.3) as study:
        study.note(ABOUT, {"dataset": "another", "space": {}, "recipe": {}, "seed": 1})
        assert "being worked on by another" in str(type_tune("--trials", "1").exception)
        assert type_tune("--study", "beside", "--trials", "1").exit_code == 0
    with pytest.raises(ParamsError, match=r"begun with other data and another space .*fashion tune --restart"):
        tune(trained_project, params, "study", Budget(trials=1), QUIET)
    assert type_tune("--study", "beside", "--trials", "1").exit_code == 0
    with pytest.raises(ParamsError, match=r"with another start, or .* \(train.start_from\), so its trials do not"):
        tune(trained_project, started(params), "beside", Budget(trials=1), QUIET)
    assert type_tune("--restart", "--trials", "1").exit_code == 0
    path = trained_project.studies / "study.log"
    path.write_bytes(b"nonsense\n" + path.read_bytes())
    assert isinstance(type_tune("--trials", "1").exception, ArtifactError)
    assert type_tune("--restart", "--trials", "1").exit_code == 0


@pytest.mark.parametrize("name", ["", ".", "..", "../study", "a b", "a" * 65])
def test_a_name_that_is_no_folder_below_artifacts_tuning_is_refused(project, name):
    with pytest.raises(ParamsError, match=rf"--study {re.escape(name)}: expected up to 64 letters.*, and neither"):
        place_of(project, name)
    assert place_of(project, "2-wide.trials").path.name == "2-wide.trials.log"


def test_without_a_dataset_the_command_that_makes_it_is_said(project):
    with pytest.raises(ArtifactError, match="dvc repro prepare"):
        tune(project, load_params(project.params), "study", Budget(trials=1), QUIET)


def journal(project):
    """What Optuna has written, which is read beside whoever writes."""
    path = project.studies / "study.log"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def has_begun(project, count):
    """Whether so many trials have trained: then the search knows how those before the last one have ended."""
    return len({entry["trial_id"] for entry in journal(project) if "intermediate_value" in entry}) >= count


def has_ended(project, count):
    states = [entry.get("state") for entry in journal(project)]
    return sum(state in (TrialState.COMPLETE, TrialState.FAIL) for state in states) >= count


def test_a_trial_that_is_stopped_for_being_worse_has_not_failed(trained_project):
    params = load_params(trained_project.params)
    registry = replace(registry_of(trained_project, params), experiment=TUNING)
    with live_run(registry, "a search", {}, {}) as parent, open_study(place_of(trained_project, "s"), 1, 0.3) as study:
        search = Search(trained_project, params, study, QUIET, registry, parent.run_id, Trainers())
        with pytest.raises(StoppedError):
            search.train(Entrant("trial 0", {}, params.train.chosen), 1, lambda _: True)
        (run,) = runs_below(trained_project, parent.run_id)
    assert run.info.status == "FINISHED"
    assert "validation/accuracy" not in run.data.metrics


def test_a_search_that_is_stopped_or_killed_keeps_what_it_has_and_goes_on(trained_project):
    edit(trained_project, GOOD, [GOOD, 0.001], seeds=2)
    command = ("fashion", "tune", "--trials", "3")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        stopped = start(trained_project, *command)
        wait_until(lambda: has_begun(trained_project, 2), stopped)
        stopped.send_signal(signal.SIGINT)
        output, _ = stopped.communicate()
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.returncode == 130, output
    assert "Best of 1 complete trials" in output
    assert "Go on with the same command (--study study)" in output
    killed = start(trained_project, *command)
    wait_until(lambda: has_ended(trained_project, 3), killed)  # The one that was stopped has been closed, too.
    killed.kill()
    killed.communicate()
    params = load_params(trained_project.params)
    found = tune(trained_project, params, "study", Budget(trials=3), QUIET)
    assert [trial.state for trial in found.trials].count(COMPLETE) == 3
    assert {trial.reason for trial in found.trials if trial.state == FAILED} == {"its process was stopped"}
    with open_study(place_of(trained_project, "study"), 1, 0.3) as study:
        below = runs_below(trained_project, study.notes["run"])
    assert RUNNING.upper() not in {run.info.status for run in below}


class FailingFromTheSecondOn(Trainers):
    """The first training succeeds, and no other."""

    trained = 0

    def train(self, job, on_epoch):
        self.trained += 1
        if self.trained > 1:
            raise TrainingError("the loss is not finite")
        on_epoch(Progress(1, 1, {"validation_accuracy": 0.5}))
        return Outcome(np.array([True, False]), 1.0)


def test_a_search_that_has_begun_to_fail_ends_with_what_it_has_and_may_try_again(trained_project, caplog):
    params = load_params(trained_project.params)
    registry = replace(registry_of(trained_project, params), experiment=TUNING)
    place = place_of(trained_project, "study")
    with live_run(registry, "a search", {}, {}) as parent, open_study(place, 1, 0.3) as study:
        search = Search(
            trained_project, params, study, QUIET, registry, parent.run_id, trainers := FailingFromTheSecondOn()
        )
        for tried in (1 + MOST_FAILURES, 1 + 2 * MOST_FAILURES):
            run_trials(search, Limits(Budget(trials=20), 0.0, 1, time.monotonic()))
            assert (trainers.trained, len(study.trials)) == (tried, tried)
            assert "The search ends with what it has" in caplog.text
            caplog.clear()


def test_an_impossible_recipe_of_a_space_that_was_checked_in_part_costs_a_trial_alone(project):
    space = {"schedule": {"choices": ["one_cycle"]}, "patience": {"choices": [3]}}
    params = edit_params(project, {"tune": {"space": space}})
    with open_study(place_of(project, "study"), 1, 0.3) as study:
        search = Search(project, params, study, QUIET, registry_of(project, params), "none", Trainers())
        with pytest.raises(TrainingError, match=r"All 5 trials failed, .*recipe cannot be used(.|\n)*never takes"):
            run_trials(search, Limits(Budget(trials=20), 0.0, 1, time.monotonic()))
        assert [trial.state for trial in study.trials] == [FAILED] * MOST_FAILURES


def test_the_time_between_a_stop_and_going_on_is_not_used_and_a_stop_is_no_failure(trained_project):
    params = load_params(trained_project.params)
    place = place_of(trained_project, "study")
    with open_study(place, 1, 0.3) as study:
        stopped = study.ask(params.tune.space)
        study.report(stopped.number, 0.5, 0.9)
    begun = next(entry["datetime_start"] for entry in journal(trained_project) if "datetime_start" in entry)
    earlier = (datetime.fromisoformat(begun) - timedelta(hours=10)).isoformat()
    path = trained_project.studies / "study.log"
    path.write_text(path.read_text().replace(begun, earlier))
    with open_study(place, 1, 0.3) as study:
        study.restart_stopped()
        (found,) = study.trials
        assert (found.state, found.has_failed) == (FAILED, False)
        assert 0 < seconds_spent(study) < 3600


def trial(number, state, seconds):
    return Trial(number, {}, state, 0.5 if state == COMPLETE else None, seconds)


def test_a_budget_leaves_time_for_the_comparison():
    now = time.monotonic()
    trials = [trial(0, COMPLETE, 10.0), trial(1, FAILED, 1.0), trial(2, COMPLETE, 20.0)]
    by_number = Limits(Budget(trials=3), 0.0, 8, now)
    assert by_number.allow_another(trials), "a failure is no trial"
    assert not by_number.allow_another([*trials, trial(3, COMPLETE, 1.0)])
    assert not by_number.are_over(trials)
    # 8 trainings of 15 seconds are kept back.
    assert Limits(Budget(minutes=3.0), 0.0, 8, now).allow_another(trials)
    assert not Limits(Budget(minutes=3.0), 50.0, 8, now).allow_another(trials)
    assert not Limits(Budget(minutes=3.0), 50.0, 8, now).are_over(trials)
    assert Limits(Budget(minutes=3.0), 61.0, 8, now).are_over(trials)
    assert Limits(Budget(minutes=3.0), 0.0, 8, now).allow_another([])


def test_no_budget_is_no_budget(trained_project, monkeypatch):
    monkeypatch.setenv("FASHION_HOME", str(trained_project.root))
    assert budget_of(None, None) == Budget(trials=20)
    for trials, minutes in ((0, None), (None, 0.0), (-1, 5.0), (None, float("nan"))):
        with pytest.raises(ParamsError, match="expected at least one trial and more than 0 minutes"):
            budget_of(trials, minutes)
    for option in ("--trials", "--minutes"):
        result = CliRunner().invoke(app, ["tune", option, "0"])
        assert result.exit_code == 2
        assert option in result.output


def test_the_budget_is_told_beforehand_and_refused_where_it_is_too_small(trained_project):
    params = load_params(trained_project.params)
    path = trained_project.model / "training.json"
    path.write_text(json.dumps({"recipe": "baseline", "seconds": 60.0}))
    told = "5 seeds compare baseline and the best 3: 20 trainings"
    assert forecast(trained_project, params, Budget(trials=20)) == (
        f"At most 20 trials, then {told}; about 40 minutes at most."
    )
    assert forecast(trained_project, params, Budget(minutes=40.0)) == (
        f"40 minutes: trials for 20 of them, each of about 60 s unless it is stopped early; then {told}."
    )
    with pytest.raises(ParamsError, match=r"--minutes 20 is not enough: .*Give at least 21 minutes"):
        forecast(trained_project, params, Budget(minutes=20.0))
    path.unlink()
    assert forecast(trained_project, params, Budget(trials=2)) == f"At most 2 trials, then {told}."
    assert told in forecast(trained_project, params, Budget(minutes=1.0))


def keep_a_winner(project, params, values):
    recipe = recipe_with(params.train.chosen, values)
    about = {"recipe": {"name": params.train.recipe, **params.train.chosen.model_dump(mode="json")}}
    with open_study(place_of(project, "study"), 1, 0.3) as study:
        study.note(ABOUT, about)
        study.note(WINNER, {"trial": 7, "recipe": recipe.model_dump(mode="json")})
    return recipe


def test_the_winner_is_added_to_params_and_not_a_line_of_the_rest_changes(project):
    before, params = project.params.read_text(), load_params(project.params)
    recipe = keep_a_winner(project, params, {"learning_rate": 0.005, "augmentation.shift": 2})
    assert adopt(project, params, "study") == "compact-tuned"
    after = project.params.read_text()
    gone = [line for line in ndiff(before.splitlines(), after.splitlines()) if line.startswith("- ")]
    assert gone == ["-   recipe: compact # one of those below"]
    assert "  recipe: compact-tuned # one of those below" in after
    added = after.splitlines()[after.splitlines().index("    # Found by fashion tune, from compact.") :][:12]
    assert "    compact-tuned:" in added
    assert "      learning_rate: 0.005" in added
    assert load_params(project.params).train.chosen == recipe
    # Another one from the same recipe does not take its place.
    project.params.write_text(after.replace("recipe: compact-tuned", "recipe: compact"))
    keep_a_winner(project, params, {"learning_rate": 0.006})
    assert adopt(project, load_params(project.params), "study") == "compact-tuned-2"
    assert set(load_params(project.params).train.recipes) >= {"compact-tuned", "compact-tuned-2"}


def test_a_winner_that_was_trained_from_another_start_is_not_applied(project):
    params = load_params(project.params)
    keep_a_winner(project, params, {"learning_rate": 0.005})
    with pytest.raises(ParamsError, match=r"compared with compact as it was then, and train.start_from is another now"):
        adopt(project, started(params), "study")


def test_the_winner_is_added_to_params_in_whatever_way_they_are_written(project):
    text = project.params.read_text()
    start_of, end_of = text.index("    compact:\n"), text.index("\ntune:")
    flow = '    "compact": {network: compact, epochs: 7, batch_size: 256, optimizer: muon, learning_rate: 0.008}\n'
    project.params.write_text(text[:start_of] + flow + text[end_of:])
    params = load_params(project.params)
    keep_a_winner(project, params, {"learning_rate": 0.005})
    adopt(project, params, "study")
    assert load_params(project.params).train.chosen.learning_rate == 0.005
    project.params.write_text(json.dumps(load_params(project.params).model_dump(mode="json", by_alias=True)))
    params = load_params(project.params)
    keep_a_winner(project, params, {"learning_rate": 0.004})
    adopt(project, params, "study")
    assert load_params(project.params).train.chosen.learning_rate == 0.004


def test_params_that_are_written_in_an_unforeseen_way_are_left_alone(project):
    folded = "    plain:\n      epochs: 1\n      batch_size: 32\n      optimizer: adam\n      learning_rate: 0.001\n"
    folded += "      network: >-\n        baseline\n"
    text = project.params.read_text().replace("\ntune:", f"{folded}\ntune:")
    project.params.write_text(text)
    params = load_params(project.params)
    keep_a_winner(project, params, {"learning_rate": 0.004})
    with pytest.raises(ParamsError, match=r"cannot be added without touching the rest(.|\n)*learning_rate: 0.004"):
        adopt(project, params, "study")
    assert project.params.read_text() == text


def test_a_winner_of_a_recipe_with_the_longest_name_is_applied(project):
    chosen = load_params(project.params).train.chosen.model_dump(mode="json", exclude_defaults=True)
    params = edit_params(project, {"train": {"recipe": "r" * 64, "recipes": {"r" * 64: chosen}}})
    for rate, name in ((0.005, "r" * 55 + "-tuned"), (0.006, "r" * 55 + "-tuned-2")):
        recipe = keep_a_winner(project, params, {"learning_rate": rate})
        assert adopt(project, params, "study") == name
        assert load_params(project.params).train.chosen == recipe
        params = edit_params(project, {"train": {"recipe": "r" * 64}})


def apply(*options):
    """What `fashion tune --apply` refuses with."""
    result = type_tune("--apply", *options)
    assert isinstance(result.exception, ParamsError)
    return str(result.exception)


def test_a_search_without_a_winner_has_nothing_to_apply(project, monkeypatch):
    monkeypatch.setenv("FASHION_HOME", str(project.root))
    assert "No search has begun yet" in apply()
    for name in ("stopped", "without.a.winner"):
        with open_study(place_of(project, name), 1, 0.3) as study:
            study.note(ABOUT, {})
    with open_study(place_of(project, name), 1, 0.3) as study:
        study.note(WINNER, None)
    assert "There is no study typo; there are: stopped, without.a.winner" in apply("--study", "typo")
    assert not place_of(project, "typo").path.exists()
    assert "The study stopped has not been compared with the recipe in use yet" in apply("--study", "stopped")
    assert "no recipe that was shown to be better" in apply("--study", name)
