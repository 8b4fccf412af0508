"""The answer to a training that asks before it promotes."""

from typing import Annotated

import typer

from fashion.cli.terminal import console, start
from fashion.importing import heavy_imports

app = typer.Typer()

Run = Annotated[
    str,
    typer.Argument(
        help="The paused run: the number of its version (another model's: NAME/NUMBER), or the run's id or name."
    ),
]


@app.command(epilog="Example: fashion approve 3 --reason 'looked at its mistakes'")
def approve(
    run: Run, reason: Annotated[str, typer.Option(help="Why, in a line; the history keeps it.")] = "no reason given"
) -> None:
    """Agree to the promotion that a paused training proposes."""
    _answer(run, True, reason)


@app.command(epilog="Example: fashion refuse 3 --reason 'worse on shirts'")
def refuse(run: Run, reason: Annotated[str, typer.Option(help="Why, in a line; the history keeps it.")]) -> None:
    """Refuse the promotion that a paused training proposes: the version stays challenger."""
    _answer(run, False, reason)


def _answer(run: str, approved: bool, reason: str) -> None:
    _, params = start()
    with heavy_imports():
        from fashion.registry.approval import answer

    console.print(answer(params, run, approved, reason), highlight=False)
