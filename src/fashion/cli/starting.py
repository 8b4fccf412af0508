"""Which weights a training starts with: those of a registered version, those of a backbone, or none."""

from pathlib import Path
from typing import Annotated

import typer

from fashion.cli.terminal import console, in_turn, start
from fashion.importing import heavy_imports
from fashion.params import BackboneName

app = typer.Typer()


@app.command(epilog="Example: fashion start-from champion")
def start_from(
    version: Annotated[str | None, typer.Argument(help="Its number, or `champion` or `challenger`.")] = None,
    model: Annotated[
        str | None, typer.Option(help="The registered model that has the version, if it is not register.name.")
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Start from nothing again.")] = False,
) -> None:
    """Let trainings start with the weights of a registered version instead of random ones.

    Its model is copied into data/start and pinned in data.dvc; its digest in params.yaml (train.start_from) makes the
    next `dvc repro` train anew. Layers of the same size take its weights; the others, such as the head if the number
    of classes differs, start at random. Which ones do is shown, and kept in the lineage. Waits for a running training.
    """
    if none == (version is not None):
        raise typer.BadParameter("name a version, or write --none", param_hint="VERSION")
    project, _ = start()
    with heavy_imports():
        from fashion.registry import start_from as starting

    with in_turn(project, "fashion start-from") as params:
        if version is None:
            _tell_removed(starting.start_from_nothing(project, params) is not None)
            return
        chosen = starting.start_from(project, params, version, model)
    console.print(f"Trainings start from {chosen.start.version} now.", highlight=False)
    console.print(f"taken: {', '.join(chosen.fit.taken)}", highlight=False)
    if chosen.fit.new:
        console.print(f"at random: {', '.join(chosen.fit.new)}", highlight=False)
    console.print("params.yaml and data.dvc have changed. Train with: dvc repro")


@app.command(epilog="Example: fashion backbone MobileNetV3Small weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5")
def backbone(
    name: Annotated[BackboneName, typer.Argument(help="The network of keras.applications.")],
    file: Annotated[
        Path | None, typer.Argument(help="Its weights; without it, the command says where they are published.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="The recipe to give it to; a new one is made.")] = "pretrained",
) -> None:
    """Let trainings start with a network pretrained on photographs, of which only the head is new.

    The file is checked, copied into data/backbones and pinned in data.dvc; a recipe with it is written into params.yaml
    and put to use. Nothing is downloaded. Waits for a running training.
    """
    project, _ = start()
    with heavy_imports():
        from fashion.intake.backbone import take_weights

    with in_turn(project, "fashion backbone") as params:
        before = params.train.recipe
        built = take_weights(project, params, name, file, recipe)
    console.print(f"{name}: {built.weights:,} weights, in {built.backbone.path}", highlight=False)
    console.print(f"Trainings use the recipe {built.name} now; to go back, set train.recipe: {before} in params.yaml.")
    console.print("params.yaml and data.dvc have changed. Train with: dvc repro")


def _tell_removed(was_there: bool) -> None:
    if was_there:
        console.print("Trainings start from nothing again: every weight is drawn at random. Train with: dvc repro")
    else:
        console.print("Trainings already start from nothing; nothing was changed.")
