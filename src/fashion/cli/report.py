"""The report of a version, and versions side by side."""

from typing import Annotated

import typer
from rich.table import Column, Table

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


@app.command(epilog="Example: fashion compare 1 2")
def compare(
    which: Annotated[
        list[str],
        typer.Argument(help="Two or more: numbers of versions, `champion`, `challenger`, ids of MLflow runs."),
    ],
) -> None:
    """Show versions or trainings side by side: what differs, their curves, figures with intervals.

    Versions with the same test set are compared image by image. It writes a page to artifacts/comparisons/ that opens
    offline, with the curves on one axis.
    """
    project, params = start()
    with heavy_imports():
        from fashion.pages.compare import compare as run

    found = run(project, params, which)
    names = [side.name for side in found.sides]
    for title, rows in (("Figures", found.figures), ("What differs", found.differing)):
        table = Table(*(Column(name, overflow="fold") for name in (title, *names)))
        for name, cells in rows.items():
            table.add_row(name, *cells)
        console.print(table)
    for one in found.paired:
        gain = one.accuracy
        console.print(
            f"{one.name} against {names[0]}, on the same n = {one.images:,} images: {100 * gain.value:+.2f} points of "
            f"accuracy ({100 * gain.low:+.2f} to {100 * gain.high:+.2f}), McNemar's p {one.mcnemar_p:.3g}",
            highlight=False,
        )
    console.print(f"Page: {found.path}", highlight=False)
