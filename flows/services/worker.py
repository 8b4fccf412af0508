"""The worker of `make up`: waits for the servers, sets them up, and becomes Prefect's worker."""

import os
import shutil
import sys
import time

import httpx

from fashion.adapters.orchestration import has_worker
from fashion.cli.terminal import console
from fashion.errors import ServiceError, without_secrets
from fashion.paths import Project
from fashion.settings import tracking_uri
from flows.services.processes import POOL, is_local, mlflow_address, prefect_address

START_SECONDS = 300.0
IN_OWN_FOLDER = """import runpy, sys, tempfile
tempfile.tempdir = sys.argv.pop(1)
runpy.run_module("prefect", run_name="__main__", alter_sys=True)"""
"""Starts Prefect with a folder for temporary files. Its worker keeps its own in runner_storage in the common one, which
belongs to the first user of a machine who starts a worker: every other user's would fail. Runs keep the common one."""


def work(project: Project) -> None:
    """Wait for the servers, set them up, say where they are, and become the worker. A service of `up`."""
    _await("Prefect", f"{prefect_address()}/api/health")
    if is_local(tracking_uri(project)):
        _await("MLflow", f"{mlflow_address(project)}/health")
    _set_up(project)
    console.print(f"Prefect  {prefect_address()}\nMLflow   {without_secrets(mlflow_address(project))}")
    console.print("Start a training with: prefect deployment run 'training/default' --watch")
    folder = project.state / "prefect" / "tmp"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    start = ["worker", "start", "--pool", POOL, "--type", "process", "--name", POOL]
    worker = [sys.executable, "-c", IN_OWN_FOLDER, str(folder), *start]
    os.execv(worker[0], worker)  # noqa: S606, to be one process with the worker: it gets the signals


def check(_: Project) -> None:
    """Check that the server hears from a worker of the pool, as it should every half minute.

    Raises:
        ServiceError: it does not, or is away.
    """
    address = f"{prefect_address()}/api"
    if not has_worker(address, POOL):
        raise ServiceError(f"{address} hears from no worker of the pool {POOL}; what the worker printed last says why")


def _set_up(project: Project) -> None:
    """Janitor, work pool, concurrency limit and deployments; what is there stays as it is."""
    from prefect import get_client

    from flows.services.deployments import deploy
    from flows.services.janitor import crash_dead_runs
    from flows.services.pool import create_pool
    from flows.services.slot import create_limit

    with get_client(sync_client=True) as client:
        create_limit(client)
        crash_dead_runs(client)
        create_pool(client, POOL)
        deploy(project, client)


def _await(name: str, address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _is_well(address):
        if time.monotonic() > deadline:
            raise ServiceError(f"{name} does not answer at {address} after {START_SECONDS:.0f} s")
        time.sleep(0.2)


def _is_well(address: str) -> bool:
    try:
        # As in flows.services.server: no certificates are read, in 40 ms, to ask for what has none.
        return httpx.get(address, timeout=5, verify=address.startswith("https")).is_success
    except httpx.HTTPError:
        return False
