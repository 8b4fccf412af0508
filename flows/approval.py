"""A training that asks a person before it promotes: it pauses, and Prefect's page shows the judgement with a form."""

import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, cast
from uuid import uuid4

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.input import Keyset, RunInput, keyset_from_paused_state, read_flow_run_input
from prefect.runtime import flow_run
from prefect.states import Paused, Running
from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from fashion.registry.wording import narrow_markdown
from fashion.text import escape_markdown, shorten
from flows.announcement import announce

if TYPE_CHECKING:
    from fashion.registry.register import Registration

PAGE = "Prefect's page"
POLL_SECONDS = 2
DAY = 86_400


class Approval(RunInput):
    """The form. A choice must be made: to resume the run is not yet to approve."""

    model_config = ConfigDict(extra="ignore")

    decision: Literal["approve", "refuse"] = Field(title="Your decision")
    reason: str = Field(default="", title="Why, in a line", max_length=1000)
    who: str = Field(default="", title="Your name", max_length=100)
    via: SkipJsonSchema[str] = PAGE
    """Not in the page's form; `fashion approve` and `fashion refuse` name themselves here."""


def ask(registration: "Registration", days: float) -> Approval | None:
    """Pause this run until somebody answers about the proposed version; none if nobody does in time.

    Not by Prefect's `pause_flow_run`: that one saves the form after the pause, misses an answer that is taken after its
    last look, fails when the pause is not confirmed, and gives a run that is tried again the answer from before.
    """
    seconds = max(1, round(days * DAY))
    # A key of its own: a run that is tried again asks again, and Prefect keeps the earlier answer.
    pause: State[Any] = Paused(timeout_seconds=seconds, pause_key=str(uuid4()))
    keys = keyset_from_paused_state(pause)
    pause.state_details.run_input_keyset = {str(part): key for part, key in keys.items()}
    Approval.with_initial_data(description=_question(registration)).save(keys)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run.id, pause)
        _announce_question(registration, days)
        if given := _await_answer(client, keys, seconds):
            return given
        # Prefect may have marked the run as failed, its time being up. Once it runs, no answer is taken any more.
        client.set_flow_run_state(flow_run.id, Running(), force=True)
    return _read_answer(keys)


def _announce_question(registration: "Registration", days: float) -> None:
    """Tell everybody that an answer is wanted, once it can be given."""
    number = registration.version
    announce(
        f"{registration.name}: version {number} awaits approval",
        f"Waiting for an answer, at most {days:g} days: shall version {number} be champion? Resume the run at "
        f"{flow_run.ui_url}, or type: fashion approve {number}, or: fashion refuse {number} --reason '...'\n\n"
        f"{shorten(registration.reason)}",
    )


def _question(registration: "Registration") -> str:
    judgement = registration.judgement
    found = narrow_markdown(judgement) if judgement else escape_markdown(registration.reason)
    return f"# Shall {registration.name} version {registration.version} be champion?\n\n{found}"


def _await_answer(client: SyncPrefectClient, keys: Keyset, seconds: float) -> Approval | None:
    """Return what was answered by whoever let the run go on; none if nobody did in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):  # A server that is away keeps what it was told.
            state = client.read_flow_run(flow_run.id).state
            if state and state.is_running():
                return _read_answer(keys) or Approval(decision="refuse", reason="the run was resumed without an answer")
            if state and state.is_failed():
                return None
            if state and not state.is_paused():
                raise TerminationSignal(signal.SIGTERM)  # Somebody has ended the run by hand.
        time.sleep(POLL_SECONDS)
    return None


def _read_answer(keys: Keyset) -> Approval | None:
    """Return the answer that Prefect keeps; it stores it together with the state."""
    content = cast("dict[str, Any] | None", read_flow_run_input(keys["response"]))
    return Approval(**content) if content else None
