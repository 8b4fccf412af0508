"""Learning from what came in."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from fashion.cli.terminal import console, in_turn, start
from fashion.importing import heavy_imports
from fashion.params import Params

if TYPE_CHECKING:
    from fashion.loop.collect import Collected

app = typer.Typer()


@app.command(epilog="Example: fashion collect --since 2026-11-01 --commit")
def collect(
    since: Annotated[datetime | None, typer.Option(help="Ignore predictions made before this time (UTC).")] = None,
    commit: Annotated[bool, typer.Option("--commit", help="Commit data.dvc to git, and nothing else.")] = False,
) -> None:
    """Turn new or corrected labels into a batch under data/batches, and pin it in data.dvc.

    Waits while a training is running. The batch is pushed to the default DVC remote, if there is one.

    Every image enters once, with its latest label; copies of images in the dataset are left out, and some images of
    over-represented classes wait for a later batch. Old and new data are checked together against expectations/ first;
    labels that make the data unfit for training do not enter data/, and are left out until they are corrected. `dvc
    repro` then trains on old and new images together; some of the new ones are held out as the recent test set.
    """
    project, _ = start()
    with heavy_imports():
        from fashion.adapters import git, versioning
        from fashion.adapters.versioning import pinning
        from fashion.loop.collect import collect as run

    with in_turn(project, "fashion collect") as params:
        collected = run(project, params, since.replace(tzinfo=UTC) if since else None)
    _show(collected, params)
    # Also what an earlier collection, or the flow's, has left to be committed.
    to_commit = commit and project.batches.is_dir()
    if to_commit:
        git.commit_file(project, project.root / versioning.PIN, _message(collected))
    if (collected.batch or to_commit) and pinning.default_remote(project) is not None:
        versioning.push(project, console.print, versioning.PIN)


def _message(collected: "Collected") -> str:
    if collected.batch is None:
        return "Data: as pinned since the last commit"
    return f"Data: {collected.images} labelled images, batch {collected.batch}"


def _show(collected: "Collected", params: Params) -> None:
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
