"""Files from http addresses (requests): resumed where they broke off, tried again where that can help."""

import time
from collections.abc import Callable
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from fashion.errors import ServiceError

CONNECT_SECONDS, READ_SECONDS = 10, 30
ATTEMPTS = 3
PAUSE_SECONDS = 1.0
BLOCK = 1 << 16

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
        except (requests.RequestException, HTTPError) as error:
            if attempt == ATTEMPTS or _is_refusal(error):
                raise ServiceError(f"{address}: {_innermost(error)}") from error
            time.sleep(PAUSE_SECONDS * attempt)
        else:
            return


def _receive(address: str, path: Path, on_bytes: OnBytes) -> None:
    start = path.stat().st_size if path.exists() else 0
    with _request(address, start) as response:
        if start and response.status_code == requests.codes.range_not_satisfiable:
            path.unlink()  # It is longer than the file. The next attempt starts anew.
        response.raise_for_status()
        _write(response, path, start if _continues(response, start) else 0, on_bytes)


def _request(address: str, start: int) -> requests.Response:
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-"} if start else {"Accept-Encoding": "identity"}
    return requests.get(address, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS))


def _continues(response: requests.Response, start: int) -> bool:
    """Whether the answer goes on from byte `start`. A server that knows no ranges sends the whole file again."""
    return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _write(response: requests.Response, path: Path, start: int, on_bytes: OnBytes) -> None:
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else None
    done = start
    with path.open("r+b" if start else "wb") as file:
        file.seek(start)
        # The raw stream: servers that declare .gz files as compressed in transport would have them unpacked here.
        for block in response.raw.stream(BLOCK, decode_content=False):
            done += file.write(block)
            on_bytes(done, total)


def _is_refusal(error: Exception) -> bool:
    """No server there, or one that says the request is wrong (4xx): trying again at once would not help."""
    if isinstance(error, requests.HTTPError):
        status = error.response.status_code
        return status < 500 and status != requests.codes.range_not_satisfiable
    broken_off = isinstance(error, HTTPError | requests.exceptions.ReadTimeout)
    return not broken_off and "Connection aborted" not in str(error)


def _innermost(error: BaseException) -> str:
    """The reason without the chain of wrappers around it."""
    reason = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    if isinstance(reason, BaseException):
        return _innermost(reason)
    return str(error).rpartition(": ")[2] if isinstance(error, HTTPError) else str(error)
