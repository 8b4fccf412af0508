"""`fashion monitor` with a real champion, its own reference and a real log."""

import json
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from typer.testing import CliRunner

from fashion.adapters.predictions import Record, WindowHistory
from fashion.cli import app
from fashion.errors import ArtifactError, DataError, ServiceError
from fashion.evaluation.alarm import Verdict
from fashion.evaluation.survey import Survey
from fashion.images.synthetic import draw
from fashion.loop import monitor as stage
from fashion.loop.monitor import KEPT, monitor, read_history, send_alarms
from fashion.loop.window_page import NEIGHBOURS, PAGE, SHOWN
from fashion.params import load_params
from tests.advice import follow
from tests.conftest import forget_artifact_folders
from tests.projects import edit_params
from tests.traffic import Traffic, inverted


@pytest.fixture
def watched(trained_project):
    """The project, its parameters, and traffic to its champion."""
    params = load_params(trained_project.params)
    traffic = Traffic(trained_project, params)
    yield trained_project, params, traffic
    traffic.log.close()


def test_windows_go_from_clean_to_an_alarm_and_the_history_follows_the_labels(watched):
    project, params, traffic = watched
    traffic.send(300, labelled=True)
    clean = monitor(project, params)
    judged = clean.judged
    assert (judged.number, judged.verdict, judged.predictions, judged.labelled) == (1, "clean", 300, 300)
    assert clean.because == "300 predictions consistent with the reference"
    assert judged.accuracy.low < judged.accuracy.value < judged.accuracy.high
    assert clean.version == traffic.champion.version
    assert judged.start < judged.end <= traffic.time

    ids, labels = traffic.send(120, inverted)
    drifted = monitor(project, params).judged
    assert (drifted.number, drifted.verdict, drifted.predictions) == (2, "drifted", 120)
    assert drifted.scores["descriptors"] > 1
    assert re.match(r"\w+ at .* times the limit; 1 of the last 2 windows drifted", drifted.because)
    assert drifted.accuracy is None

    traffic.send(120, inverted)
    alarm = monitor(project, params)
    assert (alarm.judged.number, alarm.judged.verdict) == (3, "alarm")

    traffic.label(ids, labels)
    first, second, third = read_history(project, params)
    predicted = traffic.log.read_window().predicted[300:420]
    assert (second.labelled, second.correct) == (120, int((predicted == labels).sum()))
    assert sum(labelled for labelled, _ in second.by_class.values()) == 120
    assert (first.labelled, third.labelled) == (300, 0)
    assert [one.verdict for one in (first, second, third)] == ["clean", "drifted", "alarm"]
    assert (second.scores, second.because) == (drifted.scores, drifted.because)

    page = (project.monitoring / "3" / PAGE).read_text()
    assert alarm.page == project.monitoring / "3" / PAGE
    assert "<b>Alarm.</b>" in page
    assert not re.search(r"(src|href)=.?(http|//|/)", page)
    assert page.count("data:image/png;base64,") == 1 + SHOWN * (1 + NEIGHBOURS)
    assert "no requested labels received yet" in page
    metrics = json.loads((project.monitoring / "3" / "evidently.json").read_text())["metrics"]
    figures = {metric["metric_name"].partition("(")[0]: metric["value"] for metric in metrics}
    assert figures["EmbeddingAuc"] > 0.8
    assert figures["RowCount"] == 120
    assert len(list((project.state / "evidently").glob("*/snapshots/*.json"))) == 3


def test_labels_that_nobody_asked_for_say_nothing_about_the_accuracy(watched):
    """As people give them: of 150 predictions, 60 mistakes are corrected, and nothing is confirmed."""
    project, params, traffic = watched
    params = edit_params(project, {"monitor": {"overconfidence_tolerated": 0.02}})
    ids, labels = traffic.send(150, asked=False)
    traffic.label(ids[:60], (labels[:60] + 1) % 10)
    unasked = monitor(project, params)
    assert (unasked.judged.number, unasked.judged.drifted, unasked.window.survey) == (1, False, Survey(0, 0))
    assert unasked.judged.accuracy is None
    assert "labels" not in unasked.judged.scores
    ids, labels = traffic.send(150)
    traffic.label(ids[:60], (labels[:60] + 1) % 10)
    few = monitor(project, params)
    assert (few.judged.number, few.window.survey) == (2, Survey(150, 60))
    assert "labels" not in few.judged.scores
    ids, labels = traffic.send(150)
    traffic.label(ids[:140], (labels[:140] + 1) % 10)
    asked = monitor(project, params)
    assert (asked.judged.number, asked.window.survey) == (3, Survey(150, 140))
    assert asked.judged.scores["labels"] > 1
    first, second, third = read_history(project, params)
    assert (first.labelled, second.labelled, third.labelled) == (0, 60, 140)
    assert "140 randomly requested labels" in (project.monitoring / "3" / PAGE).read_text()


def learned_collected(traffic):
    """Let the champion be one that has learned from collected images."""
    path = traffic.champion.model.parent / "reference.npz"
    with np.load(path) as arrays:
        content = {**arrays}
    np.savez(path, **content | {"learned_collected": np.array(True)})


def test_a_champion_that_has_learned_from_a_change_is_not_told_of_that_change_but_of_the_next(watched):
    project, params, traffic = watched
    params = edit_params(project, {"monitor": {"settling": 300}})
    learned_collected(traffic)
    traffic.send(200, inverted)
    few = monitor(project, params)
    assert few.judged is None
    assert few.because == (
        "200 predictions; version 1 was trained on collected images, so its first 300 predictions become its reference "
        "(monitor.settling)"
    )
    assert monitor(project, params, last=200).because == few.because
    traffic.send(150, inverted)
    assert monitor(project, params).because.startswith("50 predictions; at least 100 are needed")
    traffic.send(100, inverted)
    first = monitor(project, params).judged
    assert (first.number, first.predictions, first.drifted) == (1, 150, False)
    traffic.send(1500, inverted)
    assert not monitor(project, params, last=300).judged.drifted
    assert not monitor(project, params).judged.drifted
    verdicts = []
    for _ in range(2):
        traffic.send(150)
        verdicts.append(monitor(project, params).judged.verdict)
    assert verdicts == ["drifted", "alarm"]


def test_a_reference_of_the_first_predictions_that_is_damaged_says_what_to_do(watched):
    project, params, traffic = watched
    params = edit_params(project, {"monitor": {"settling": 100}})
    learned_collected(traffic)
    traffic.send(300, inverted)
    assert len(monitor(project, params).window) == 200
    (folder,) = (project.state / "references").iterdir()
    (folder / "reference.npz").write_bytes(b"cut off")
    traffic.send(200, inverted)
    with pytest.raises(ArtifactError, match=rf"{folder} is damaged .* Remove it: the next predictions become"):
        monitor(project, params)
    shutil.rmtree(folder)
    assert len(monitor(project, params).window) == 100


def test_too_few_predictions_wait_and_of_too_many_the_newest_are_looked_at_and_none_of_another_version(watched):
    project, params, traffic = watched
    params = edit_params(project, {"monitor": {"largest_window": 110, "settling": 100}})
    traffic.send(150, inverted, version="7")
    nothing = monitor(project, params)
    assert (nothing.judged, len(nothing.window), nothing.to_dict()["start"]) == (None, 0, None)
    traffic.send(60, inverted)
    few = monitor(project, params)
    assert (few.judged, few.page) == (None, None)
    assert few.because == "60 predictions; at least 100 are needed (monitor.alarm.smallest_window)"
    assert read_history(project, params) == []
    traffic.send(110)
    traffic.send(50, inverted, version="7")
    looked = monitor(project, params).judged
    assert (looked.number, looked.predictions, looked.drifted) == (1, 110, False)
    assert len(monitor(project, params).window) == 0


def test_a_window_chosen_by_hand_is_shown_and_does_not_count(watched):
    project, params, traffic = watched
    traffic.send(100)
    moment = traffic.time + timedelta(milliseconds=1)
    traffic.send(130, inverted)
    params = edit_params(project, {"monitor": {"alarm": {"needed": 1, "of": 1}}})
    chosen = monitor(project, params, since=moment)
    assert (chosen.by_hand, len(chosen.window), chosen.judged.verdict) == (True, 130, "drifted")
    assert chosen.to_dict()["window"] is None
    assert chosen.because.endswith("selected by hand, so not counted")
    assert chosen.page == project.monitoring / "by-hand" / PAGE
    assert (project.monitoring / PAGE).is_file()
    assert read_history(project, params) == []
    counted = monitor(project, params).judged
    assert (counted.number, counted.predictions, counted.alarm) == (1, 230, True)


def test_without_a_history_a_look_by_hand_leaves_the_pages_that_are_there(watched):
    """Somebody has begun the log anew."""
    project, params, traffic = watched
    traffic.send(100)
    assert monitor(project, params).judged.number == 1
    with closing(sqlite3.connect(project.state / "predictions.db")) as database, database:
        database.execute("DELETE FROM windows")
    assert monitor(project, params, last=100).by_hand
    assert {folder.name for folder in project.monitoring.iterdir()} == {"1", "by-hand", PAGE}


def test_a_recorded_alarm_stays_unsent_until_somebody_was_told_of_it(watched):
    project, params, traffic = watched
    params = edit_params(project, {"monitor": {"alarm": {"needed": 1, "of": 1, "cool_down": 0}}})
    for _ in range(2):
        traffic.send(100, inverted)
        assert monitor(project, params).judged.alarm
    assert send_alarms(project, params, lambda window: False) == []
    with pytest.raises(KeyboardInterrupt):
        send_alarms(project, params, interrupted)
    told = []
    assert [one.number for one in send_alarms(project, params, lambda window: told.append(window) or True)] == [1, 2]
    assert [one.number for one in told] == [1, 2]
    assert all(one.announced for one in read_history(project, params))
    assert send_alarms(project, params, lambda window: True) == []


def interrupted(window):
    raise KeyboardInterrupt


@pytest.mark.parametrize("model", [None, "another"])
def test_alarms_of_earlier_code_which_sent_them_itself_and_of_other_models_are_not_sent(watched, model):
    project, params, traffic = watched
    params = edit_params(project, {"monitor": {"alarm": {"needed": 1, "of": 1}}})
    traffic.send(100, inverted)
    assert monitor(project, params).judged.alarm
    with closing(sqlite3.connect(project.state / "predictions.db")) as database, database:
        database.execute("UPDATE windows SET model = ?", (model,))
    assert send_alarms(project, params, lambda window: True) == []


def test_pages_of_long_ago_go_and_a_damaged_trend_begins_anew(watched, caplog):
    project, params, traffic = watched
    traffic.send(100)
    assert monitor(project, params).judged.number == 1
    (snapshot,) = (project.state / "evidently").glob("*/snapshots/*.json")
    snapshot.write_text('{"cut off')
    with closing(sqlite3.connect(project.state / "predictions.db")) as database, database:
        database.execute("UPDATE windows SET number = ?", (KEPT,))
    traffic.send(100)
    assert monitor(project, params).judged.number == KEPT + 1
    assert [folder.name for folder in project.monitoring.iterdir() if folder.is_dir()] == [str(KEPT + 1)]
    assert f'href="{KEPT + 1}/{PAGE}"' in (project.monitoring / PAGE).read_text()
    assert "the trend in it begins anew" in caplog.text
    assert len(list((project.state / "evidently").glob("*/snapshots/*.json"))) == 1


def test_an_alarm_keeps_the_others_quiet_for_as_long_as_params_yaml_says(watched):
    project, params, traffic = watched
    params = edit_params(project, {"monitor": {"alarm": {"needed": 1, "of": 1, "cool_down": KEPT + 10}}})
    traffic.send(100)
    assert monitor(project, params).judged.number == 1
    history = WindowHistory(traffic.log, params.register_.name)
    (clean,) = history.read(1)
    history.add(replace(clean, number=2, verdict=Verdict.ALARM))
    for number in range(3, KEPT + 6):
        history.add(replace(clean, number=number))
    traffic.send(100, inverted)
    looked = monitor(project, params)
    assert (looked.judged.drifted, looked.judged.alarm) == (True, False)
    assert looked.because.endswith(f"an alarm was already raised in the last {KEPT + 10} windows")


@pytest.mark.advice("fashion monitor --history", "adapters/predictions/history.py")
def test_of_two_monitors_of_one_log_one_hears_of_the_other(watched, monkeypatch):
    project, params, traffic = watched
    write_page = stage._write_page

    def meanwhile(*arguments):
        _, _, windows, *_ = arguments
        WindowHistory(traffic.log, params.register_.name).add(windows[-1])
        return write_page(*arguments)

    traffic.send(100)
    with monkeypatch.context() as patch, pytest.raises(ServiceError, match="another monitor") as raised:
        patch.setattr(stage, "_write_page", meanwhile)
        monitor(project, params)
    assert "clean" in follow(project, raised.value, "fashion monitor --history")


def test_a_look_beside_monitors_of_other_models_that_share_the_log_takes_the_next_free_number(watched, monkeypatch):
    project, params, traffic = watched
    write_page, others = stage._write_page, ["bags", "shoes"]

    def meanwhile(*arguments):
        page = write_page(*arguments)
        if others:
            model = others.pop()
            assert WindowHistory(traffic.log, model).add(replace(arguments[2][-1], model=model))
        return page

    traffic.send(100)
    monkeypatch.setattr(stage, "_write_page", meanwhile)
    looked = monitor(project, params)
    assert (looked.judged.number, looked.judged.predictions) == (3, 100)
    assert [window.number for window in read_history(project, params)] == [3]
    assert [folder.name for folder in project.monitoring.iterdir() if folder.is_dir()] == ["3"]
    assert looked.page == project.monitoring / "3" / PAGE


@pytest.mark.advice("fashion monitor", "loop/monitor.py")
def test_a_look_that_never_gets_a_number_says_why(watched, monkeypatch):
    project, params, traffic = watched
    traffic.send(100)
    with monkeypatch.context() as patch, pytest.raises(ServiceError, match="Other models that share") as raised:
        patch.setattr(WindowHistory, "add", lambda *_: False)
        monitor(project, params)
    assert "clean" in follow(project, raised.value, "fashion monitor")


def test_a_clock_that_goes_back_or_was_ahead_hides_nothing_from_the_next_look(watched, caplog):
    project, params, traffic = watched
    traffic.time += timedelta(days=3)
    traffic.send(100)
    assert monitor(project, params).judged.predictions == 100
    assert "ahead of this machine's" in caplog.text
    caplog.clear()
    for back in (timedelta(days=3), timedelta(hours=5)):
        traffic.time -= back
        traffic.send(110, inverted)
    looked = monitor(project, params).judged
    assert (looked.number, looked.predictions, looked.drifted) == (2, 220, True)
    assert looked.start < looked.end
    assert caplog.text == ""
    assert len(monitor(project, params).window) == 0


def test_labels_by_other_names_than_the_champions_are_left_out_and_said(watched, monkeypatch):
    project, params, traffic = watched
    ids, labels = traffic.send(100)
    for one, label in zip(ids, labels, strict=True):
        name = "Hat" if label == 0 else traffic.champion.classes[label]
        traffic.log.add_label(one, 9 - int(label), "test", name)
    hats = int((labels == 0).sum())
    monkeypatch.setenv("FASHION_HOME", str(project.root))
    said = CliRunner().invoke(app, ["monitor"]).stdout
    assert f"{hats} labels name classes that the champion does not have, and are ignored" in said
    page = (project.monitoring / "1" / PAGE).read_text()
    assert f" {hats} labels name classes that it does not have, and are ignored." in page
    (window,) = read_history(project, params)
    assert window.labelled == 100 - hats
    assert window.by_class["1"][0] == int((labels == 1).sum())
    assert window.correct == int((traffic.log.read_window().predicted == labels)[labels > 0].sum())


def test_a_registry_that_is_away_leaves_the_last_known_champion(watched, monkeypatch, caplog):
    project, params, traffic = watched
    traffic.send(100)
    (project.state / "mlflow.db").write_bytes(b"no database")
    forget_artifact_folders()
    assert monitor(project, params).judged.predictions == 100
    assert "Using the last known champion, version 1" in caplog.text


def test_without_a_champion_there_is_nothing_to_look_at(small_project):
    with pytest.raises(ServiceError, match="has no champion"):
        monitor(small_project, load_params(small_project.params))


@pytest.mark.parametrize("name", ["reference.npz", "reference.parquet", "examples.npz"])
def test_a_damaged_reference_says_how_to_get_it_again(watched, name):
    project, params, traffic = watched
    traffic.send(100)
    (traffic.champion.model.parent / name).write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(
        ArtifactError, match=rf"Version 1 cannot be monitored: .*{name}.* remove .*, and they are fetched"
    ):
        monitor(project, params)
    assert read_history(project, params) == []


def test_predictions_by_the_same_number_of_another_registry_are_passed_over(watched):
    project, params, traffic = watched
    traffic.send(100)
    assert monitor(project, params).judged.number == 1
    ours, traffic.identity = traffic.identity, "1-of another registry"
    traffic.send(120, inverted)
    assert len(monitor(project, params).window) == 0
    traffic.identity = None  # As earlier code wrote them; the version is younger.
    traffic.send(120, inverted)
    assert len(monitor(project, params).window) == 0
    traffic.identity = ours
    traffic.send(110)
    assert monitor(project, params).judged.predictions == 110


def test_predictions_of_another_model_in_the_name_of_the_champion_are_refused(watched):
    project, params, traffic = watched
    images, _ = draw(100, 10, (28, 28), seed=1)
    row = np.full(3, 1 / 3, np.float32), np.zeros(2, np.float32), None, traffic.identity
    traffic.log.write([Record(traffic._id(), traffic.time, "1", image, *row) for image in images])
    with pytest.raises(DataError, match="a different model that was version 1"):
        monitor(project, params)


def test_a_log_that_is_away_is_one_clear_error(watched, monkeypatch):
    project, params, _ = watched
    monkeypatch.setenv("FASHION_PREDICTIONS_URL", "postgresql://127.0.0.1:9/log")
    with pytest.raises(ServiceError, match="FASHION_PREDICTIONS_URL"):
        monitor(project, params)


def test_the_command_speaks_in_words_and_in_json(watched, monkeypatch):
    project, _, traffic = watched
    monkeypatch.setenv("FASHION_HOME", str(project.root))
    run = lambda *options: CliRunner().invoke(app, ["monitor", *options])  # noqa: E731
    assert "Not recorded, version 1: not judged. 0 predictions" in run().stdout
    traffic.send(100, inverted, labelled=True)
    found = run()
    assert found.exit_code == 0
    assert "Window 1, version 1: drifted." in found.stdout
    assert "live (95 % interval" in found.stdout
    assert json.loads(run("--last", "100", "--json").stdout)["drifted"] is True
    assert json.loads(run("--since", "1969-12-31", "--json").stdout)["predictions"] == 100
    assert "drifted" in run("--history").stdout
    traffic.send(100, inverted)
    assert "alarm" in (printed := run().stdout)
    assert "The next run of the flow `monitoring` sends the alarm." in printed
    window, _ = json.loads(run("--history", "--json").stdout)
    assert (window["number"], window["predictions"]) == (1, 100)
    assert run("--history", "--last", "5").exit_code == 2
