"""A client of a running service (`fashion serve`)."""

from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from fashion.arrays import Bytes
from fashion.errors import ServiceError
from fashion.images.grey import without_channel

KEY_HEADER = "X-API-Key"
MOST_PORT = 65_535
PATIENCE_SECONDS = 30.0
"""Seconds for an answer."""
IDLE_SECONDS = 2.0
"""Seconds after which a connection that nobody uses is not used again: the service closes it after five."""


@dataclass(frozen=True)
class Reply:
    """The service's answer for one image."""

    prediction_id: str
    predicted: str
    version: str
    label_wanted: bool
    """Whether the service asks for the true label."""


class Service:
    """An asynchronous context manager for any number of concurrent tasks.

    Every method raises ServiceError if the service is unavailable or refuses, or if the address is invalid.
    """

    def __init__(self, address: str, key: str | None, connections: int) -> None:
        _check(address)
        self._client = httpx.AsyncClient(
            base_url=address,
            headers={KEY_HEADER: key} if key else {},
            timeout=PATIENCE_SECONDS,
            limits=httpx.Limits(
                max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=IDLE_SECONDS
            ),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def predict(self, image: Bytes) -> Reply:
        """Classify an image (height, width, channels)."""
        answer = await self._post("/predict", {"images": [without_channel(image).tolist()]})
        try:
            content = answer.json()
            (prediction,) = content["predictions"]
            # Services of earlier releases do not ask for labels.
            wanted = bool(prediction.get("label_wanted", False))
            return Reply(prediction["id"], prediction["predicted"], content["version"], wanted)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ServiceError(
                f"{answer.url} gave no answer of fashion serve ({answer.text[:100]!r}); is another program there?"
            ) from error

    async def correct(self, prediction_id: str, label: str, source: str) -> None:
        """Send the true label of a prediction's image."""
        await self._post("/feedback", {"prediction_id": prediction_id, "label": label, "source": source})

    async def _post(self, path: str, content: dict[str, Any]) -> httpx.Response:
        try:
            answer = await self._client.post(path, json=content)
        except httpx.ConnectError as error:
            raise ServiceError(
                f"No service answers at {self._client.base_url} ({_reason(error)}); start it with: fashion serve"
            ) from error
        except httpx.HTTPError as error:
            raise ServiceError(
                f"{self._client.base_url}{path}: no answer to a request ({_reason(error)}). Where the machine has too "
                "much to do, send fewer images at a time"
            ) from error
        if not answer.is_success:
            location = answer.headers.get("Location")
            moved = f", a redirect to {location}" if location else ""
            raise ServiceError(f"{answer.url} answered {answer.status_code}{moved}: {answer.text[:500]}")
        return answer


def _check(address: str) -> None:
    """Raise ServiceError if the address is not that of a service."""
    with suppress(httpx.InvalidURL):
        url = httpx.URL(address)
        if url.scheme in ("http", "https") and url.host and (url.port or 0) <= MOST_PORT:
            return
    raise ServiceError(f"{address} is not the address of a service: expected http://host:port")


def _reason(error: httpx.HTTPError) -> str:
    """Return what happened; many of these errors have no text."""
    return str(error) or type(error).__name__
