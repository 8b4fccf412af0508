"""Links between a run of Prefect and the MLflow run in which its model was trained, on the pages of both."""

from typing import TYPE_CHECKING

from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run

from fashion.adapters import tracking
from fashion.adapters.tracking.address import registry_of
from fashion.errors import without_secrets
from fashion.params import Params
from fashion.paths import Project
from fashion.settings import tracking_uri
from fashion.text import escape_markdown
from flows.services.processes import is_local, mlflow_address

if TYPE_CHECKING:
    from fashion.registry.register import Registration


def link_training(project: Project, params: Params, registration: "Registration") -> None:
    """Write this run's name into MLflow, and where MLflow's page is into an artifact of this run.

    A server that lives no longer than this run has no page: then MLflow gets the name and the id alone.
    """
    # Without an address of a page, which a temporary server does not have, Prefect gives a path alone.
    ours = str(flow_run.ui_url or "")
    us = tracking.FlowRun(str(flow_run.name), str(flow_run.id), ours if ours.startswith("http") else None)
    page = tracking.link_flow_run(registry_of(project, params), registration.run_id, us)
    link = link_to_mlflow(project, "The training on MLflow's page", page)
    create_markdown_artifact(link, key="training")


def link_to_mlflow(project: Project, title: str, page: str) -> str:
    """Return a link to one of MLflow's pages as Markdown, and when it opens."""
    address = f"{without_secrets(mlflow_address(project)).rstrip('/')}/{page}"
    shown = " (while `make up` runs)" if is_local(tracking_uri(project)) else ""
    return f"[{escape_markdown(title)}]({address}){shown}"
