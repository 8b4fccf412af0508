"""Bringing a user's own pictures in."""

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fashion.cli.terminal import console, print_classes, progress_bar, start
from fashion.errors import DataError, ParamsError
from fashion.importing import heavy_imports
from fashion.locks import between_trainings
from fashion.params import Params, load_params

if TYPE_CHECKING:
    from fashion.intake.bring import Plan
    from fashion.paths import Project

app = typer.Typer()


@app.command("import", epilog="Example: fashion import ~/Pictures/birds --dry-run")
def import_(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="A folder with one folder per class, perhaps below train and test; or a zip, a table, shards, IDX."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the dataset and model; the folder's by default. The same name again adds to it."),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Size of the images: 64, or HEIGHTxWIDTH; by default the median, at most 64.")
    ] = None,
    skip: Annotated[list[str] | None, typer.Option(help="A class to leave out; may be given several times.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what was found, and write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Go back to the dataset before the last import.")] = False,
) -> None:
    """Make a folder of pictures the dataset: data/, data.dvc, params.yaml and expectations/ follow from it.

    The pictures are copied. First it says what it found, and draws artifacts/import/sheet.png; then it asks. After that
    `make run` trains on them. Type it again after adding pictures: what it derived is brought up to date, and what you
    have edited stays. Before it writes, it waits for a running training.
    """
    if undo and (folder or name or size or skip or dry_run):
        raise typer.BadParameter("it takes neither a folder nor an option of an import", param_hint="--undo")
    project, params = start()
    if undo:
        _undo(project)
        return
    if folder is None:
        raise ParamsError("Which pictures? Type: fashion import FOLDER, with one folder per class in it")
    with heavy_imports():
        from fashion.intake import bring
        from fashion.intake.sheet import write_sheet
        from fashion.intake.sources import open_source
        from fashion.intake.written import check_uncommitted, describe_dataset

    params = _recover(project, params)
    planned_for = describe_dataset(project)
    if not dry_run:
        check_uncommitted(project)
    source = open_source(folder, skip or [])
    wanted = bring.Wanted(source, _name(name or source.name), _size(size))
    with progress_bar("looking at pictures") as advance:
        plan = bring.plan(project, params, wanted, advance)
    write_sheet(project.root / "artifacts" / "import", plan.scanned, plan.arranged)
    _print(plan)
    if dry_run:
        console.print("Nothing was written (--dry-run).")
        return
    if not yes:
        chosen = [("--name", name), ("--size", size), *(("--skip", one) for one in skip or [])]
        _ask(shlex.join([str(folder), *(word for option, value in chosen if value for word in (option, value))]))
    _carry_out(project, params, plan, planned_for)


def _carry_out(project: "Project", params: Params, plan: "Plan", planned_for: dict[str, str]) -> None:
    """Write what was planned for a dataset, once no training runs, if that dataset is still there."""
    from fashion.intake.bring import carry_out
    from fashion.intake.written import check_unchanged

    with between_trainings(project, "fashion import"):
        check_unchanged(project, planned_for)
        carry_out(project, params, plan)
    console.print(
        "The dataset is in place. See what changed with: git diff\n"
        "Keep it with: git add import.json && git commit --all\n"
        "Train on it with: make run. Go back with: fashion import --undo"
    )


def _recover(project: "Project", params: Params) -> Params:
    """Put the former dataset back if an import was killed while it was switching; return the parameters then."""
    from fashion.intake import switch

    if not switch.is_unfinished(project):
        return params
    with between_trainings(project, "fashion import"):
        switch.recover(project)
    console.print("An import was killed while it was running: the previous dataset is back.")
    _advise(project)
    return load_params(project.params)


def _undo(project: "Project") -> None:
    with heavy_imports():
        from fashion.intake import switch
        from fashion.intake.written import check_uncommitted

    lost: list[str] = []
    with between_trainings(project, "fashion import --undo"):
        if switch.is_unfinished(project):
            switch.recover(project)
        else:
            check_uncommitted(project)
            lost = switch.go_back(project)
    name = load_params(project.params).register_.name
    console.print(f"The former dataset is back: data/, data.dvc, params.yaml, expectations/ ({name}).")
    _advise(project)
    if lost:
        console.print(f"Collected since, and in the data.dvc of the last commit only: {', '.join(lost)}.")


def _advise(project: "Project") -> None:
    """Say how to get the files of a dataset that were never fetched here."""
    if not project.data.exists():
        console.print("Its files were not in data/ before that import; get them with: fashion fetch")


def _ask(arguments: str) -> None:
    if not sys.stdin.isatty():
        raise DataError(
            f"Nothing was written, and nobody can be asked here. To go on, type: fashion import {arguments} --yes"
        )
    if not typer.confirm("Make this the dataset?"):
        raise typer.Abort


def _name(text: str) -> str:
    """Return a name of a model and of a recipe: letters, digits, dots and dashes."""
    name = re.sub(r"[^\w.-]+", "-", text).strip("-.")[:64]
    if not name:
        raise ParamsError(f"{text!r} cannot be the name of a dataset; choose one with --name")
    return name


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,4})(?:x(\d{1,4}))?", text)
    size = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 8 <= min(size) <= max(size) <= 1024:
        raise ParamsError(f"--size {text}: expected pixels from 8 to 1024, as 64 or as HEIGHTxWIDTH")
    return size


def _print(plan: "Plan") -> None:
    from fashion.intake.wording import class_rows, sentences

    print_classes(class_rows(plan.found), f"{plan.wanted.name}: {plan.found.images:,} pictures")
    for sentence in sentences(plan):
        console.print(sentence, highlight=False)
    console.print("Look at artifacts/import/sheet.png: what the model will see.")
