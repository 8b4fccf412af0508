"""The `fashion` command: one subcommand a stage, each a thin shell around `fashion.stages`.

A stage is imported when its command runs: TensorFlow, Great Expectations and MLflow cost seconds each.
"""

import contextlib
import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from fashion.errors import FashionError
from fashion.params import Params, load_params
from fashion.paths import Project
from fashion.quiet import quiet_standard_error
from fashion.settings import apply_environment, load_project

if TYPE_CHECKING:
    from fashion.adapters.tracking import Change
    from fashion.evaluation.judgement import Judgement
    from fashion.stages.overview import Models
    from fashion.stages.predict import Predictions
    from fashion.stages.promotion import Promotion

app = typer.Typer(
    help="Keep an image classifier good in production. The stages in their order: fetch, validate, prepare, train, "
    "evaluate, export, register. `dvc repro` runs those between fetch and register as needed; `make run` runs all.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
console = Console(soft_wrap=True)


def main() -> None:
    """Entry point: a FashionError becomes one message and exit status 1, anything else keeps its traceback."""
    # As an exception, so that whatever is open is closed: a run in MLflow, a temporary file.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        app()
    except FashionError as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", style="red", markup=False, highlight=False)
        sys.exit(1)


@app.command()
def fetch(
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Draw garments instead, for machines without a network and for trials.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files in data/ that are not the expected ones.")
    ] = False,
    images: Annotated[int, typer.Option(min=1, help="Training images to draw; only with --synthetic.")] = 60_000,
    test_images: Annotated[int, typer.Option(min=1, help="Test images to draw; only with --synthetic.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawing; only with --synthetic.")] = 0,
) -> None:
    """Bring the dataset into data/, each file checked by its SHA-256, and pin it in data.dvc.

    Sources are tried in the order of params.yaml (data.sources), or of FASHION_DATA_SOURCES, separated by commas: `dvc`
    (the default DVC remote), a folder, or an address. An interrupted download goes on where it stopped.
    """
    project, params = _start()
    from fashion.stages.fetch import Drawing, draw_data
    from fashion.stages.fetch import fetch as run

    if synthetic:
        fetched = draw_data(project, params, Drawing(images, test_images, seed), force)
    else:
        with _download_bars() as progress:
            fetched = run(project, params, force, progress)
    for name, origin in fetched.origins.items():
        console.print(f"data/{name}: {origin}")
    if fetched.synthetic:
        console.print("These images are drawn, not real: nothing learned from them holds for real garments.")
    if fetched.pin_changed:
        console.print("data.dvc now pins this version of the data; commit it to git to keep it.")


@app.command()
def validate() -> None:
    """Hold the expectations of expectations/ against every image; writes artifacts/validation/.

    Bad images go into quarantine and are left out of training; too many of them, or a breach that must not be, fail.
    """
    project, params = _start()
    from fashion.stages.validate import validate as run

    summary = run(project, params)
    console.print(
        f"{summary.images:,} images are fit to learn from: {summary.quarantined} in quarantine, "
        f"{summary.reported_in_test} reported in the test set. See artifacts/validation/summary.md"
    )


@app.command()
def prepare() -> None:
    """Split the training images into training and validation; the test set stays whole. Writes artifacts/dataset/."""
    project, params = _start()
    from fashion.stages.prepare import prepare as run

    prepared = run(project, params)
    console.print(", ".join(f"{name}: {count:,} images" for name, count in prepared.images.items()))


@app.command()
def train() -> None:
    """Train the network named in params.yaml (train.model) and calibrate it; writes artifacts/model/.

    Live curves go to MLflow. To try another network, edit params.yaml and run `dvc repro`.
    """
    project, params = _start()
    with quiet_standard_error():
        from fashion.stages.train import train as run
    with _progress_bar(f"training {params.train.model}") as advance:
        summary = run(project, params, advance)
    console.print(
        f"{summary.model}: {summary.parameters:,} parameters, {summary.epochs} epochs in {summary.seconds:.1f} s, "
        f"validation accuracy {summary.validation_accuracy:.2%}, temperature {summary.temperature:.3f}"
    )


@app.command()
def evaluate() -> None:
    """Measure the model on every test image; writes artifacts/evaluation/ with figures, pictures and gates."""
    project, params = _start()
    with quiet_standard_error():
        from fashion.stages.evaluate import evaluate as run
    evaluation = run(project, params)
    console.print(f"accuracy {evaluation.accuracy}")
    _print_gate("gates", evaluation.gate.passed, evaluation.gate.failures)


@app.command()
def export() -> None:
    """Write the model as SavedModel and LiteRT (float, int8), each compared with the Keras model."""
    project, params = _start()
    with quiet_standard_error():
        from fashion.stages.export import export as run
    summary = run(project, params)
    for name, size in summary.sizes.items():
        latency = f", {summary.latencies[name]:.3f} ms an image" if name in summary.latencies else ""
        console.print(f"{name}: {size:,} bytes{latency}")
    _print_gate("agreement", summary.gate.passed, summary.gate.failures)


@app.command()
def register() -> None:
    """Bring the candidate into MLflow; it becomes champion if it passes its gates and the judgement.

    Champion and candidate answer the same test images: the candidate must not be worse beyond the margins of
    params.yaml (register.judgement), and be better in at least one objective. A tie changes nothing.

    Repeating it is safe: the same artifacts make no second version.
    """
    project, params = _start()
    with quiet_standard_error():
        from fashion.stages.register import register as run
    registration = run(project, params)
    known = "" if registration.created else " (these artifacts were registered before)"
    console.print(f"{registration.name} version {registration.version}{known}: {registration.verdict}")
    console.print(f"because {registration.reason}")
    if registration.judgement and registration.judgement.champion:
        _print_judgement(registration.judgement)


def _print_judgement(judgement: "Judgement") -> None:
    from fashion.evaluation.judgement import rows, summary

    shown = rows(judgement)
    table = Table(*shown[0], title=f"candidate against {judgement.champion}", title_justify="left")
    for row in shown:
        table.add_row(*map(Text, row.values()))
    console.print(table)
    console.print(f"{summary(judgement)} More: .state/judgement/judgement.md", highlight=False)


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")] = False,
) -> None:
    """Show the registered versions, the newest first: aliases, verdicts, gates, accuracies."""
    project, params = _start()
    from fashion.stages.overview import list_models

    found = list_models(project, params)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        _print_models(found)


@app.command()
def history(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")] = False,
) -> None:
    """Show every change of the aliases champion and challenger, the newest first: when, who, from, to, why."""
    project, params = _start()
    from fashion.stages.overview import change_to_dict, list_changes

    changes = list_changes(project, params)
    if as_json:
        typer.echo(json.dumps([change_to_dict(change) for change in changes], indent=2))
    else:
        _print_changes(changes)


Reason = Annotated[str, typer.Option(help="Why, in a line; the history keeps it.")]
Force = Annotated[bool, typer.Option("--force", help="Even if its gates failed; the history keeps that too.")]


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="The version that becomes champion.")],
    reason: Reason,
    force: Force = False,
) -> None:
    """Make a version the champion by hand."""
    project, params = _start()
    from fashion.stages.promotion import promote as run

    _print_promotion(run(project, params, version, reason, force))


@app.command()
def rollback(
    reason: Reason,
    to: Annotated[str | None, typer.Option(help="An earlier champion; without it, the one before the present.")] = None,
    force: Force = False,
) -> None:
    """Make an earlier champion the champion again. A second rollback goes further back, not forth."""
    project, params = _start()
    from fashion.stages.promotion import roll_back

    _print_promotion(roll_back(project, params, to, reason, force))


@app.command()
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
    project, params = _start()
    from fashion.stages.predict import predict as run

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


def _print_models(found: "Models") -> None:
    table = Table("version", "aliases", "verdict", "gates", "accuracy", "created (UTC)", title=found.name)
    for model in found.models:
        known = [one or "unknown" for one in (model.verdict, model.gates, model.accuracy)]
        cells = (model.version, ", ".join(model.aliases), *known, model.created[:16].replace("T", " "))
        table.add_row(*(Text(cell, no_wrap=True) for cell in cells))
    console.print(table)
    if not found.in_order:
        console.print("An alias is not where the history says; the next register, promote or rollback sees to that.")


def _print_changes(changes: "tuple[Change, ...]") -> None:
    table = Table("time (UTC)", "what", "from → to", "who", "why")
    for change in changes:
        moves = [f"{alias} {old or 'none'} → {new or 'none'}" for alias, old, new in change.moves]
        who = f"{change.who}, {change.flow_run}" if change.flow_run else change.who
        what = f"{change.action} --force" if change.forced else change.action
        table.add_row(change.time[:16].replace("T", " "), what, Text("\n".join(moves)), Text(who), Text(change.reason))
    console.print(table)


def _print_promotion(promotion: "Promotion") -> None:
    if promotion.changed:
        console.print(f"{promotion.name}: champion is version {promotion.champion}, was {promotion.before or 'none'}")
    else:
        console.print(f"{promotion.name}: version {promotion.champion} is the champion already, nothing changed")


def _print_predictions(found: "Predictions") -> None:
    table = Table("image", "class", "confidence", "runner-up", "", title=f"{found.model}, version {found.version}")
    for prediction in found.predictions:
        (best, confidence), (second, less) = prediction.ranking[:2]
        # Text, because rich would take the number in file[0] for a style.
        table.add_row(Text(prediction.sample.source), best, f"{confidence:.1%}", second, f"{less:.1%}")
    console.print(table)


def _draw_predictions(found: "Predictions", path: Path) -> None:
    from fashion.adapters.pictures import prediction_sheet

    samples = [prediction.sample for prediction in found.predictions]
    prediction_sheet(
        [sample.source for sample in samples],
        [sample.given for sample in samples],
        [sample.seen for sample in samples],
        [prediction.probabilities for prediction in found.predictions],
        path,
        f"{found.model}, version {found.version}",
    )


def _start() -> tuple[Project, Params]:
    """Find the project, set the defaults of its .env, read its parameters."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("fashion").setLevel(logging.INFO)
    project = load_project()
    apply_environment(project)
    return project, load_params(project.params)


def _print_gate(name: str, passed: bool, failures: list[str]) -> None:
    console.print(f"{name}: passed" if passed else f"{name}: failed: {'; '.join(failures)}")


@contextlib.contextmanager
def _download_bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar for each file on a terminal, nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name)
            progress.update(tasks[name], completed=done, total=total)

        yield show


@contextlib.contextmanager
def _progress_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere; yields a function of the steps done and the steps in all."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
