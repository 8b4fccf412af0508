"""Prefect's REST API: a request, and what a run of a flow looks like in it."""

from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from fashion.errors import ServiceError
from fashion.settings import headers_for_prefect

REQUEST_TIMEOUT = httpx.Timeout(75.0, connect=10.0)
"""Prefect waits up to 60 s for a locked SQLite database before it says so."""
APPROVAL = "approval:"
PAUSED = {"flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}}
"""Asks for the runs that wait for an answer."""

Content = TypeVar("Content")


class _Keys(BaseModel):
    response: str


class _StateDetails(BaseModel):
    run_input_keyset: _Keys | None = None


class State(BaseModel):
    """Of a run."""

    type: str
    name: str | None = None
    message: str | None = None
    state_details: _StateDetails = _StateDetails()


class Run(BaseModel):
    """A run of a flow, as Prefect describes it."""

    id: str
    name: str
    tags: list[str]
    state: State | None

    @property
    def about(self) -> str:
        """What a paused run asks about: name/number of a registered version; empty if it asks for something else."""
        return next((tag.removeprefix(APPROVAL) for tag in self.tags if tag.startswith(APPROVAL)), "")

    def __str__(self) -> str:
        return f"{self.about}, run {self.id} ({self.name})"


def approval_tag(name: str, number: str) -> str:
    """Return the tag of a run that asks about a version."""
    return f"{APPROVAL}{name}/{number}"


def ask(
    address: str,
    request: str,
    expected: TypeAdapter[Content],
    content: dict[str, Any] | None = None,
    timeout: httpx.Timeout = REQUEST_TIMEOUT,
) -> Content:
    """Send one request, and return the answer.

    Args:
        request: its method and path, as in "GET flow_runs/ID".

    Raises:
        ServiceError: Prefect is away, or refused.
    """
    method, path = request.split()
    try:
        response = httpx.request(
            method, f"{address}/{path}", json=content, headers=headers_for_prefect(), timeout=timeout
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServiceError(
            f"No Prefect server answers at {address or 'PREFECT_API_URL, which is not set'} ({type(error).__name__}). "
            "Start it (make up), or correct PREFECT_API_URL."
        ) from error
    if response.status_code == httpx.codes.UNAUTHORIZED:
        raise unknown_here(address)
    if response.is_error:
        raise ServiceError(f"{address} answered {response.status_code} to {request}: {response.text[:500]}")
    try:
        return expected.validate_json(response.content)
    except ValidationError as error:
        raise ServiceError(f"{address} gave an answer to {request} that is not Prefect's: {error}") from error


def unknown_here(address: str) -> ServiceError:
    """Return the error of a server that another project has started, and that does not know this one."""
    return ServiceError(
        f"The Prefect server at {address} does not accept this project's authentication string. Set "
        "PREFECT_API_AUTH_STRING to that of the project that started it, which is in its "
        ".state/prefect/profiles.toml; or correct PREFECT_API_URL."
    )
