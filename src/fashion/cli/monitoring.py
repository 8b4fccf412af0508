"""Watching what the champion is asked and how well it does."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fashion.cli.terminal import console, print_json, start, window_table
from fashion.importing import heavy_imports
from fashion.loop.wording import show_score

if TYPE_CHECKING:
    from fashion.adapters.predictions import JudgedWindow
    from fashion.loop.monitor import Look

app = typer.Typer()


@app.command(epilog="Example: fashion monitor --last 500 --json")
def monitor(
    last: Annotated[
        int | None,
        typer.Option(min=1, max=2**31 - 1, help="Look at this many of the newest predictions; shown, not recorded."),
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Look at predictions from this time on (UTC); shown, not recorded.")
    ] = None,
    history: Annotated[bool, typer.Option("--history", help="Show past windows instead of checking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
) -> None:
    """Compare the champion's predictions since the last check with its reference: has anything drifted?

    The result is recorded, and a page about it is written under artifacts/monitoring. With --last or --since you select
    the window yourself: it is judged and shown in the same way, but not recorded, so that no prediction counts twice
    towards an alarm. An alarm is not an error: the exit status is 0. The next run of the flow `monitoring` sends it.
    """
    if history and (last or since):
        raise typer.BadParameter("past windows cannot be selected with --last or --since", param_hint="--history")
    project, params = start()
    with heavy_imports():
        from fashion.loop import monitor as stage

    if history:
        _show_history(stage.read_history(project, params), as_json)
        return
    found = stage.monitor(project, params, last=last, since=since.replace(tzinfo=UTC) if since else None)
    if as_json:
        print_json(found.to_dict())
    else:
        _print_look(found)


def _print_look(found: "Look") -> None:
    judged, survey = found.judged, found.window.survey
    if judged is None:
        console.print(f"Not recorded, version {found.version}: not judged. {found.because}")
        return
    name = "Not recorded" if found.by_hand else f"Window {judged.number}"
    verdict = "alarm" if judged.alarm else "drifted" if judged.drifted else "no drift"
    console.print(f"{name}, version {found.version}: {verdict}. {found.because}")
    console.print(
        f"{judged.predictions:,} predictions from {judged.start.isoformat()} to {judged.end.isoformat()}; "
        f"{survey.answered:,} of {survey.asked:,} randomly requested labels received"
    )
    if found.window.unknown_labels:
        console.print(
            f"{found.window.unknown_labels:,} labels name classes that the champion does not have, and are ignored"
        )
    table = Table("statistic", "score", "", caption="0 is typical of a clean window; above 1 is drift")
    for statistic, score in judged.scores.items():
        table.add_row(statistic, show_score(score), "drifted" if score > 1 else "")
    console.print(table)
    console.print(f"Accuracy: {judged.estimated_accuracy:.1%} estimated, {_live(judged)}")
    console.print(f"Page: {found.page}")
    if judged.alarm:
        console.print("The next run of the flow `monitoring` sends the alarm.")


def _live(judged: "JudgedWindow") -> str:
    live = judged.accuracy
    if live is None:
        return "no requested labels yet"
    interval = f"{live.low:.1%} to {live.high:.1%}"
    return f"{live.value:.1%} live (95 % interval {interval}, from {judged.labelled:,} requested labels)"


def _show_history(windows: "list[JudgedWindow]", as_json: bool) -> None:
    if as_json:
        rows = [asdict(window) | {"labelled": window.labelled, "correct": window.correct} for window in windows]
        typer.echo(json.dumps(rows, indent=2, default=str))
        return
    table = window_table(windows)
    table.caption = "n: predictions. score: the highest. live: on requested labels"
    console.print(table)
