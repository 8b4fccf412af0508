"""The state of everything."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from fashion.cli.terminal import console, print_json, start, window_table
from fashion.importing import heavy_imports
from fashion.text import shorten

if TYPE_CHECKING:
    from fashion.pages.status import Status

app = typer.Typer()
PATIENCE_SECONDS = 10.0
"""For tools to answer: in a new process MLflow takes seconds for its first look into a database."""
LISTED_WINDOWS = 5


@app.command(epilog="Example: fashion status --json")
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
) -> None:
    """Show the champion, its last windows, the last runs, and what needs a person.

    Whatever does not answer within ten seconds says so in its place. The service shows the same at /status, in less
    than one second.
    """
    project, params = start()
    with heavy_imports():
        from fashion.pages.status import Board

    found = Board(project, params).look(PATIENCE_SECONDS)
    if as_json:
        print_json(found.to_dict())
        return
    console.print(_champion(found), style="bold")
    for name, trouble in found.troubles.items():
        console.print(f"{name[:1].upper()}{name[1:]} did not answer: {trouble}", style="yellow")
    console.print(*_needs(found), *_use(found), sep="\n")
    _print_runs(found)
    for link in found.files.content.links if found.files.content else ():
        console.print(f"{link.title}: {link.path}", highlight=False)


def _champion(found: "Status") -> str:
    standing = found.mlflow.content
    if standing is None:
        return f"{found.name}: the champion is unknown"
    if standing.champion is None:
        return f"{found.name}: no champion"
    since = standing.since
    why = f" since {since.time[:16].replace('T', ' ')} UTC: {shorten(since.reason)} ({since.who})" if since else ""
    return f"{found.name}: version {standing.champion.version} is champion{why}"


def _needs(found: "Status") -> Iterator[Text]:
    if not found.needs:
        yield Text("Nothing needs a person" + (", as far as is known" if found.troubles else ""))
    for need in found.needs:
        ways = "".join(f"\n  → {way}" for way in need.ways)
        yield Text(f"! {need.what}", "yellow").append(ways, "default")


def _use(found: "Status") -> Iterator[Table | str]:
    use = found.log.content
    if use is None:
        return
    yield (
        f"{use.predictions:,} predictions, {use.unjudged:,} since the last window; {use.wanted:,} requested labels "
        f"have not arrived, {use.uncollected:,} labels are in no batch"
    )
    if not use.windows:
        return
    yield window_table(use.windows[: -LISTED_WINDOWS - 1 : -1])


def _print_runs(found: "Status") -> None:
    runs = found.prefect.content
    if runs is None and not found.prefect.trouble:
        console.print("No Prefect server runs on this machine; a run starts its own")
    if not runs:
        return
    table = Table("flow", "began (UTC)", "state", "it said", box=None, pad_edge=False)
    for run in runs:
        said = f"waits for an answer about {run.about}" if run.about else shorten(run.message)
        table.add_row(run.flow, f"{run.start:%m-%d %H:%M}" if run.start else "", run.state, said)
    console.print(table)
