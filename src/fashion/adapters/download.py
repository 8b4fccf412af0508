"""Files from http addresses: resumed where they broke off, tried again where that can help."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx

from fashion.errors import ServiceError

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
ATTEMPTS = 3
PAUSE_SECONDS = 1.0
BROKEN_OFF = (httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError)

OnBytes = Callable[[int, int | None], None]
"""Is given the number of bytes there so far, and of all bytes where the server told it."""


def download(address: str, path: Path, on_bytes: OnBytes) -> None:
    """Bring the file at `address` to `path`; what already stands at `path` is taken for its beginning.

    A connection that breaks is resumed up to twice. What was received stays at `path` on failure, for the next call.

    Raises:
        ServiceError: no connection, a status other than success, or a connection that keeps breaking.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _receive(address, path, on_bytes)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if attempt == ATTEMPTS or not _may_help(error):
                raise ServiceError(f"{address}: {_reason(error)}") from error
            time.sleep(PAUSE_SECONDS * attempt)
        else:
            return


def _receive(address: str, path: Path, on_bytes: OnBytes) -> None:
    start = path.stat().st_size if path.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with httpx.stream("GET", address, headers=headers, timeout=TIMEOUT, follow_redirects=True) as response:
        if start and response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            path.unlink()  # It is longer than the file. The next attempt starts anew.
        response.raise_for_status()
        _write(response, path, start if _continues(response, start) else 0, on_bytes)


def _continues(response: httpx.Response, start: int) -> bool:
    """Return whether the answer goes on from byte `start`. A server that knows no ranges sends the whole file again."""
    found: str = response.headers.get("Content-Range", "")
    return found.startswith(f"bytes {start}-")


def _write(response: httpx.Response, path: Path, start: int, on_bytes: OnBytes) -> None:
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else None
    done = start
    with path.open("r+b" if start else "wb") as file:
        file.seek(start)
        # The raw stream: servers that declare .gz files as compressed in transport would have them unpacked here.
        for block in response.iter_raw():
            done += file.write(block)
            on_bytes(done, total)


def _may_help(error: Exception) -> bool:
    """Return whether to try again at once may help: not where no server is, or where it says the request is wrong."""
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        return status >= 500 or status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE
    return isinstance(error, BROKEN_OFF)


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"{error.response.status_code} {error.response.reason_phrase}"
    return str(error) or type(error).__name__
