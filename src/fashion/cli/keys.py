"""Who may ask the service for what."""

from typing import Annotated

import typer
from rich.table import Table

from fashion.cli.terminal import console, errors, start
from fashion.serving.keys import Right, add_key, keys_file, read_keys, remove_key

app = typer.Typer(help="Keys of the service: who may ask it for what.", no_args_is_help=True)


@app.command(epilog="Example: fashion key add shop --may predict --may feedback")
def add(
    name: Annotated[str, typer.Argument(help="Who will use it; the prediction log notes it.")],
    may: Annotated[
        list[Right],
        typer.Option(help="predict: ask. feedback: give labels, which are learned from. operate: metrics, refresh."),
    ],
) -> None:
    """Make a key, print it once, and keep only its digest, in .state/keys.json.

    Programs give it in the header X-API-Key. A running service accepts it at once, and from the first key on answers
    nobody without one. For several rights give --may several times.
    """
    project, _ = start()
    key = add_key(project, name, may)
    errors.print(f"{name} may {', '.join(sorted(set(may)))}. Keep the key; it cannot be shown again:")
    typer.echo(key)


@app.command("list", epilog="Example: fashion key list")
def show() -> None:
    """Show the keys by name, with their rights."""
    project, _ = start()
    table = Table("key", "may")
    for key in read_keys(keys_file(project)):
        table.add_row(key.name, ", ".join(sorted(key.may)))
    console.print(table)


@app.command(epilog="Example: fashion key remove shop")
def remove(name: Annotated[str, typer.Argument(help="Its name.")]) -> None:
    """Remove a key; a running service refuses it from the next request on."""
    project, _ = start()
    remove_key(project, name)
    errors.print(f"The key {name} was removed")
