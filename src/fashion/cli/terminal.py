"""What every command needs: the project with its parameters, a console, progress bars."""

import contextlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from fashion.environment import apply_environment
from fashion.errors import DiskError, FashionError, GitError, ServiceError, SetupError
from fashion.locks import between_trainings
from fashion.loop.wording import show_score
from fashion.params import Params, load_params
from fashion.paths import Project
from fashion.settings import load_project

if TYPE_CHECKING:
    from fashion.adapters.predictions import JudgedWindow
    from fashion.evaluation.gates import Gate
    from fashion.registry.judgement import Judgement

# What is printed is text: names of classes, paths and reasons are other people's, and may hold [brackets] or :words:.
console = Console(soft_wrap=True, markup=False, emoji=False)
errors = Console(soft_wrap=True, markup=False, emoji=False, highlight=False, stderr=True)
COLOURS = {"passed": "green", "undecided": "yellow", "failed": "bold red"}
CLASSES_LISTED = 30


OF_THE_MACHINE = (DiskError, GitError, ServiceError, SetupError)
"""Errors whose causes `fashion doctor` looks for."""


def tell(error: FashionError) -> None:
    """Print the one message of a command that has failed."""
    errors.print(f"error: {error}", style="red")
    if isinstance(error, OF_THE_MACHINE):
        errors.print("More about git, variables, proxies, ports, disk and services: fashion doctor")


def print_json(content: Any) -> None:
    """Print the one JSON document of a command with --json."""
    typer.echo(json.dumps(content, indent=2))


class ConsoleHandler(logging.Handler):
    """Prints log lines on the console of the progress bars, so that they stand above a bar and not across it."""

    def emit(self, record: logging.LogRecord) -> None:
        errors.print(self.format(record))


def start() -> tuple[Project, Params]:
    """Find the project, set the defaults of its .env, read its parameters."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, handlers=[ConsoleHandler()])
    logging.getLogger("fashion").setLevel(logging.INFO)
    project = load_project()
    apply_environment(project)
    return project, load_params(project.params)


@contextlib.contextmanager
def in_turn(project: Project, command: str) -> Iterator[Params]:
    """Hold the training slot in the block; yield params.yaml as it is then: it may have been edited during the wait."""
    with between_trainings(project, command):
        yield load_params(project.params)


def gate_table(gate: "Gate") -> Table:
    """Return every gate with its value, interval, limit and verdict."""
    table = Table("Gate", "Value", "Interval", "Limit", "Verdict", title=gate.count, title_justify="left")
    for check in gate.checks:
        *cells, verdict = check.row().values()
        table.add_row(*cells, Text(verdict, COLOURS[check.verdict]))
    return table


def judgement_table(judgement: "Judgement") -> Table:
    """Return every figure that was compared, of a judgement with a comparison."""
    from fashion.registry.wording import rows

    return table_of(rows(judgement), f"Candidate against {judgement.champion}")


def table_of(rows: Sequence[Mapping[str, str]], title: str) -> Table:
    """Return a table of at least one row, with the keys of the rows as its header."""
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(*row.values())
    return table


def print_classes(rows: Sequence[Mapping[str, str]], title: str) -> None:
    """Print a table with a row for each class, of many classes the first ones."""
    console.print(table_of(rows[:CLASSES_LISTED], title))
    if len(rows) > CLASSES_LISTED:
        console.print(f"and {len(rows) - CLASSES_LISTED} more classes")


def window_table(windows: "Sequence[JudgedWindow]") -> Table:
    """Return a line for each window of predictions, in their order."""
    columns = ("window", "until (UTC)", "version", "n", "verdict", "score", "estimate", "live")
    table = Table(*columns, box=None, pad_edge=False)
    for window in windows:
        live = window.accuracy
        table.add_row(
            str(window.number),
            f"{window.end:%m-%d %H:%M}",
            window.model_version,
            f"{window.predictions:,}",
            window.verdict,
            show_score(max(window.scores.values())),
            f"{window.estimated_accuracy:.1%}",
            f"{live.value:.1%} of {window.labelled:,}" if live else "no labels",
        )
    return table


@contextlib.contextmanager
def download_bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar for each file on a terminal, nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, disable=not sys.stderr.isatty()) as progress:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name)
            progress.update(tasks[name], completed=done, total=total)

        yield show


@contextlib.contextmanager
def progress_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere; yields a function of the steps done and the steps in all."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
