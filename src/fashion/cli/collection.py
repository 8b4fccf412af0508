"""Learning from what came in."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from fashion.cli.terminal import console, start
from fashion.importing import heavy_imports
from fashion.locks import between_trainings

app = typer.Typer()


@app.command(epilog="Example: fashion collect --since 2026-11-01 --commit")
def collect(
    since: Annotated[
        datetime | None, typer.Option(help="Take no prediction that was made before this time (UTC).")
    ] = None,
    commit: Annotated[bool, typer.Option("--commit", help="Commit data.dvc to git, and nothing else.")] = False,
) -> None:
    """Make a batch under data/batches of labels that were not used yet, or corrected since, and pin it in data.dvc.

    It waits for a training that is at work. It is pushed to the default DVC remote, if there is one.

    Every image enters once, by its last label; copies of images of the dataset are left out, and some images of classes
    that come too often wait for a later batch. Old and new together are checked against expectations/ first; labels
    that make them unfit to learn from do not enter data/, and are left out until they are corrected. `dvc repro` then
    learns from old and new images together; a part of the new ones is never learned from and becomes the recent test
    set.
    """
    project, params = start()
    with heavy_imports():
        from fashion.adapters import git, versioning
        from fashion.adapters.versioning import pinning
        from fashion.loop.collect import collect as run

    with between_trainings(project, "fashion collect"):
        collected = run(project, params, since.replace(tzinfo=UTC) if since else None)
    for omission in collected.omissions:
        console.print(omission, highlight=False)
    if collected.batch is None:
        wanted = params.collect.at_least
        console.print(
            f"Nothing to learn from: {collected.images:,} new labels; at least {wanted:,} are needed (collect.at_least)"
        )
        return
    console.print(
        f"data/batches/{collected.batch}: {collected.images:,} images, {collected.in_quarantine:,} in quarantine. "
        "Learn from them with: dvc repro"
    )
    for reason in collected.reasons:
        console.print(f"  {reason}", highlight=False)
    if collected.pictures:
        console.print(f"Look at {collected.pictures}: quarantine.png, quarantine.csv", highlight=False)
    if commit:
        message = f"Data: {collected.images} labelled images, batch {collected.batch}"
        git.commit_file(project, project.root / versioning.PIN, message)
    if pinning.default_remote(project) is not None:
        versioning.push(project, console.print, versioning.PIN)
