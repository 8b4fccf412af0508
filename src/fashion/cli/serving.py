"""Serving the champion."""

import os
from typing import Annotated

import typer

from fashion.cli.terminal import start
from fashion.importing import heavy_imports
from fashion.settings import load_settings

app = typer.Typer()


@app.command(epilog="Example: fashion serve --host 127.0.0.1 --port 8001")
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on. Beyond loopback a key is needed.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one. Otherwise FASHION_SERVE_PORT, 8000.")
    ] = None,
) -> None:
    """Answer over HTTP with the champion, log every answer, and change to the next champion without a pause.

    The page is at /, the description of the API at /openapi.json. Programs give their key in the header X-API-Key:
    FASHION_SERVE_KEY, or one made with fashion key add.
    """
    project, params = start()
    # The products of small matrices that a request needs are slower on several threads. Read once, by numpy's import.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with heavy_imports():
        from fashion.serving.server import serve as run

    run(project, params, host, load_settings().serve_port if port is None else port)
