"""One training at a time: by a lock file in this project, by the limit `training` among all on one Prefect server.

The lock file is what a killed training cannot keep; a command that changes data/ holds it, too. It also says what that
training left behind on the server, so that the next one can clear it away at once instead of waiting for a lease to run
out.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import ConcurrencyLeaseHolder, StateType
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Crashed

from fashion.locks import OnWait, hold, training_lock, wait_until
from fashion.paths import Project

LIMIT = "training"
FLOWS = ("training", "retraining", "tuning")
"""All that take the slot."""
LEASE_SECONDS = 60.0
"""The shortest that Prefect allows: how long a training that was killed elsewhere keeps the slot."""


@contextmanager
def training_slot(project: Project, on_wait: OnWait) -> Iterator[None]:
    """Hold the only training slot for the duration of the block. Called inside a flow run.

    Args:
        on_wait: is told, at first and every half minute, for whom this training waits.
    """
    with hold(training_lock(project), on_wait) as lock, get_client(sync_client=True) as client:
        left, root = lock.read(), str(project.root.resolve())
        if left.get("root") == root:  # A copy of a project has what another training wrote.
            _clear_away(client, left)
        us = {
            "process": str(os.getpid()),
            "run": str(client.read_flow_run(flow_run.id).name),
            "id": str(flow_run.id),
            "root": root,
        }
        lock.write(us)
        create_limit(client)
        lease = _acquire(client, on_wait)
        lock.write(us | {"lease": str(lease)})
        try:
            with _renewed(lease):
                yield
        finally:
            client.release_concurrency_slots_with_lease(lease)
            lock.write({})


def create_limit(client: SyncPrefectClient) -> None:
    """Create the limit, or set it back to one slot."""
    client.upsert_global_concurrency_limit_by_name(LIMIT, 1)


def _clear_away(client: SyncPrefectClient, left: dict[str, str]) -> None:
    """What a killed training has left on the server: a slot that is taken, and a run that goes on for ever."""
    if "lease" in left:
        client.release_concurrency_slots_with_lease(UUID(left["lease"]))
    if "id" in left:
        _crash(client, UUID(left["id"]), "Its process was killed.")


def _crash(client: SyncPrefectClient, run: UUID, message: str) -> None:
    try:
        state = client.read_flow_run(run).state
    except ObjectNotFound:
        return  # It ran against another server, or was deleted.
    if state is None or not state.is_final():
        client.set_flow_run_state(run, Crashed(message=message), force=True)


def _acquire(client: SyncPrefectClient, on_wait: OnWait) -> UUID:
    found: list[UUID] = []

    def ready() -> bool:
        found.extend(_try_to_acquire(client))
        return bool(found)

    wait_until(ready, lambda: _others(client), on_wait)
    return found[0]


def _try_to_acquire(client: SyncPrefectClient) -> list[UUID]:
    holder = ConcurrencyLeaseHolder(type="flow_run", id=UUID(flow_run.id))
    try:
        answer = client.increment_concurrency_slots_with_lease([LIMIT], 1, "concurrency", LEASE_SECONDS, holder)
    except httpx.HTTPStatusError as error:
        if error.response.status_code == httpx.codes.LOCKED:
            return []
        raise
    content: dict[str, Any] = answer.json()
    return [UUID(content["lease_id"])]


def _others(client: SyncPrefectClient) -> str:
    """The names of the trainings, retrainings and searches that run elsewhere on the same server."""
    runs = client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=list(FLOWS))),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING]))),
    )
    names = [f"run {run.name}" for run in runs if str(run.id) != flow_run.id]
    return ", ".join(names) or f"the lease of a run that was killed, at most {LEASE_SECONDS:.0f} s"


@contextmanager
def _renewed(lease: UUID) -> Iterator[None]:
    """Keep the lease from running out while the block goes on."""
    ended = threading.Event()
    thread = threading.Thread(target=_renew, args=(lease, ended, get_run_logger()), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _renew(lease: UUID, ended: threading.Event, logger: Any) -> None:
    with get_client(sync_client=True) as client:
        while not ended.wait(LEASE_SECONDS / 4):
            try:
                client.renew_concurrency_lease(lease, LEASE_SECONDS)
            except httpx.HTTPError as error:
                logger.warning("The training slot could not be renewed (%s); the training goes on", error)
