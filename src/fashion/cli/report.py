"""The report of a version."""

from typing import Annotated

import typer

from fashion.cli.terminal import console, start
from fashion.importing import heavy_imports

app = typer.Typer()


@app.command(epilog="Example: fashion report 3")
def report(
    version: Annotated[
        str | None,
        typer.Argument(help="Its number, or `champion` or `challenger`; without it the champion, else the newest."),
    ] = None,
) -> None:
    """Write a page about a version: data, model, results, every mistake, calibration, exports, what to improve.

    It is one file that opens offline, on a phone too, and prints. It is made from what the registry keeps with the
    version; the pictures of mistakes need the version's test set under artifacts/dataset. A version that was registered
    before there were model cards gets its card in MLflow.
    """
    project, params = start()
    with heavy_imports():
        from fashion.pages.report import write_report

    made = write_report(project, params, version)
    named = f" ({made.chosen})" if made.chosen else ""
    console.print(f"{made.name} version {made.version.number}{named}: {made.headline}", highlight=False)
    console.print(f"Page: {made.path}", highlight=False)
    if made.described:
        console.print("Its model card, which it lacked, is in MLflow now")
