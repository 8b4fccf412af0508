"""The flows `retraining` and `monitoring` against a real Prefect server, and who hears of it."""

import json
import os
import time
from datetime import UTC, datetime

import httpx
import numpy as np
import pytest
from prefect import get_client
from prefect.blocks.notifications import MattermostWebhook
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from fashion.adapters.predictions import WindowHistory
from fashion.adapters.versioning import data_version
from fashion.images.synthetic import draw
from fashion.loop.collect import collect, is_learned
from fashion.loop.monitor import monitor
from fashion.registry.overview import list_models
from fashion.settings import headers_for_prefect
from flows.monitoring import EVENT, monitoring
from flows.pipeline import PIPELINE
from flows.retraining import retraining
from flows.services.runs import ENDED, _set_state
from tests.projects import edit_params, log_predictions
from tests.servers import PATIENCE_SECONDS, read_task_runs
from tests.traffic import Traffic, inverted

ENOUGH = 150


@pytest.fixture
def served(trained_project, at_server):
    """A project with a champion that would learn from 150 labels."""
    params = edit_params(trained_project, {"collect": {"at_least": ENOUGH}})
    return at_server(trained_project), params


def run(flow, **parameters):
    """The final state, the names of the tasks, and the announcements among the artifacts."""
    state = flow(**parameters, return_state=True)
    tasks = read_task_runs(state.state_details.flow_run_id)
    with get_client(sync_client=True) as client:
        own = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
        artifacts = client.read_artifacts(flow_run_filter=own)
    announced = [artifact.description for artifact in artifacts if artifact.key == "announcements"]
    return state, [task.name for task in tasks], announced


def test_with_nothing_new_nothing_is_trained(served, heard):
    project, _ = served
    before = data_version(project)
    state, tasks, announced = run(retraining)
    assert (state.type, state.name) == ("COMPLETED", "NothingNew")
    assert state.message == "Nothing to learn from: 0 new labels; at least 150 are needed (collect.at_least)"
    assert tasks == ["fetch", "collect"]
    assert (heard, announced) == ([], [])
    assert data_version(project) == before


@pytest.mark.advice("dvc repro", "cli/collection.py")
def test_new_labels_are_learned_from_and_everybody_hears_what_came_of_it(served, heard):
    project, params = served
    log_predictions(project, *draw(ENOUGH, 10, (28, 28), seed=11))
    state, tasks, announced = run(retraining, reason="drift in window 7")
    assert state.is_completed()
    assert tasks == ["fetch", "collect", *PIPELINE[:2], "explore", *PIPELINE[2:], "register", "report"]
    assert state.result().version == "2"
    assert is_learned(project, params)
    (first, because), (second, outcome) = heard
    assert (first, second) == ("Retraining", "fashion-classifier: version 2")
    assert because.startswith("Retraining: Because of drift in window 7. 150 images, 0 in quarantine: data/batches/")
    assert outcome.startswith("fashion-classifier: version 2: Version 2 is ")
    assert sorted(announced) == ["Retraining", "fashion-classifier: version 2"]


def test_poisoned_labels_end_the_run_before_training_and_that_is_announced(served, heard):
    project, _ = served
    before = data_version(project)
    images, labels = draw(ENOUGH, 10, (28, 28), seed=11)
    log_predictions(project, images, np.random.default_rng(0).permutation(labels))
    state, tasks, announced = run(retraining)
    assert state.is_failed()
    assert tasks == ["fetch", "collect"]
    ((title, text),) = heard
    assert title == "retraining failed"
    assert "were they mixed up" in text
    assert announced == ["retraining failed"]
    assert data_version(project) == before
    state, tasks, announced = run(retraining, reason="drift in window 7")
    assert (state.name, tasks, announced) == ("NothingNew", ["fetch", "collect"], [])
    assert state.message.endswith(
        "at least 150 are needed (collect.at_least); 150 left out: refused before, and not corrected since"
    )
    assert len(heard) == 1


def test_a_batch_that_no_model_has_learned_from_is_not_forgotten_and_if_poisoned_refused_by_the_judgement(
    served, heard
):
    """The run that collected it was killed.

    Two classes go by each other's name, in the recent test set as well: only the frozen one can tell.
    """
    project, params = served
    suite = project.root / "expectations" / "batch.json"
    content = json.loads(suite.read_text())
    content["expectations"] = [
        one for one in content["expectations"] if "support" not in one["kwargs"].get("column", "")
    ]
    suite.write_text(json.dumps(content))
    images, labels = draw(600, 10, (28, 28), seed=11)
    log_predictions(project, images, np.where(labels == 5, 8, np.where(labels == 8, 5, labels)))
    assert collect(project, params).batch
    assert not is_learned(project, params)
    state, tasks, _ = run(retraining)
    assert "train" in tasks
    assert "no judged model has learned from the data that are there" in heard[0][1]
    assert (state.type, state.name) == ("COMPLETED", "NotPromoted")
    assert "recall of" in state.result().reason
    assert state.message.endswith(" more)")
    assert len(state.message) < 300
    assert [model.aliases for model in list_models(project, params).models if model.version == "1"] == [("champion",)]


def fail_unheard(flow, destination, monkeypatch, caplog):
    """The final state of a flow that fails while nobody can be told of it."""
    monkeypatch.setenv("FASHION_NOTIFY", destination)
    state, _, announced = run(flow)
    assert announced == [f"{flow.name} failed"]
    assert "Nobody was notified, see FASHION_NOTIFY" in caplog.text
    assert destination not in caplog.text
    return state


def test_a_destination_that_does_not_answer_stops_nothing_and_is_not_shown(served, monkeypatch, caplog):
    project, _ = served
    images, labels = draw(ENOUGH, 10, (28, 28), seed=11)
    log_predictions(project, images, np.random.default_rng(0).permutation(labels))
    state = fail_unheard(retraining, "http://127.0.0.1:9/secret", monkeypatch, caplog)
    assert "were they mixed up" in state.message


@pytest.mark.parametrize("destination", ["slack-webhook/nobody", "nonsense", "mattermost-webhook/away"])
def test_a_destination_that_cannot_be_told_stops_nothing_and_is_not_shown(
    project, at_server, monkeypatch, caplog, destination
):
    at_server(project)
    MattermostWebhook(hostname="127.0.0.1", port=9, token="secret").save("away", overwrite=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    state = fail_unheard(monitoring, destination, monkeypatch, caplog)
    assert "No MLflow server answers" in state.message


def test_without_a_champion_there_is_nothing_to_monitor_and_nothing_to_announce(project, at_server):
    at_server(project)
    state, _, announced = run(monitoring)
    assert (state.type, state.name, announced) == ("COMPLETED", "NoChampion", [])
    assert "has no champion" in state.message
    assert _set_state(str(state.state_details.flow_run_id), "CANCELLING") == ENDED


def events(name, since):
    """What the server knows of events from a moment on; they come some time after they were sent."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    wanted = {"filter": {"event": {"name": [name]}, "occurred": {"since": since.isoformat()}}}
    while True:
        found = httpx.post(
            f"{os.environ['PREFECT_API_URL']}/events/filter", json=wanted, headers=headers_for_prefect()
        ).json()["events"]
        if found:
            return found
        assert time.monotonic() < deadline, f"no event {name}"
        time.sleep(0.5)


def test_drift_that_lasts_is_an_event_and_everybody_hears_of_it(served, heard):
    (project, params), started = served, datetime.now(UTC)
    state, tasks, announced = run(monitoring)
    assert (state.name, tasks, announced) == ("TooFew", ["look"], [])
    assert state.message == "0 predictions; at least 100 are needed (monitor.alarm.smallest_window)"
    sender = Traffic(project, params)
    for name in ("Drifted", "Alarm"):
        sender.send(300, inverted)
        state, _, announced = run(monitoring)
        assert (state.type, state.name) == ("COMPLETED", name)
    sender.log.close()
    assert announced == ["Drift: alarm in window 2"]
    ((title, text),) = heard
    assert title == "Drift: alarm in window 2"
    assert text == f"{title}: {state.message}"
    (event,) = events(EVENT, started)
    assert event["resource"]["prefect.resource.id"] == "fashion.monitor"
    assert event["payload"] == {"window": 2, "version": "1", "because": state.message}


@pytest.fixture
def alarmed(served):
    """A project in which `fashion monitor`, typed by hand, has recorded an alarm; and when that was."""
    project, _ = served
    params = edit_params(project, {"monitor": {"alarm": {"needed": 1, "of": 1}}})
    sender, started = Traffic(project, params), datetime.now(UTC)
    sender.send(100, inverted)
    sender.log.close()
    assert monitor(project, params).judged.alarm
    return started


ALARM = "Drift: alarm in window 1"


def test_an_alarm_that_was_recorded_by_hand_is_sent_by_the_next_run_and_by_no_other(alarmed, heard):
    for announcements in ([ALARM], []):
        state, _, announced = run(monitoring)
        assert (state.name, announced) == ("TooFew", announcements)
    assert [title for title, _ in heard] == [ALARM]
    (event,) = events(EVENT, alarmed)
    assert event["payload"]["window"] == 1


def test_an_alarm_that_could_not_be_announced_is_announced_by_the_next_run_and_asks_for_one_retraining(
    alarmed, heard, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setenv("FASHION_NOTIFY", "http://127.0.0.1:9/nobody")
        assert run(monitoring)[0].is_completed()
    assert heard == []
    for _ in range(2):
        run(monitoring)
    assert [title for title, _ in heard] == [ALARM]
    assert len(events(EVENT, alarmed)) == 1


def test_an_alarm_whose_run_was_killed_before_it_was_marked_is_sent_again_and_asks_for_one_retraining(
    alarmed, heard, monkeypatch
):
    def kill(*_):
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(WindowHistory, "mark_announced", kill)
        assert run(monitoring)[0].is_failed()
    for _ in range(2):
        run(monitoring)
    assert [title for title, _ in heard] == [ALARM, "monitoring failed", ALARM]
    assert len(events(EVENT, alarmed)) == 1


def test_a_monitor_that_cannot_look_says_so_to_everybody(project, at_server, heard, monkeypatch):
    at_server(project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    state, _, announced = run(monitoring)
    assert state.is_failed()
    assert "No MLflow server answers" in state.message
    assert announced == ["monitoring failed"]
    assert [title for title, _ in heard] == ["monitoring failed"]
