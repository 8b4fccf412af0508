"""Flow `monitoring`: a look at the predictions since the last look. By its schedule and by hand.

An alarm is an event, `fashion.drift.detected`; the deployment `retraining/on-drift` waits for it. Alarms that were
recorded by `fashion monitor`, or by a run that could not send them, are sent, too.
"""

import time
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from prefect import flow, get_client, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.logging import get_run_logger
from prefect.states import Completed

from fashion.errors import AbsenceError
from fashion.loop.wording import show_score
from fashion.params import Params
from fashion.paths import Project
from flows.announcement import announce, announce_failure
from flows.pipeline import dated, open_project, unless_stopped

if TYPE_CHECKING:
    from fashion.adapters.predictions import JudgedWindow
    from fashion.loop.monitor import Look

EVENT = "fashion.drift.detected"
RESOURCE = {"prefect.resource.id": "fashion.monitor", "prefect.resource.name": "fashion monitor"}
PATIENCE_SECONDS = 30.0
"""For Prefect to write an event down; it does so every five seconds."""


@task(name="look", task_run_name="look", cache_policy=NO_CACHE)
def look(project: Project, params: Params) -> "Look":
    """Judge the window, keep it in the history, and show it."""
    from fashion.loop.monitor import monitor

    found = monitor(project, params)
    create_markdown_artifact(_describe(found), key="drift", description=found.because)
    return found


def name_of_run() -> str:
    return dated("monitoring")


@flow(name="monitoring", flow_run_name=name_of_run, on_failure=[announce_failure], on_crashed=[announce_failure])
def monitoring() -> State[Any]:
    """Look at the predictions since the last look. Drift that lasts raises an alarm, which starts a retraining."""
    return unless_stopped(_watch)


def _watch() -> State[Any]:
    from fashion.loop.monitor import send_alarms

    project, params = open_project()
    try:
        found = look(project, params)
    except AbsenceError as error:  # A result, not a failure that everybody hears of again each hour.
        return Completed(name="NoChampion", message=str(error))
    send_alarms(project, params, _send)
    get_run_logger().info("%s", found.because)
    return Completed(name=_name(found), message=found.because, data=found.judged)


def _send(window: "JudgedWindow") -> bool:
    """Tell Prefect and everybody of an alarm; return whether all of them know it now."""
    is_known = _emit(window)
    return announce(f"Drift: alarm in window {window.number}", window.because) and is_known


def _emit(window: "JudgedWindow") -> bool:
    """Send the event of an alarm, if the server does not have it yet; return whether it has it now.

    The event of a window has always the same id, so that a retraining starts once, however often the rest is tried.
    """
    event = uuid5(NAMESPACE_URL, f"{EVENT} {window.model} {window.number} {window.time.isoformat()}")
    if _has_event(event):
        return True
    payload = {"window": window.number, "version": window.model_version, "because": window.because}
    emit_event(EVENT, resource=RESOURCE, payload=payload, id=event)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not _has_event(event):
        if time.monotonic() > deadline:
            get_run_logger().warning("Prefect did not take the event of window %d; the next run retries", window.number)
            return False
        time.sleep(0.5)
    return True


def _has_event(event: UUID) -> bool:
    # Prefect's own `read_events` asks for 100 events unless told otherwise, and the server refuses more than 50.
    with get_client(sync_client=True) as client:
        found = client.request("POST", "/events/filter", json={"filter": {"id": {"id": [str(event)]}}})
        return bool(found.json()["events"])


def _name(found: "Look") -> str | None:
    if found.judged is None:
        return "TooFew"
    return "Alarm" if found.judged.alarm else "Drifted" if found.judged.drifted else None


def _describe(found: "Look") -> str:
    """Return what was found as Prefect's page shows it."""
    survey, judged = found.window.survey, found.judged
    rows = {
        "Predictions": f"{len(found.window):,}",
        "Labels requested at random": f"{survey.asked:,}",
        "of which received": f"{survey.answered:,}",
    }
    if judged:
        rows["Accuracy, estimated without labels"] = f"{judged.estimated_accuracy:.1%}"
        if live := judged.accuracy:
            rows["Accuracy on those labels"] = f"{live.value:.1%} ({live.low:.1%} to {live.high:.1%})"
        rows |= {f"Score of {name}": show_score(score) for name, score in judged.scores.items()}
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"# Version {found.version}: {found.because}\n\n| | |\n|---|---|\n{table}"
