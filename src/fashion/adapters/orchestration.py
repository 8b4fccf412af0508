"""Prefect's REST API, for answering a run that paused to ask. Prefect itself is imported in flows/ alone."""

import time
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from fashion.errors import ServiceError

REQUEST_SECONDS = 10.0
POLL_SECONDS = 0.5
END_SECONDS = 180.0
"""How long a run may take to carry out an answer: MLflow's retries included."""
APPROVAL = "approval:"

Content = TypeVar("Content")


class _State(BaseModel):
    type: str
    message: str | None = None


class Run(BaseModel):
    """A run of a flow, as Prefect describes it."""

    id: str
    name: str
    tags: list[str]
    state: _State | None

    @property
    def about(self) -> str:
        """What a paused run asks about: name/number of a registered version; empty if it asks for something else."""
        return next((tag.removeprefix(APPROVAL) for tag in self.tags if tag.startswith(APPROVAL)), "")

    def __str__(self) -> str:
        return f"{self.about}, run {self.id} ({self.name})"


class _Details(BaseModel):
    reason: str | None = None


class _Orchestration(BaseModel):
    """What came of a state that was asked for."""

    status: str
    details: _Details


def approval_tag(name: str, number: str) -> str:
    """The tag of a run that asks about a version."""
    return f"{APPROVAL}{name}/{number}"


def find_paused_run(address: str, wanted: str) -> Run:
    """The run that waits for an answer and has this id, this name, or asks about the version of this number.

    Args:
        address: of Prefect's API, http://host:port/api.

    Raises:
        ServiceError: Prefect is away, or not exactly one such run waits; the message lists those that do.
    """
    content = {"flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}}
    runs = TypeAdapter(list[Run])
    paused = [run for run in _ask(address, "POST", "flow_runs/filter", runs, content) if run.about]
    found = [run for run in paused if wanted in (run.id, run.name, run.about.rpartition("/")[2])]
    if len(found) == 1:
        return found[0]
    waiting = "".join(f"\n  {run}" for run in found or paused) or "\n  none"
    problem = f"{len(found)} runs that wait for an answer are called" if found else "No run that waits for an answer is"
    raise ServiceError(f"{problem} {wanted!r}. Name one by its id; at {address} these wait:{waiting}")


def resume(address: str, run: Run, run_input: dict[str, str]) -> None:
    """Let a paused run go on with this input.

    Raises:
        ServiceError: Prefect is away or refused: the run was answered already, or its time was up.
    """
    outcome = TypeAdapter(_Orchestration)
    answered = _ask(address, "POST", f"flow_runs/{run.id}/resume", outcome, {"run_input": run_input})
    if answered.status != "ACCEPT":
        raise ServiceError(
            f"The answer came too late or was refused: {answered.details.reason} It was about {run}; "
            "see what was decided with: fashion history"
        )


def await_end(address: str, run: Run) -> str:
    """What a run that was answered says at its end.

    Raises:
        ServiceError: Prefect is away, the run failed, or its process is gone and it does not end.
    """
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        state = _ask(address, "GET", f"flow_runs/{run.id}", TypeAdapter(Run)).state
        if state and state.type == "COMPLETED":
            return state.message or state.type
        if state and state.type in ("FAILED", "CRASHED", "CANCELLED"):
            raise ServiceError(f"The answer was given, but the run {state.type}: {state.message}. {_by_hand(run)}")
        time.sleep(POLL_SECONDS)
    raise ServiceError(
        f"The answer was given, but the run did not end within {END_SECONDS:.0f} s; its process may be gone. "
        f"{_by_hand(run)}"
    )


def _by_hand(run: Run) -> str:
    return (
        "See how the version stands with `fashion history`; make it the champion by hand with: "
        f"fashion promote {run.about.rpartition('/')[2]} --reason '...'"
    )


def _ask(
    address: str, method: str, path: str, expected: TypeAdapter[Content], content: dict[str, Any] | None = None
) -> Content:
    try:
        response = httpx.request(method, f"{address}/{path}", json=content, timeout=REQUEST_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServiceError(
            f"No Prefect server answers at {address or 'PREFECT_API_URL, which is not set'} ({type(error).__name__}). "
            "Start it (make up), or correct PREFECT_API_URL."
        ) from error
    if response.is_error:
        raise ServiceError(f"{address} answered {response.status_code} to {method} {path}: {response.text[:500]}")
    try:
        return expected.validate_json(response.content)
    except ValidationError as error:
        raise ServiceError(f"{address} answered what Prefect does not answer to {method} {path}: {error}") from error
