"""A look at what around the project keeps it from working."""

from contextlib import suppress
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from fashion.cli.terminal import console, print_json
from fashion.doctor.checks import QUICK
from fashion.doctor.finding import NOTE, PROBLEM, WELL, Finding
from fashion.environment import apply_environment
from fashion.errors import ParamsError
from fashion.importing import heavy_imports
from fashion.settings import load_project

app = typer.Typer()
MARKS = {WELL: Text("well", "green"), NOTE: Text("note", "yellow"), PROBLEM: Text("problem", "bold red")}


@app.command(epilog="Example: fashion doctor --quick")
def doctor(
    quick: Annotated[
        bool, typer.Option("--quick", help="Only what takes no time: nothing is asked over a network.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")] = False,
) -> None:
    """Check the environment for what keeps the project from working, and say what to do about it.

    The packages, git, variables, proxies, the folder, disk and memory; data, ports, Prefect, MLflow and the prediction
    log. Nothing is changed. Exits with 1 if there is a problem.
    """
    project = load_project()
    with suppress(ParamsError):  # Its reason is among the findings.
        apply_environment(project)
    checks = list(QUICK)
    if not quick:
        with heavy_imports():
            from fashion.doctor.services import SLOW
        checks += SLOW
    findings = [check(project) for check in checks]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        console.print(_table(findings))
    if any(finding.verdict == PROBLEM for finding in findings):
        raise typer.Exit(1)


def _table(findings: list[Finding]) -> Table:
    table = Table("", "Subject", "Found, and what to do", box=None)
    for finding in findings:
        said = Text(finding.said)
        if finding.advice:
            said.append(f"\n→ {finding.advice}", "bold" if finding.verdict == PROBLEM else "")
        table.add_row(MARKS[finding.verdict], finding.subject, said)
    return table
