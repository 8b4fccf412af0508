"""The runs of flows that there were, and those that wait for a person; whether there is a worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, TypeAdapter

from fashion.adapters.orchestration.server import PAUSED, Run, ask
from fashion.errors import ServiceError
from fashion.settings import LOOPBACK

TIMEOUT = httpx.Timeout(5.0)
"""For people who look: a server that takes longer counts as away."""
ENDED_BADLY = ("FAILED", "CRASHED")


@dataclass(frozen=True)
class FlowRun:
    """A run of a flow."""

    flow: str
    name: str
    state: str
    """As Prefect's page shows it: Completed, NothingNew, Running, Failed, ..."""
    message: str
    """What it said at its end; empty while it runs."""
    start: datetime | None
    """None while it waits to start."""
    failed: bool
    about: str = ""
    """As that of `Run`: what it asks a person about, while it does."""


class _Flow(BaseModel):
    id: str
    name: str


class _Run(Run):
    flow_id: str
    start_time: datetime | None = None


class _Worker(BaseModel):
    status: str


FLOWS, RUNS, WORKERS = TypeAdapter(list[_Flow]), TypeAdapter(list[_Run]), TypeAdapter(list[_Worker])


def read_runs(address: str, limit: int) -> list[FlowRun] | None:
    """Return the runs that began last, at most `limit`, the newest first; before them all that wait for an answer.

    None where no server listens at an address of this machine, or none is named: that is usual, since a run then starts
    its own.

    Args:
        address: of Prefect's API, http://host:port/api.

    Raises:
        ServiceError: Prefect is away, or did not answer in time.
    """
    if not address:
        return None
    try:
        return _read(address, limit)
    except ServiceError as error:
        if isinstance(error.__cause__, httpx.ConnectError) and urlsplit(address).hostname in LOOPBACK:
            return None
        raise


def has_worker(address: str, pool: str) -> bool:
    """Return whether the server has lately heard from a worker of a pool.

    Raises:
        ServiceError: Prefect is away, or refused.
    """
    workers = ask(address, f"POST work_pools/{pool}/workers/filter", WORKERS, {}, TIMEOUT)
    return any(worker.status == "ONLINE" for worker in workers)


def _read(address: str, limit: int) -> list[FlowRun]:
    names = {flow.id: flow.name for flow in ask(address, "POST flows/filter", FLOWS, {}, TIMEOUT)}
    begun = {"state": {"type": {"not_any_": ["SCHEDULED", "PENDING"]}}}
    newest = {"flow_runs": begun, "sort": "START_TIME_DESC", "limit": limit}
    asking = {run.id: run for run in ask(address, "POST flow_runs/filter", RUNS, PAUSED, TIMEOUT) if run.about}
    others = [run for run in ask(address, "POST flow_runs/filter", RUNS, newest, TIMEOUT) if run.id not in asking]
    return [
        *(_flow_run(run, names, run.about) for run in asking.values()),
        *(_flow_run(run, names, "") for run in others),
    ]


def _flow_run(run: _Run, names: Mapping[str, str], about: str) -> FlowRun:
    state = run.state
    return FlowRun(
        flow=names.get(run.flow_id, "a flow that was deleted"),
        name=run.name,
        state=(state.name or state.type.capitalize()) if state else "Unknown",
        message=(state.message or "") if state else "",
        start=run.start_time,
        failed=bool(state and state.type in ENDED_BADLY),
        about=about,
    )
