"""Trying recipes out: which values of a recipe are better than those in use."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.table import Table

from fashion.cli.terminal import console, errors, in_turn, start, table_of
from fashion.importing import heavy_imports

if TYPE_CHECKING:
    from fashion.adapters.studies import Trial
    from fashion.experiments.finals import Tuned
    from fashion.experiments.search import Entrant, Watch
    from fashion.experiments.trial import Progress

app = typer.Typer()

ROWS_SHOWN = 15


@app.command(epilog="Example: fashion tune --minutes 40")
def tune(
    trials: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, help="How many trials the search may have; 20 if nothing is said."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, max=100_000, help="How long everything may take, the comparison included.")
    ] = None,
    study: Annotated[str, typer.Option(help="The name of the search, under which it goes on later.")] = "study",
    restart: Annotated[bool, typer.Option("--restart", help="Forget the trials that the study has.")] = False,
    apply: Annotated[
        bool,
        typer.Option(
            "--apply", help="Write the winner into params.yaml and use it; without a budget, that of a finished search."
        ),
    ] = False,
) -> None:
    """Search for a better recipe: values from tune.space in params.yaml, judged on validation images alone.

    The best are then trained again with several seeds against the recipe in use; if none is shown to be better, that is
    said, too. A search that is stopped, by Ctrl-C or otherwise, goes on with the same command. It shows every trial in
    MLflow (experiment fashion-tuning) and writes artifacts/tuning/STUDY/. Trainings wait for it, and it for them.
    """
    project, params = start()
    with heavy_imports():
        from fashion.experiments import tune as tuning
        from fashion.experiments.adopt import adopt
        from fashion.experiments.search import budget_of

    if trials or minutes or restart or not apply:
        budget = budget_of(trials, minutes)
        with in_turn(project, "fashion tune") as params:
            errors.print(tuning.forecast(project, params, budget))
            if restart:
                tuning.restart(project, study)
            with _shown(study) as watch:
                found = tuning.tune(project, params, study, budget, watch)
        _print(found)
        if not apply or not found.winner:
            return
    name = adopt(project, params, study)
    console.print(f"params.yaml has the recipe {name} now, and uses it. See what changed with: git diff params.yaml")
    console.print("The next training uses it; the judgement will show what it is worth.")


@contextmanager
def _shown(study: str) -> Iterator["Watch"]:
    """A table that grows with the search on a terminal, a line for each trial elsewhere."""
    from fashion.experiments.search import Watch

    board = _Board()
    try:
        if sys.stderr.isatty():
            with Live(console=errors, refresh_per_second=2, transient=True) as live:
                yield Watch(
                    lambda *at_work: live.update(board.table(at_work)), lambda trials: live.update(board.keep(trials))
                )
        else:
            yield Watch(lambda *_: None, board.tell)
    except KeyboardInterrupt:
        errors.print(board.best())
        errors.print(f"Stopped; nothing is lost. Go on with the same command (--study {study}).")
        raise


class _Board:
    """What is shown while a search goes on."""

    def __init__(self) -> None:
        from fashion.experiments.wording import log_trials

        self._trials: list[Trial] = []
        self._say = log_trials(errors.print)

    def keep(self, trials: "list[Trial]") -> Table:
        self._trials = trials
        return self.table(None)

    def table(self, at_work: "tuple[Entrant, Progress] | None") -> Table:
        from fashion.experiments.wording import show_values, trial_row

        table = Table("Trial", "Values", "Accuracy", "Seconds", "", title=self.best(), title_justify="left")
        for trial in self._trials[-ROWS_SHOWN:]:
            if trial.state != "running":
                table.add_row(*trial_row(trial).values())
        if at_work:
            entrant, progress = at_work
            said = f"{entrant.name}: epoch {progress.epoch} of {progress.epochs}"
            table.add_row("", show_values(entrant.values), f"{progress.accuracy:.2%}", "", said)
        return table

    def best(self) -> str:
        from fashion.experiments.wording import show_values

        complete = [trial for trial in self._trials if trial.accuracy is not None]
        if not complete:
            return "No trial is complete yet"
        best = max(complete, key=lambda trial: trial.accuracy or 0)
        return f"Best of {len(complete)} complete trials: {best.accuracy:.2%} with {show_values(best.values)}"

    def tell(self, trials: "list[Trial]") -> None:
        self._trials = trials
        self._say(trials)


def _print(found: "Tuned") -> None:
    from fashion.experiments.wording import describe_comparison, finalist_rows

    if rows := finalist_rows(found):
        console.print(table_of(rows, describe_comparison(found)))
    console.print(found.verdict)
    console.print(f"More, with pictures: artifacts/tuning/{found.study}/")
    if found.winner:
        console.print(f"Use it with: fashion tune --study {found.study} --apply")
