"""Traffic for a running service."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fashion.cli.terminal import console, progress_bar, start
from fashion.errors import DataError
from fashion.importing import heavy_imports
from fashion.settings import load_settings

if TYPE_CHECKING:
    from fashion.adapters.client import Service
    from fashion.images.traffic import Change
    from fashion.loop.simulate import Simulated

app = typer.Typer()


def _a_number(value: float) -> float:
    """Refuse `nan`, which is neither below a bound nor above it."""
    if math.isnan(value):
        raise typer.BadParameter("expected a number, found nan")
    return value


@app.command(epilog="Example: fashion simulate --images 2000 --rate 100 --drift noise --onset 500")
def simulate(
    images: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many images are sent.")] = 1000,
    rate: Annotated[float, typer.Option(min=0.01, max=10_000, callback=_a_number, help="Images a second.")] = 50.0,
    drift: Annotated[str | None, typer.Option(help="What changes; `--drift list` names the kinds.")] = None,
    severity: Annotated[int, typer.Option(min=1, max=5, help="How much it changes.")] = 3,
    onset: Annotated[int, typer.Option(min=0, max=1_000_000, help="Images that are sent before it changes.")] = 0,
    label_share: Annotated[
        float,
        typer.Option(min=0, max=1, callback=_a_number, help="Share of the requested labels that are given."),
    ] = 1.0,
    corrections: Annotated[
        float,
        typer.Option(min=0, max=1, callback=_a_number, help="Share of the other mistakes that are corrected."),
    ] = 0.5,
    label_delay: Annotated[
        float, typer.Option(min=0, max=86_400, callback=_a_number, help="Seconds until a label is given.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the order and of the change.")] = 0,
    url: Annotated[str | None, typer.Option(help="The service; otherwise the one of `fashion serve` here.")] = None,
    source: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="IMAGES LABELS", help="Gzipped IDX files to send instead of the test set."),
    ] = None,
) -> None:
    """Send test images to a running service (fashion serve), and their labels afterwards.

    For trials, demonstrations and load tests. Once a model has learned from test images, they no longer measure how it
    does on new ones: for an experiment, send other images with --source.
    """
    if drift == "list":
        _list_drifts()
        return
    project, params = start()
    with heavy_imports():
        from fashion.loop.simulate import Plan
        from fashion.loop.simulate import simulate as run

    change = _choose_change(drift, severity, onset)
    plan = Plan(images, rate, change, source, label_share, corrections, label_delay, seed)
    with progress_bar("sending") as advance:
        went = run(project, params, _find_service(url), plan, advance)
    _tell(went, drift)
    if went.failed:
        raise typer.Exit(1)


def _list_drifts() -> None:
    from fashion.images.traffic import DRIFTS

    typer.echo("\n".join(DRIFTS))


def _choose_change(drift: str | None, severity: int, onset: int) -> "Change | None":
    from fashion.images.traffic import DRIFTS, Change

    if drift is not None and drift not in DRIFTS:
        raise DataError(f"--drift {drift}: expected one of {', '.join(DRIFTS)}")
    return Change(drift, severity, onset) if drift else None


def _find_service(url: str | None) -> "Service":
    from fashion.adapters.client import Service
    from fashion.loop.simulate import AT_ONCE

    settings = load_settings()
    key = settings.serve_key.get_secret_value() if settings.serve_key else None
    return Service(url or f"http://127.0.0.1:{settings.serve_port}", key, AT_ONCE)


def _tell(went: "Simulated", drift: str | None) -> None:
    """Print what came of the traffic."""
    from fashion.evaluation.estimates import percentage

    console.print(
        f"{went.answered:,} answers in {went.seconds:.1f} s, {went.failed:,} failures, {went.labelled:,} labels sent"
    )
    for when, accuracy in (("before the change" if drift else "all", went.before), ("after it", went.after)):
        if accuracy:
            console.print(f"Accuracy {when}: {percentage(accuracy)}", highlight=False)
    if went.trouble:
        console.print(f"The last failure: {went.trouble}", highlight=False)
    versions = ", ".join(f"version {version}: {answers:,}" for version, answers in went.versions.items())
    console.print(f"Answered by {versions}")
