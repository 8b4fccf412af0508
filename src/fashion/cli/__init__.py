"""The `fashion` command: each subcommand calls one function of `stages`, `registry`, `loop`, `serving` or `doctor`.

That function is imported when its command runs: TensorFlow, Great Expectations and MLflow cost seconds each.
"""

import signal
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fashion.cli import (
    approval,
    collection,
    doctor,
    exploration,
    intake,
    keys,
    learning,
    lineage,
    monitoring,
    pipeline,
    predictions,
    registry,
    report,
    serving,
    simulation,
    starting,
    status,
    tuning,
)
from fashion.cli.terminal import tell
from fashion.encoding import degrade_output
from fashion.errors import FashionError
from fashion.importing import absence_explained

GROUPS = {
    "The pipeline, in order": (pipeline,),
    "Importing and exploring data": (intake, exploration),
    "Better recipes and starting weights": (tuning, learning, starting),
    "Versions and the champion": (registry, approval, lineage, report),
    "The champion in use": (status, predictions, serving, monitoring, collection, simulation),
    "The machine": (doctor,),
}
"""The headings of `fashion --help`, and which modules' commands stand under each."""


class Commands(TyperGroup):
    """All commands, without Typer's --install-completion: it writes into the home folder."""

    def get_params(self, ctx: Any) -> list[Any]:
        return [option for option in super().get_params(ctx) if option.name != "install_completion"]


app = typer.Typer(
    cls=Commands,
    help="Keep an image classifier good in production. `dvc repro` runs the stages between fetch and register as "
    "needed, `make run` all of them. The --help of each command shows an example.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for heading, parts in GROUPS.items():
    for part in parts:
        for command in part.app.registered_commands:
            command.rich_help_panel = heading
        app.add_typer(part.app)
app.add_typer(keys.app, name="key", rich_help_panel="The champion in use")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fashion {version('fashion')}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the release and exit.")
    ] = False,
) -> None:
    """What can be asked of all commands together."""


def main() -> None:
    """Entry point: a FashionError becomes one message and exit status 1, anything else keeps its traceback."""
    # As an exception, so that whatever is open is closed: a run in MLflow, a temporary file.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    degrade_output()
    try:
        with absence_explained():
            app()
    except FashionError as error:
        tell(error)
        sys.exit(1)
