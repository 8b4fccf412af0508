"""Watching what the champion is asked and how it does."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fashion.cli.terminal import console, start
from fashion.evaluation.alarm import show_score
from fashion.importing import heavy_imports

if TYPE_CHECKING:
    from fashion.adapters.predictions import JudgedWindow
    from fashion.loop.monitor import Watched

app = typer.Typer()


@app.command(epilog="Example: fashion monitor --last 500 --json")
def monitor(
    last: Annotated[
        int | None,
        typer.Option(min=1, max=2**31 - 1, help="Look at so many of the newest predictions; shown, not recorded."),
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Look at predictions from this time on (UTC); shown, not recorded.")
    ] = None,
    history: Annotated[bool, typer.Option("--history", help="Show the windows of the past; look at nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
) -> None:
    """Hold the champion's predictions since the last look against its reference: has anything drifted, is it an alarm?

    What was found is recorded, and a page is written about it under artifacts/monitoring. With --last or --since the
    window is chosen by hand: it is judged and shown in the same way, but not recorded, so that predictions that are
    looked at twice do not count twice in an alarm. An alarm is no error: the exit status is 0. The next run of the
    flow `monitoring` sends it.
    """
    if history and (last or since):
        raise typer.BadParameter(
            "the windows of the past cannot be chosen by --last or --since", param_hint="--history"
        )
    project, params = start()
    with heavy_imports():
        from fashion.loop import monitor as stage

    if history:
        _show_history(stage.read_history(project), as_json)
        return
    watched = stage.monitor(project, params, last=last, since=since.replace(tzinfo=UTC) if since else None)
    if as_json:
        typer.echo(json.dumps(asdict(watched), indent=2))
    else:
        _print_watched(watched)


def _print_watched(watched: "Watched") -> None:
    name = f"Window {watched.window}" if watched.window else "Not recorded"
    verdict = "alarm" if watched.alarm else "drifted" if watched.drifted else "no drift"
    console.print(
        f"{name}, version {watched.version}: {verdict if watched.scores else 'not judged'}. {watched.because}"
    )
    if not watched.scores:
        return
    console.print(
        f"{watched.predictions:,} predictions from {watched.start} to {watched.end}; "
        f"{watched.labelled:,} of {watched.asked:,} labels that were asked for at random have come"
    )
    if watched.unknown_labels:
        console.print(f"{watched.unknown_labels:,} labels are none of the champion's classes, and are left out")
    table = Table("statistic", "score", "", caption="0 is typical of clean windows, above 1 is drift")
    for statistic, score in watched.scores.items():
        table.add_row(statistic, show_score(score), "drifted" if score > 1 else "")
    console.print(table)
    console.print(f"Accuracy: {_percent(watched.estimated_accuracy)} estimated, {_live(watched)}")
    console.print(f"Page: {watched.report}")
    if watched.alarm:
        console.print("The next run of the flow `monitoring` sends the alarm.")


def _live(watched: "Watched") -> str:
    if watched.accuracy is None:
        return "no label that was asked for yet"
    interval = f"{_percent(watched.accuracy_low)} to {_percent(watched.accuracy_high)}"
    return f"{_percent(watched.accuracy)} live (95 % interval {interval}, of {watched.labelled:,} labels asked for)"


def _show_history(windows: "list[JudgedWindow]", as_json: bool) -> None:
    if as_json:
        rows = [asdict(window) | {"labelled": window.labelled, "correct": window.correct} for window in windows]
        typer.echo(json.dumps(rows, indent=2, default=str))
        return
    columns = ("window", "until (UTC)", "version", "n", "verdict", "score", "estimate", "live")
    table = Table(
        *columns, box=None, pad_edge=False, caption="n: predictions. score: the highest one. live: of labels asked for"
    )
    for window in windows:
        score = max(window.scores.values())
        live = f"{_percent(window.correct / window.labelled)} of {window.labelled:,}" if window.labelled else "no label"
        table.add_row(
            str(window.number),
            f"{window.end:%m-%d %H:%M}",
            window.model_version,
            f"{window.predictions:,}",
            window.verdict,
            show_score(score),
            _percent(window.estimated_accuracy),
            live,
        )
    console.print(table)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
