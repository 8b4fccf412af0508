"""The state of everything at /status, and the pages that it links."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException, Query, Response
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ConfigDict

from fashion.pages.links import find_served
from fashion.pages.status import Board, Status, write_status
from fashion.serving.answers import Ready
from fashion.serving.apart import run_apart
from fashion.serving.refusals import refused

PATIENCE_SECONDS = 0.75
"""For tools to answer; with the page it stays below a second."""
FRESH_SECONDS = 3.0
"""How old a look may be that others get, too."""
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Styles stand in these pages, and scripts never run: what a page shows may come from anybody."""
HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Form(BaseModel):
    """How the state is wanted."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["html", "json"] = "html"


class Look:
    """The state of everything, which all who ask at once share. Use it from one event loop."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._one = asyncio.Lock()
        self._last: tuple[float, Status] | None = None

    async def get(self) -> Status:
        """Return a look that is at most `FRESH_SECONDS` old."""
        async with self._one:
            if self._last is None or time.monotonic() - self._last[0] > FRESH_SECONDS:
                status = await run_apart(partial(self._board.look, PATIENCE_SECONDS))
                self._last = time.monotonic(), status
            return self._last[1]


def add_status(app: FastAPI, board: Board, describe: Callable[[], Ready]) -> None:
    """Add the routes.

    Args:
        describe: returns what the service says of itself.
    """
    look = Look(board)

    @app.get(
        "/status",
        response_class=Response,
        responses=refused(401, 403, 422, 503) | {200: {"content": {"text/html": {}, "application/json": {}}}},
    )
    async def status(form: Annotated[Form, Query()]) -> Response:
        """The champion, its last windows, the last runs, what needs a person; what did not answer says so.

        A page, or with `format=json` what `fashion status --json` prints.
        """
        found = await look.get()
        if form.format == "json":
            return JSONResponse(found.to_dict(), headers=HEADERS)
        page = await asyncio.to_thread(write_status, found, service=describe())
        return Response(page, headers=HEADERS, media_type="text/html")

    @app.get("/status/{name}/{path:path}", include_in_schema=False)
    async def read(name: str, path: str) -> Response:
        found = await asyncio.to_thread(find_served, board.project, name, path)
        if found is None:
            raise HTTPException(
                404,
                f"no page {name}/{path} is shown here. It may have been removed, or never been on the machine of the "
                "service; pages that need scripts, such as Evidently's reports, open from artifacts/ on that machine",
            )
        return FileResponse(found, headers=HEADERS)
