"""The flow runs that a worker has at work, when it is to end."""

from contextlib import suppress

import httpx
import psutil

from fashion.settings import headers_for_prefect
from flows.services.processes import prefect_address

ENDED = "ABORT"
"""What Prefect answers to whoever would cancel a run that has ended by itself."""


def end_runs(worker: int, patience: float) -> None:
    """Cancel the flow runs of a worker, and wait: asked to end, the worker would kill them and leave them `Running`.

    Args:
        worker: its process id.
        patience: how many seconds the runs may take to end.
    """
    runs = _find_runs(worker)
    answers = {run: _set_state(run, "CANCELLING") for run in runs}
    for run, child in runs.items():
        if not answers[run]:
            with suppress(psutil.NoSuchProcess):
                child.terminate()
    psutil.wait_procs(list(runs.values()), timeout=patience)
    for run, answer in answers.items():
        if answer != ENDED:
            _set_state(run, "CANCELLED")


def _find_runs(worker: int) -> dict[str, psutil.Process]:
    """Return the processes of a worker's flow runs by the runs' ids; what makes its deployments is no run."""
    found = {}
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(worker).children():
            with suppress(psutil.NoSuchProcess, KeyError):
                found[child.environ()["PREFECT__FLOW_RUN_ID"]] = child
    return found


def _set_state(run: str, state: str) -> str:
    """Return what the server answers; nothing if it did not take the state, or is gone already."""
    content = {"state": {"type": state, "message": "The services were asked to end."}}
    try:
        address = f"{prefect_address()}/api/flow_runs/{run}/set_state"
        answer = httpx.post(address, json=content, headers=headers_for_prefect(), timeout=10)
        return str(answer.json()["status"]) if answer.is_success else ""
    except httpx.HTTPError:
        return ""
