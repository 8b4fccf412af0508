"""Asking the champion."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fashion.cli.terminal import console, start
from fashion.importing import heavy_imports

if TYPE_CHECKING:
    from fashion.registry.predict import Predictions

app = typer.Typer()


@app.command(epilog="Example: fashion predict shirt.png bag.jpg --plot answer.png")
def predict(
    images: Annotated[list[Path], typer.Argument(help="PNG, JPEG, WebP, GIF or BMP pictures, or IDX files of images.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw a PNG: each picture, what the model saw, how sure it is.")
    ] = None,
) -> None:
    """Ask the champion what is in pictures of any size and colour: one object each, on a plain background.

    A file that cannot be read is one line on standard error; the others are still predicted. The exit status is then 1.
    """
    project, params = start()
    with heavy_imports():
        from fashion.registry.predict import predict as run

    found = run(project, params, images)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
    else:
        _print_predictions(found)
    if plot:
        _draw_predictions(found, plot)
    for refused in found.refused:
        typer.echo(refused.message, err=True)
    if found.refused:
        raise typer.Exit(1)


def _print_predictions(found: "Predictions") -> None:
    answers = [prediction.answer for prediction in found.predictions]
    doubts = {answer.reason: answer.explanation for answer in answers if answer.reason}
    columns = ("image", "class", "confidence", "runner-up", "", *(["do not rely on it"] if doubts else []))
    table = Table(*columns, title=f"{found.model}, version {found.version}")
    for prediction, answer in zip(found.predictions, answers, strict=True):
        (best, confidence), (second, less) = answer.ranking[:2]
        cells = (prediction.sample.source, best, f"{confidence:.1%}", second, f"{less:.1%}", answer.reason or "")
        table.add_row(*cells[: len(columns)])
    console.print(table)
    for reason, explanation in doubts.items():
        console.print(f"{reason}: {explanation}")


def _draw_predictions(found: "Predictions", path: Path) -> None:
    from fashion.adapters.plots import Shown, prediction_sheet

    pairs = [(prediction.sample, prediction.answer) for prediction in found.predictions]
    rows = [
        Shown(sample.source, sample.given, sample.seen.image, dict(answer.ranking), answer.explanation)
        for sample, answer in pairs
    ]
    prediction_sheet(rows, path, f"{found.model}, version {found.version}")
