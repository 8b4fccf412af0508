"""A running service (`fashion serve`), asked over HTTP."""

from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from fashion.arrays import Bytes
from fashion.errors import ServiceError

KEY_HEADER = "X-API-Key"
MOST_PORT = 65_535
PATIENCE_SECONDS = 30.0
"""Seconds for an answer."""


@dataclass(frozen=True)
class Reply:
    """What the service says about one image."""

    prediction_id: str
    predicted: str
    version: str
    label_wanted: bool
    """Whether the service asks what is truly in it."""


class Service:
    """To be used as an asynchronous context manager, by any number of tasks at once.

    Every method raises ServiceError when the service is away or refuses, or the address is none.
    """

    def __init__(self, address: str, key: str | None, connections: int) -> None:
        _check(address)
        self._client = httpx.AsyncClient(
            base_url=address,
            headers={KEY_HEADER: key} if key else {},
            timeout=PATIENCE_SECONDS,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def predict(self, image: Bytes) -> Reply:
        """Return what the service says is in an image (height, width)."""
        content = await self._post("/predict", {"images": [image.tolist()]})
        (prediction,) = content["predictions"]
        # Services of earlier code ask for nothing.
        wanted = bool(prediction.get("label_wanted", False))
        return Reply(prediction["id"], prediction["predicted"], content["version"], wanted)

    async def correct(self, prediction_id: str, label: str, source: str) -> None:
        """Say what was truly in the image of a prediction."""
        await self._post("/feedback", {"prediction_id": prediction_id, "label": label, "source": source})

    async def _post(self, path: str, content: dict[str, Any]) -> Any:
        try:
            answer = await self._client.post(path, json=content)
        except httpx.HTTPError as error:
            raise ServiceError(
                f"No service answers at {self._client.base_url} ({error or type(error).__name__}); start it with: "
                "fashion serve"
            ) from error
        if answer.is_error:
            raise ServiceError(f"{self._client.base_url}{path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.json()


def _check(address: str) -> None:
    """Raise ServiceError for what is not the address of a service."""
    with suppress(httpx.InvalidURL):
        url = httpx.URL(address)
        if url.scheme in ("http", "https") and url.host and (url.port or 0) <= MOST_PORT:
            return
    raise ServiceError(f"{address} is not the address of a service: expected http://host:port")
