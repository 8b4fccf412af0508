"""Which weights a training starts with: those of a registered version, or none."""

from typing import Annotated

import typer

from fashion.cli.terminal import console, start
from fashion.importing import heavy_imports
from fashion.locks import between_trainings

app = typer.Typer()


@app.command(epilog="Example: fashion start-from champion")
def start_from(
    version: Annotated[str | None, typer.Argument(help="Its number, or `champion` or `challenger`.")] = None,
    model: Annotated[
        str | None, typer.Option(help="The registered model that has the version, if it is another than register.name.")
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Start from nothing again.")] = False,
) -> None:
    """Let trainings start with the weights of a registered version instead of random ones.

    Its model is copied into data/start and pinned in data.dvc; its digest in params.yaml (train.start_from) has the
    next `dvc repro` train anew. Layers of the same size take its weights; the others, such as the head where the number
    of classes is another one, start at random. Which do is shown, and kept in the lineage. Waits for a training.
    """
    if none == (version is not None):
        raise typer.BadParameter("name a version, or write --none", param_hint="VERSION")
    project, params = start()
    with heavy_imports():
        from fashion.registry import start_from as starting

    with between_trainings(project, "fashion start-from"):
        if version is None:
            _tell_removed(starting.start_from_nothing(project, params) is not None)
            return
        chosen = starting.start_from(project, params, version, model)
    console.print(f"Trainings start from {chosen.start.version} now.", highlight=False)
    console.print(f"taken: {', '.join(chosen.fit.taken)}", highlight=False)
    if chosen.fit.new:
        console.print(f"at random: {', '.join(chosen.fit.new)}", highlight=False)
    console.print("params.yaml and data.dvc have changed. Train with: dvc repro")


def _tell_removed(was_there: bool) -> None:
    if was_there:
        console.print("Trainings start from nothing again: every weight is drawn at random. Train with: dvc repro")
    else:
        console.print("Trainings start from nothing already; nothing was changed.")
