"""Answering a run that paused to ask."""

import time
from typing import Any

from pydantic import BaseModel, TypeAdapter

from fashion.adapters.orchestration.server import PAUSED, Run, State, ask
from fashion.errors import ServiceError

POLL_SECONDS = 0.5
TRIES = 5
RETRY_SECONDS = 1.0
END_SECONDS = 180.0
"""How long a run may take to carry out an answer: MLflow's retries included."""


class _Details(BaseModel):
    reason: str | None = None


class _Orchestration(BaseModel):
    """What came of a state that was asked for."""

    status: str
    details: _Details


def find_paused_run(address: str, wanted: str) -> Run:
    """Find the run that waits for an answer and has this id, this name, or asks about this version.

    Args:
        address: of Prefect's API, http://host:port/api.
        wanted: of a version model/number: others that use the same server have versions of the same numbers.

    Raises:
        ServiceError: Prefect is away, or not exactly one such run waits; the message lists those that do.
    """
    paused = [run for run in ask(address, "POST flow_runs/filter", TypeAdapter(list[Run]), PAUSED) if run.about]
    found = [run for run in paused if wanted in (run.id, run.name, run.about)]
    if len(found) == 1:
        return found[0]
    waiting = "".join(f"\n  {run}" for run in found or paused) or "\n  none"
    problem = f"{len(found)} runs that wait for an answer are called" if found else "No run that waits for an answer is"
    raise ServiceError(f"{problem} {wanted!r}. Name one by its id; at {address} these are waiting:{waiting}")


def resume(address: str, run: Run, run_input: dict[str, str]) -> None:
    """Let a paused run go on with this input.

    Prefect may say neither yes nor no: 503 when its database was busy, and then nothing was taken; or nothing at all,
    and then it may have been. It takes one answer of a pause and keeps it, so that to ask again does no harm.

    Raises:
        ServiceError: Prefect refused: the run was answered already, or its time was up. Or it said neither yes nor no,
            several times.
    """
    unclear: ServiceError | None = None
    for _ in range(TRIES):
        try:
            answered = ask(
                address, f"POST flow_runs/{run.id}/resume", TypeAdapter(_Orchestration), {"run_input": run_input}
            )
        except ServiceError as error:
            unclear = error
            time.sleep(RETRY_SECONDS)
            continue
        if answered.status == "ACCEPT" or (unclear and _kept_input(address, run) == run_input):
            return
        raise ServiceError(
            f"The answer came too late or was refused: {answered.details.reason} It was about {run}; "
            "see what was decided with: fashion history"
        )
    raise ServiceError(
        f"Prefect did not say whether it took the answer about {run}. Type the same command again; if that says that "
        f"no such run waits, it was taken, and this shows what was decided: fashion history. {unclear}"
    ) from unclear


def _kept_input(address: str, run: Run) -> dict[str, Any] | None:
    """Return the input with which a run went on; none if Prefect keeps none."""
    keys = run.state.state_details.run_input_keyset if run.state else None
    if not keys:
        return None
    try:
        return ask(address, f"GET flow_runs/{run.id}/input/{keys.response}", TypeAdapter(dict[str, Any]))
    except ServiceError:
        return None


def await_end(address: str, run: Run) -> str:
    """Wait for the end of a run that was answered, and return what it says.

    Raises:
        ServiceError: the run failed, or it does not end: its process is gone, or Prefect is away.
    """
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        state = _look(address, run)
        if state and state.type == "COMPLETED":
            return state.message or state.type
        if state and state.type in ("FAILED", "CRASHED", "CANCELLED"):
            raise ServiceError(f"The answer was given, but the run {state.type}: {state.message}. {_by_hand(run)}")
        time.sleep(POLL_SECONDS)
    raise ServiceError(
        f"The answer was given, but no end of the run was seen within {END_SECONDS:.0f} s; its process or Prefect may "
        f"be gone. {_by_hand(run)}"
    )


def _look(address: str, run: Run) -> State | None:
    """Return the state of a run; none when Prefect does not say, which may be for a moment only."""
    try:
        return ask(address, f"GET flow_runs/{run.id}", TypeAdapter(Run)).state
    except ServiceError:
        return None


def _by_hand(run: Run) -> str:
    name, _, number = run.about.rpartition("/")
    return (
        "See how the version stands with `fashion history`; make it the champion by hand with: "
        f"fashion promote {number} --reason '...' (both where register.name is {name})"
    )
