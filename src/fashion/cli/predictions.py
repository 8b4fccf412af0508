"""Asking the champion."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fashion.cli.terminal import console, errors, print_classes, print_json, progress_bar, start
from fashion.errors import ParamsError
from fashion.importing import heavy_imports
from fashion.params import Params
from fashion.paths import Project
from fashion.settings import predictions_url

if TYPE_CHECKING:
    from fashion.batch.answer import Answered, Wanted
    from fashion.registry.predict import Predictions

app = typer.Typer()


@app.command(epilog="Example: fashion predict ~/Pictures/shop --output answers")
def predict(
    images: Annotated[
        list[Path],
        typer.Argument(
            help="PNG, JPEG, WebP, GIF or BMP pictures, or IDX files of images. With --output one folder, searched "
            "recursively, or one zip archive, IDX file or Parquet shard of pictures, of any size."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw a PNG: each picture, what the model saw, how sure it is.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the answers into this folder, as Parquet shards, and print a summary.")
    ] = None,
    shard_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100_000,
            help="With --output: pictures per shard, the most that a kill can cost; 1,024 if nothing is said.",
        ),
    ] = None,
    log: Annotated[
        bool,
        typer.Option(
            "--log",
            help="With --output: into the prediction log, too, where monitoring, retention and collecting "
            "leave them out.",
        ),
    ] = False,
) -> None:
    """Ask the champion what is in pictures of any size and colour: one object each, on a plain background.

    A file that cannot be read is one line on standard error; the others are still predicted. The exit status is then 1.

    With --output the answers to all pictures of a folder become Parquet shards, one row per picture. One that cannot
    be read has a reason instead of a class. To resume a run that was stopped or killed, repeat the command. Read the
    answers with pandas: read_parquet("answers"), where "answers" is that folder.
    """
    project, params = start()
    if log and not output:
        raise ParamsError("--log needs --output: only answers that go into a folder go into the prediction log")
    if shard_size and not output:
        raise ParamsError("--shard-size needs --output: only answers that go into a folder are divided into shards")
    if output:
        _check_options(images, plot)
        _answer_all(project, params, _wanted(project, images[0], output, shard_size, log), as_json=as_json)
        return
    with heavy_imports():
        from fashion.registry.predict import predict as run

    found = run(project, params, images)
    if as_json:
        print_json(found.to_dict())
    else:
        _print_predictions(found)
    if plot:
        _draw_predictions(found, plot)
    for refused in found.refused:
        typer.echo(refused.message, err=True)
    if found.refused:
        raise typer.Exit(1)


def _check_options(images: list[Path], plot: Path | None) -> None:
    if plot or len(images) != 1:
        found = "--plot" if plot else f"{len(images)} of them"
        raise ParamsError(f"--output takes one folder, archive, IDX or Parquet file, and draws no plot; found {found}")


def _wanted(project: Project, source: Path, output: Path, shard_size: int | None, log: bool) -> "Wanted":
    with heavy_imports():
        from fashion.batch.answer import PICTURES_A_SHARD, Wanted

    return Wanted(source, output, shard_size or PICTURES_A_SHARD, predictions_url(project) if log else None)


def _answer_all(project: Project, params: Params, wanted: "Wanted", *, as_json: bool) -> None:
    from fashion.batch.answer import answer

    try:
        with progress_bar("answering pictures") as advance:
            answered = answer(project, params, wanted, advance)
    except KeyboardInterrupt:
        errors.print("Stopped; nothing is lost. Go on with the same command.")
        raise
    if as_json:
        print_json(answered.to_dict())
    else:
        _print_answered(answered, wanted.output)
    if not answered.tally.by_class:
        raise typer.Exit(1)


def _print_answered(answered: "Answered", output: Path) -> None:
    from fashion.batch.wording import class_rows, sentences

    if rows := class_rows(answered.tally):
        print_classes(rows, f"{answered.model}, version {answered.version}")
    for sentence in sentences(answered, output):
        console.print(sentence, highlight=False)


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
    from fashion.adapters.plots import Shown, legible, prediction_sheet

    pairs = [(prediction.sample, prediction.answer) for prediction in found.predictions]
    rows = []
    for sample, answer in pairs:
        names = dict(zip(answer.probabilities, legible(list(answer.probabilities)), strict=True))
        ranking = {names[name]: share for name, share in answer.ranking}
        rows.append(Shown(sample.source, sample.given, sample.seen.image, ranking, answer.explanation))
    prediction_sheet(rows, path, f"{found.model}, version {found.version}")
