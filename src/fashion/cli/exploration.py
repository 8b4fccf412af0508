"""Looking at images, before anything is learned from them and once the service gets them."""

from typing import Annotated

import typer

from fashion.cli.terminal import console, progress_bar, start
from fashion.importing import heavy_imports
from fashion.locks import one_at_a_time

app = typer.Typer()


@app.command(epilog="Example: fashion explore --window")
def explore(
    window: Annotated[
        bool, typer.Option("--window", help="Show the newest pictures that the service got instead of the dataset.")
    ] = False,
) -> None:
    """Write a page about the images: classes, descriptors, a map, copies, quarantine, how the splits differ.

    It is one file that opens without a network, artifacts/exploration/index.html, with its pictures beside it. With
    --window it is artifacts/exploration_window/index.html.
    """
    project, params = start()
    with heavy_imports():
        from fashion.pages.explore import explore as run

    with one_at_a_time(project, "explore"), progress_bar("exploring") as advance:
        page = run(project, params, window, advance)
    console.print(f"Page: {page}")
