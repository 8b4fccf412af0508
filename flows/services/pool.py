"""The work pool of `make up`: its worker runs flows, and no command that somebody types."""

from copy import deepcopy
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker


def create_pool(client: SyncPrefectClient, name: str) -> None:
    """Create the pool; one that is there already stays as it is, but for the command that its runs could name."""
    try:
        present = client.read_work_pool(name).base_job_template
    except ObjectNotFound:
        template = without_command(ProcessWorker.get_default_base_job_template())
        client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
        return
    if (wanted := without_command(present)) != present:
        client.update_work_pool(name, WorkPoolUpdate(base_job_template=wanted))


def without_command(template: dict[str, Any]) -> dict[str, Any]:
    """Return a template by which a run cannot say which program the worker starts."""
    content = deepcopy(template)
    content["job_configuration"].pop("command", None)
    content["variables"]["properties"].pop("command", None)
    return content
