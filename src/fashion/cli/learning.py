"""What more training images bring."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from fashion.cli.terminal import console, errors, in_turn, start, table_of
from fashion.errors import ParamsError
from fashion.importing import heavy_imports

if TYPE_CHECKING:
    from fashion.experiments.learning_curve.measuring import Watch
    from fashion.experiments.learning_curve.results import Curve
    from fashion.experiments.learning_curve.subject import Subject
    from fashion.experiments.trial import Outcome
    from fashion.experiments.trial import Progress as Epochs

app = typer.Typer()


@app.command(epilog="Example: fashion learning-curve --sizes 1000,2000,4000 --seeds 5")
def learning_curve(
    recipe: Annotated[
        str | None, typer.Option(help="The name of a recipe in params.yaml; without it the one in use.")
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...",
            help="Numbers of training images, separated by commas; without it all of them, a half, a quarter, and so "
            "on down to a sixteenth, as long as every class has ten.",
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=2, max=100, help="Trainings for each size; more of them make the intervals narrower.")
    ] = 3,
) -> None:
    """Show what more training images bring: accuracy against their number, with intervals, as table and picture.

    The recipe is trained on nested parts of the training images, in which every class has its share, with several seeds
    each; every size takes about as many steps, so that what is gained is due to images. Accuracy is measured on the
    validation images; the test set is not used. The last line says what the last doubling gained, and whether that is
    more than chance: whether it is worth collecting more images.

    What is trained is kept: after Ctrl-C, or with more seeds or sizes, only what is missing is trained. It writes a
    page that opens offline, artifacts/learning_curves/RECIPE.html, with the figures beside it as JSON.
    """
    project, _ = start()
    asked = _parse(sizes)
    with heavy_imports():
        from fashion.experiments.learning_curve.measuring import kept_trainings, measure
        from fashion.experiments.learning_curve.subject import choose_subject
        from fashion.experiments.learning_curve.wording import forecast
        from fashion.pages.learning_curve import write_curve

    with in_turn(project, "fashion learning-curve") as params:
        subject = choose_subject(project, params, recipe, asked, seeds)
        errors.print(forecast(project, subject, kept_trainings(project, subject)))
        with _shown(subject) as watch:
            curve = measure(project, subject, watch)
    path = write_curve(project, curve)
    _print(curve)
    console.print(f"Page: {path}", highlight=False)


def _parse(sizes: str | None) -> list[int] | None:
    """Return the numbers of a list with commas."""
    if sizes is None:
        return None
    try:
        return [int(part) for part in sizes.split(",")]
    except ValueError as error:
        raise ParamsError(f"--sizes {sizes}: expected whole numbers separated by commas, such as 500,1000") from error


@contextmanager
def _shown(subject: "Subject") -> Iterator["Watch"]:
    """A line for each training that has ended; on a terminal below them a bar for all and one for that at work."""
    from fashion.experiments.learning_curve.measuring import Watch
    from fashion.experiments.learning_curve.wording import describe_training

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    done: list[Outcome] = []
    try:
        with Progress(*columns, console=errors, transient=True, disable=not sys.stderr.isatty()) as bars:
            everything = bars.add_task("trainings", total=len(subject.trainings))
            current = bars.add_task("", total=None)

            def on_epoch(size: int, seed: int, epochs: "Epochs") -> None:
                said = f"{size:,} images, seed {seed}: {epochs.accuracy:.2%}"
                bars.update(current, description=said, completed=epochs.epoch, total=epochs.epochs)

            def on_training(size: int, seed: int, outcome: "Outcome") -> None:
                done.append(outcome)
                bars.advance(everything)
                errors.print(describe_training(size, seed, done, len(subject.trainings)))

            yield Watch(on_epoch, on_training)
    except KeyboardInterrupt:
        errors.print(f"Stopped after {len(done)} of {len(subject.trainings)} trainings; they are kept.")
        errors.print("The same command goes on from there; or ask for fewer --sizes or --seeds, to see what there is.")
        raise


def _print(curve: "Curve") -> None:
    from fashion.experiments.learning_curve.wording import curve_rows, describe_curve

    console.print(table_of(curve_rows(curve), describe_curve(curve)))
    console.print(curve.verdict, highlight=False)
