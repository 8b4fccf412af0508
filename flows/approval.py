"""A training that asks a person before it promotes: it pauses, and Prefect's page shows the judgement with a form."""

from collections.abc import Mapping
from typing import Any, Literal

from prefect import get_client
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Running
from pydantic import ConfigDict, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema

from fashion.evaluation.judgement import narrow_markdown
from flows.report import judgement_of

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


def ask(registration: Mapping[str, Any], days: float) -> Approval | None:
    """Pause this run until somebody answers about the proposed version; none if nobody does in time."""
    number = registration["version"]
    get_run_logger().info(
        "Waiting for an answer, at most %g days: shall version %s be champion? Resume the run at %s, or type: "
        "fashion approve %s, or: fashion refuse %s --reason '...'",
        *(days, number, flow_run.ui_url, number, number),
    )
    form = Approval.with_initial_data(description=_question(registration))
    try:
        return pause_flow_run(wait_for_input=form, timeout=max(1, round(days * DAY)), poll_interval=POLL_SECONDS)
    except FlowPauseTimeout:
        _go_on()
        return None
    except ValidationError:  # Somebody has set the run's state by hand.
        return Approval(decision="refuse", reason="the run was resumed without an answer")


def _question(registration: Mapping[str, Any]) -> str:
    judgement = judgement_of(registration)
    found = narrow_markdown(judgement) if judgement else registration["reason"]
    return f"# Shall {registration['name']} version {registration['version']} be champion?\n\n{found}"


def _go_on() -> None:
    """A pause whose time is up counts as a failure of the run, which may be marked already; here it is an answer."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run.id, Running(), force=True)
