"""The `fashion` command: one subcommand a stage, each a thin shell around `fashion.stages`.

A stage is imported when its command runs: TensorFlow, Great Expectations and MLflow cost seconds each.
"""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fashion.errors import FashionError
from fashion.params import Params, load_params
from fashion.paths import Project
from fashion.settings import apply_environment, load_project

app = typer.Typer(
    help="Keep an image classifier good in production. The stages in their order: fetch, validate, prepare, train, "
    "evaluate, export, register. `dvc repro` runs those between fetch and register as needed; `make run` runs all.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
console = Console(soft_wrap=True)


def main() -> None:
    """Entry point: a FashionError becomes one message and exit status 1, anything else keeps its traceback."""
    try:
        app()
    except FashionError as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", style="red", markup=False, highlight=False)
        sys.exit(1)


@app.command()
def train() -> None:
    """Train the network named in params.yaml (train.model) and calibrate it; writes artifacts/model/.

    Live curves go to MLflow. To try another network, edit params.yaml and run `dvc repro`.
    """
    project, params = _start()
    with _quiet_import():
        from fashion.stages.train import train as run
    with _progress_bar(f"training {params.train.model}") as advance:
        summary = run(project, params, advance)
    console.print(
        f"{summary.model}: {summary.parameters:,} parameters, {summary.epochs} epochs in {summary.seconds:.1f} s, "
        f"validation accuracy {summary.validation_accuracy:.2%}, temperature {summary.temperature:.3f}"
    )


@app.command()
def evaluate() -> None:
    """Measure the model on every test image; writes artifacts/evaluation/ with figures, pictures and gates."""
    project, params = _start()
    with _quiet_import():
        from fashion.stages.evaluate import evaluate as run
    evaluation = run(project, params)
    console.print(f"accuracy {evaluation.accuracy}")
    _print_gate("gates", evaluation.gate.passed, evaluation.gate.failures)


@app.command()
def export() -> None:
    """Write the model as SavedModel and LiteRT (float, int8), each compared with the Keras model."""
    project, params = _start()
    with _quiet_import():
        from fashion.stages.export import export as run
    summary = run(project, params)
    for name, size in summary.sizes.items():
        latency = f", {summary.latencies[name]:.3f} ms an image" if name in summary.latencies else ""
        console.print(f"{name}: {size:,} bytes{latency}")
    _print_gate("agreement", summary.gate.passed, summary.gate.failures)


@app.command()
def register() -> None:
    """Bring the candidate into MLflow; it becomes champion if all gates pass and no champion is better.

    Repeating it is safe: the same artifacts make no second version.
    """
    project, params = _start()
    with _quiet_import():
        from fashion.stages.register import register as run
    registration = run(project, params)
    known = "" if registration.created else " (these artifacts were registered before)"
    console.print(f"{registration.name} version {registration.version}{known}: {registration.verdict}")
    console.print(f"because {registration.reason}")


def _start() -> tuple[Project, Params]:
    """Find the project, set the defaults of its .env, read its parameters."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("fashion").setLevel(logging.INFO)
    project = load_project()
    apply_environment(project)
    return project, load_params(project.params)


def _print_gate(name: str, passed: bool, failures: list[str]) -> None:
    console.print(f"{name}: passed" if passed else f"{name}: failed: {'; '.join(failures)}")


@contextlib.contextmanager
def _progress_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere; yields a function of the steps done and the steps in all."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextlib.contextmanager
def _quiet_import() -> Iterator[None]:
    """Hide what TensorFlow's C++ code prints on standard error while it is imported; show it if the import fails."""
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except BaseException:
            hidden.seek(0)
            os.write(original, hidden.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)
