"""The `fashion` command: each subcommand calls one function of `stages`, `registry`, `loop`, `serving` or `doctor`.

That function is imported when its command runs: TensorFlow, Great Expectations and MLflow cost seconds each.
"""

import signal
import sys

import typer

from fashion.cli import (
    approval,
    collection,
    doctor,
    keys,
    lineage,
    monitoring,
    pipeline,
    predictions,
    registry,
    serving,
    simulation,
)
from fashion.cli.terminal import tell
from fashion.encoding import degrade_output
from fashion.errors import FashionError

app = typer.Typer(
    help="Keep an image classifier good in production. The stages in their order: fetch, validate, prepare, train, "
    "evaluate, export, register. `dvc repro` runs those between fetch and register as needed; `make run` runs all.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for part in (pipeline, registry, approval, lineage, predictions, serving, collection, monitoring, simulation, doctor):
    app.add_typer(part.app)
app.add_typer(keys.app, name="key")


def main() -> None:
    """Entry point: a FashionError becomes one message and exit status 1, anything else keeps its traceback."""
    # As an exception, so that whatever is open is closed: a run in MLflow, a temporary file.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    degrade_output()
    try:
        app()
    except FashionError as error:
        tell(error)
        sys.exit(1)
