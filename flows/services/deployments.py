"""The deployments of prefect.yaml on the server: made once, and again when they have changed.

`prefect deploy` switches on whatever a person has switched off: a paused deployment, a schedule, an automation. So what
is off is noted before it runs, and switched off again after it. The note lies on the server: it outlives a power cut.
"""

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import prefect
from prefect.client.orchestration import SyncPrefectClient
from prefect.variables import Variable

from fashion.errors import ServiceError
from fashion.paths import Project
from fashion.reading import load_yaml

LARGEST_BYTES = 1 << 16
"""Bytes of prefect.yaml."""
NOTE = "fashion_deployments"
"""A variable on the server: the digest of what was deployed, or what is to be off when it is."""


@dataclass(frozen=True)
class Switch:
    """Something that a person can switch off in Prefect's page."""

    name: str
    """The same after `prefect deploy`, which replaces schedules and automations."""
    on: bool
    switch_off: Callable[[], None]


def deploy(project: Project, client: SyncPrefectClient) -> None:
    """Bring the server's deployments in step with prefect.yaml; what a person switched off stays off.

    Raises:
        ServiceError: `prefect deploy` refuses.
    """
    note: dict[str, Any] = Variable.get(NOTE, default={})
    digest = _digest(project)
    if note.get("digest") == digest and _declared(project) <= _existing(client):
        return
    off = {switch.name for switch in _switches(client) if not switch.on} | set(note.get("off", []))
    Variable.set(NOTE, {"off": sorted(off)}, overwrite=True)
    _run_deploy(project)
    for switch in _switches(client):
        if switch.on and switch.name in off:
            switch.switch_off()
    Variable.set(NOTE, {"digest": digest}, overwrite=True)


def _run_deploy(project: Project) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    result = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ServiceError(f"The deployments of prefect.yaml cannot be made:\n{result.stdout}{result.stderr}")


def _switches(client: SyncPrefectClient) -> Iterator[Switch]:
    for deployment in client.read_deployments():
        yield Switch(str(deployment.id), not deployment.paused, partial(client.pause_deployment, deployment.id))
        for schedule in deployment.schedules:
            switch_off = partial(client.update_deployment_schedule, deployment.id, schedule.id, active=False)
            yield Switch(f"{deployment.id}/{schedule.slug}", schedule.active, switch_off)
    for automation in client.read_automations():
        yield Switch(automation.name, automation.enabled, partial(client.pause_automation, automation.id))


def _digest(project: Project) -> str:
    """Of what `prefect deploy` records: the file, the folder, and the parameters and descriptions of the flows."""
    digest = hashlib.sha256(f"{prefect.__version__} {project.root}".encode())
    for path in [project.root / "prefect.yaml", *sorted((project.root / "flows").glob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _declared(project: Project) -> set[tuple[str, str]]:
    content = load_yaml(project.root / "prefect.yaml", LARGEST_BYTES)
    return {(one["entrypoint"], one["name"]) for one in content["deployments"]}


def _existing(client: SyncPrefectClient) -> set[tuple[str | None, str]]:
    return {(deployment.entrypoint, deployment.name) for deployment in client.read_deployments()}
