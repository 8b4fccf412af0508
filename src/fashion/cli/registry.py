"""The registered versions: which there are, which is champion, how that came about, and changing it by hand."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fashion.cli.terminal import console, print_json, start
from fashion.importing import heavy_imports
from fashion.text import shorten

if TYPE_CHECKING:
    from fashion.adapters.tracking import Change
    from fashion.registry.overview import Models
    from fashion.registry.promotion import Promotion

app = typer.Typer()


@app.command(epilog="Example: fashion models --json")
def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")] = False,
) -> None:
    """Show the registered versions, the newest first: aliases, verdicts, gates, accuracies."""
    project, params = start()
    with heavy_imports():
        from fashion.registry.overview import list_models

    found = list_models(project, params)
    if as_json:
        print_json(asdict(found))
    else:
        _print_models(found)


@app.command(epilog="Example: fashion history --json")
def history(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")] = False,
) -> None:
    """Show every decision about the aliases champion and challenger, the newest first: when (UTC), from, to, why, who.

    Long chains of reasons are shortened; --json has them whole.
    """
    project, params = start()
    with heavy_imports():
        from fashion.registry.overview import change_to_dict, list_changes

    changes = list_changes(project, params)
    if as_json:
        print_json([change_to_dict(change) for change in changes])
    else:
        _print_changes(changes)


Reason = Annotated[str, typer.Option(help="Why, in a line; the history keeps it.")]
Force = Annotated[bool, typer.Option("--force", help="Even if its gates failed; the history keeps that too.")]


@app.command(epilog="Example: fashion promote 3 --reason 'better on shirts'")
def promote(
    version: Annotated[str, typer.Argument(help="The version that becomes champion.")],
    reason: Reason,
    force: Force = False,
) -> None:
    """Make a version the champion by hand."""
    project, params = start()
    with heavy_imports():
        from fashion.registry.promotion import promote as run

    _print_promotion(run(project, params, version, reason, force))


@app.command(epilog="Example: fashion rollback --to 2 --reason 'complaints about shirts'")
def rollback(
    reason: Reason,
    to: Annotated[str | None, typer.Option(help="An earlier champion; by default the previous one.")] = None,
    force: Force = False,
) -> None:
    """Make an earlier champion the champion again. A second rollback goes further back, not forward again."""
    project, params = start()
    with heavy_imports():
        from fashion.registry.promotion import roll_back

    _print_promotion(roll_back(project, params, to, reason, force))


def _print_models(found: "Models") -> None:
    table = Table("version", "aliases", "verdict", "gates", "accuracy", "created (UTC)", title=found.name)
    for model in found.models:
        known = [one or "unknown" for one in (model.verdict, model.gates, model.accuracy)]
        cells = (model.version, ", ".join(model.aliases), *known, model.created[:16].replace("T", " "))
        table.add_row(*(Text(cell, no_wrap=True) for cell in cells))
    console.print(table)
    if not found.in_order:
        console.print(
            "An alias is not where the history says; the next register, promote or rollback will put it right."
        )


def _print_changes(changes: "tuple[Change, ...]") -> None:
    """Print two paragraphs for each change: a table of texts this long would be a tower at 80 columns."""
    if not changes:
        console.print("No alias has ever moved: there is no version yet.")
    for change in changes:
        what = f"{change.action} {change.version or ''}{' --force' if change.forced else ''}".rstrip()
        moves = ", ".join(f"{alias} {old or 'none'} → {new or 'none'}" for alias, old, new in change.moves)
        who = ", ".join(filter(None, (change.who, change.via, change.flow_run)))
        console.print(f"{change.time[:16].replace('T', ' ')} {what}: {moves or 'no alias moved'}", style="bold")
        console.print(Padding(f"{shorten(change.reason)} ({who})", (0, 0, 1, 4)), highlight=False, soft_wrap=False)


def _print_promotion(promotion: "Promotion") -> None:
    if promotion.changed:
        console.print(f"{promotion.name}: champion is version {promotion.champion}, was {promotion.before or 'none'}")
    else:
        console.print(f"{promotion.name}: version {promotion.champion} is already the champion; nothing changed")
