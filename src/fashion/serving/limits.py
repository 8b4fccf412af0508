"""Access control and limits on requests; every request passes through here, and is counted."""

import asyncio
import logging
import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fashion.arrays import Bytes
from fashion.serving.bodies import Bodies, BodyLimits
from fashion.serving.keys import Key, Keys, Right
from fashion.serving.metrics import Metrics
from fashion.settings import LOOPBACK

OPEN = ("/", "/healthz", "/readyz", "/openapi.json")
"""Paths that need no key, like the page's files: the page prompts for the key, and shows nothing before."""
NEEDS = {
    "/predict": Right.PREDICT,
    "/samples": Right.PREDICT,
    "/feedback": Right.FEEDBACK,
    "/wanted": Right.FEEDBACK,
    "/wanted/picture": Right.FEEDBACK,
    "/metrics": Right.OPERATE,
    "/model/refresh": Right.OPERATE,
    "/status": Right.OPERATE,
}
"""The right that a key must have, as for /status also for all below it; other paths accept any key."""
UNCOUNTED = ("/healthz", "/readyz", "/metrics")
"""Paths that are answered whatever the load."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""Methods that are counted by name: callers may send any word as one, even without a key."""
PROMPT = Path(__file__).parent / "page" / "key.html"
"""Shown in place of a page of /status to a browser without a key; it asks for one, and then shows that page."""
PROMPT_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""Styles that stand in a page are allowed, as the pages that it shows have them; scripts that do are not."""
KEY_HEADER = "X-API-Key"
FORWARDED = re.compile(rb"x-forwarded-.+|x-real-ip|forwarded|via")
"""Headers that proxies add."""
ADDRESS = re.compile(r"(?:\[([0-9a-f:.]+)\]|([\w.~-]+))(?::\d{0,5})?", re.ASCII | re.IGNORECASE)
"""host[:port], RFC 9110 section 7.2; the name of the host is the first group that matched."""

PROXY = (
    "the request came through a proxy, behind which others can reach the service: start it with a key in "
    "FASHION_SERVE_KEY, or with named keys, and with the address of its page, https://..., in FASHION_SERVE_ORIGIN"
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """The limits of one request, and of all together."""

    body: BodyLimits = field(default_factory=BodyLimits)
    images: int = 64
    """In one request."""
    pixels: int = 80_000_000
    """The total of all pictures in one request, as their headers claim."""
    values: int = 500_000
    """Of pixels in one answer: writing them as JSON takes a tenth of a second, in which nobody else is answered."""
    requests: int = 256
    """At once."""
    labels: int = 64
    """How many of these may wait for the prediction log (/feedback, and as many each for /wanted and its pictures)."""
    refreshes: int = 16
    """How many of these may wait for the registry (/model/refresh)."""

    def fitting(self, images: Iterable[Bytes]) -> int:
        """Return how many of the images, of the first ones, an answer has room for; at least one."""
        return max(1, sum(total <= self.values for total in accumulate(image.size for image in images)))


def refusal(scope: Scope, status: int, reason: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Log a refusal, and return a response that says why."""
    logger.info("%s %r refused with %d: %s", scope["method"], scope["path"], status, reason)
    return JSONResponse({"error": reason}, status, headers)


class Gatekeeper:
    """ASGI middleware. Without a key, only programs on this machine may ask, and no page of another site.

    Args:
        origin: the page's origin, if a proxy serves it under another address than the header Host says.
    """

    def __init__(self, app: ASGIApp, limits: Limits, keys: Keys, origin: str | None, metrics: Metrics) -> None:
        self._app, self._limits, self._keys, self._origin, self._metrics = app, limits, keys, origin, metrics
        self._shares = {"/feedback": limits.labels, "/wanted": limits.labels, "/wanted/picture": limits.labels}
        self._shares["/model/refresh"] = limits.refreshes
        self._active: Counter[str] = Counter()
        self._bodies = Bodies(limits.body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status, begun = 500, False
        scope["caller"] = self._keys.find(dict(scope["headers"]).get(KEY_HEADER.lower().encode(), b""))
        # Answered as GET; the server omits the body, as RFC 9110 section 9.3.2 requires.
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope

        async def note(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
            await send(message)

        try:
            refused = self._refuse(scope)
            if refused:
                await refused(scope, receive, note)
            else:
                await self._pass(asked, receive, note)
        except asyncio.CancelledError:  # At shutdown, when the time for requests is over.
            if begun:
                raise
            await refusal(scope, 503, "the service is shutting down", {"Retry-After": "5"})(scope, receive, note)
        finally:
            self._count(scope["method"], asked, status, time.perf_counter() - start)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        place = path if path in self._shares else "other"  # Callers may request any number of different paths.
        weight = 0 if path in UNCOUNTED else 1
        self._active[place] += weight
        try:
            with self._bodies.bounded(receive) as bounded:
                await self._app(scope, bounded, send)
        finally:
            self._active[place] -= weight

    def _refuse(self, scope: Scope) -> Response | None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) > 1 or not all(map(ADDRESS.fullmatch, hosts)):
            return refusal(scope, 400, f"expected one host[:port] in the header Host, found {', '.join(hosts)!r}")
        if reason := self._stranger(scope, headers):
            return refusal(scope, 403, reason)
        if not is_open(scope["path"]) and (refused := _refuse_key(scope)):
            return refused
        if (reason := self._too_many(scope["path"])) is not None:
            return refusal(scope, 503, reason, {"Retry-After": "1"})
        length = headers.get(b"content-length", "0")
        if length.isdecimal() and int(length) > self._limits.body.bytes:
            return refusal(scope, 413, self._limits.body.too_large)
        return None

    def _too_many(self, path: str) -> str | None:
        active = self._active.total()
        if path in UNCOUNTED:
            return None
        if path in self._shares and self._active[path] >= self._shares[path]:
            return f"{self._active[path]} requests of this kind are already in progress"
        return f"{active} requests are already in progress" if active >= self._limits.requests else None

    def _stranger(self, scope: Scope, headers: dict[bytes, str]) -> str | None:
        """Return why a caller is refused, if so: pages of other sites and proxies can reach a loopback address, too."""
        host = headers.get(b"host", "")
        if not self._keys.needed and _host_name(host) not in LOOPBACK:
            return f"expected a loopback address as the host, found {host!r}"
        if not self._keys.needed and _came_by_proxy(scope, headers):
            return PROXY
        origin = headers.get(b"origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}", self._origin):
            return f"requests from pages of {origin!r} are refused; if it is a proxy, set FASHION_SERVE_ORIGIN"
        return None

    def _count(self, method: str, scope: Scope, status: int, seconds: float) -> None:
        route: Any = scope.get("route")
        path = getattr(route, "path", "other")
        self._metrics.requests.labels(method if method in METHODS else "other", path, status).inc()
        self._metrics.seconds.labels(path).observe(seconds)


def is_open(path: str) -> bool:
    """Return whether a path needs no key."""
    return path in OPEN or path.startswith("/page/")


def _refuse_key(scope: Scope) -> Response | None:
    """Return a refusal if the key does not suffice; a browser gets a page that asks for one, where it opens a page."""
    refused = _check_key(scope)
    accepted = dict(scope["headers"]).get(b"accept", b"")
    if refused and f"{scope['path']}/".startswith("/status/") and b"text/html" in accepted:
        return HTMLResponse(PROMPT.read_bytes(), refused.status_code, PROMPT_HEADERS)
    return refused


def _check_key(scope: Scope) -> JSONResponse | None:
    caller: Key | None = scope["caller"]
    if caller is None:
        return refusal(scope, 401, f"the header {KEY_HEADER} must contain a valid key")
    path = scope["path"]
    right = NEEDS["/status"] if path.startswith("/status/") else NEEDS.get(path)
    if right and right not in caller.may:
        return refusal(scope, 403, f"the key {caller.name!r} lacks the right {right.value!r}")
    return None


def _came_by_proxy(scope: Scope, headers: dict[bytes, str]) -> bool:
    """Return whether the request came through a proxy. nginx adds no header by default, but then speaks HTTP/1.0."""
    return scope["http_version"] == "1.0" or any(map(FORWARDED.fullmatch, headers))


def _host_name(host: str) -> str:
    """Return the name or address in host[:port], in lower case; empty if there is none."""
    found = ADDRESS.fullmatch(host)
    return (found[1] or found[2]).lower() if found else ""
