"""What `python -m flows.training` shows while it works.

On a terminal one line for the whole run, with the time left, and under it what the step at work says, such as its
epochs. Anywhere else the lines of Prefect's log.
"""

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import prefect
from prefect.logging.configuration import setup_logging
from prefect.logging.handlers import PrefectConsoleHandler
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fashion.errors import FashionError
from fashion.params import Params
from fashion.paths import Project
from fashion.reading import read_json

MEASURED = Path(__file__).parents[1] / "benchmarks" / "first_run.json"
EPOCH = re.compile(r"epoch (\d+) of (\d+): .* ([\d.]+) s$")
NOTHING_DONE = "Finished in state UpToDate"
LINES = 12
"""Of the step at work, the last ones; `compact` has seven epochs."""


def forecast(project: Project, params: Params) -> str | None:
    """Say what a first run takes and needs, by `benchmarks.first_run`; none where a model has been made before.

    Raises:
        ArtifactError: the figures are missing or damaged.
    """
    if project.model_file.exists():
        return None
    measured = read_measured()
    run, machine = measured["run"], measured["machine"]
    minutes = round(sum(run["seconds"].values()) / 30) / 2
    duration = f"{minutes:g} minutes ({machine['processor']}, {machine['cores']} cores)"
    safe = "Ctrl-C is safe: the same command goes on from there."
    if run["of"] != params.workload:
        return f"How long a run takes with these data and this recipe is not known; as shipped, {duration}. {safe}"
    return (
        f"A first run takes about {duration}, downloads {run['download_bytes'] / 1e6:.0f} MB of data unless they are "
        f"at hand, and needs {run['disk_bytes'] / 1e9:.2g} GB of disk. {safe}"
    )


def read_measured() -> dict[str, Any]:
    """Read what `benchmarks.first_run` has measured: machine, setup, run.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    measured: dict[str, Any] = read_json(MEASURED, "git checkout -- benchmarks/first_run.json")
    return measured


@contextmanager
def shown(console: Console) -> Iterator[None]:
    """Show the run of the block on the console. An error a user can meet is left out: who called says it at the end."""
    setup_logging()
    handlers = [one for one in logging.getLogger().handlers if isinstance(one, PrefectConsoleHandler)]
    line = RunLine(read_measured()["run"]["seconds"])
    filters: list[Callable[[logging.LogRecord], bool]] = [Unsaid()]
    if console.is_terminal:
        filters.append(line.take)
    before = [handler.console for handler in handlers]
    for handler in handlers:
        handler.console = console  # What is printed on the same one stands above the line, not across it.
        for one in filters:
            handler.addFilter(one)
    try:
        live = Live(get_renderable=line.render, console=console, transient=True)
        with live if console.is_terminal else nullcontext():
            yield
    finally:
        for handler, own in zip(handlers, before, strict=True):
            handler.console = own
            for one in filters:
                handler.removeFilter(one)


class Unsaid:
    """Lets a log line through unless it repeats the error with which a step has failed."""

    def __init__(self) -> None:
        self._error: str | None = None

    def __call__(self, record: logging.LogRecord) -> bool:
        error = getattr(record, "explained", None)
        if isinstance(error, FashionError):
            self._error = str(error).strip().splitlines()[0]
        return self._error is None or self._error not in record.getMessage()


@dataclass(frozen=True)
class Epoch:
    """The last one that was told of; when, by the clock of the line."""

    number: int
    of: int
    seconds: float
    ended: float


class RunLine:
    """How far a run is, by the log lines of its steps.

    Args:
        expected: seconds that each step takes, in their order.
    """

    def __init__(self, expected: Mapping[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        self._expected = dict(expected)
        self._clock = clock
        self._start = self._since = clock()
        self._step = next(iter(self._expected))
        self._took: dict[str, float] = {}
        self._epoch: Epoch | None = None
        self._lines: deque[str] = deque(maxlen=LINES)

    def take(self, record: logging.LogRecord) -> bool:
        """Learn from a log line, and return whether to print it, too."""
        step = getattr(record, "task_run_name", self._step)
        if step != self._step and step in self._expected:
            self._took.setdefault(self._step, self._clock() - self._since)
            self._step, self._since, self._epoch = step, self._clock(), None
            self._lines.clear()
        message = record.getMessage()
        if step in self._expected and message.startswith(NOTHING_DONE):
            self._took[self._step] = 0.0
        if found := EPOCH.match(message):
            self._epoch = Epoch(int(found[1]), int(found[2]), float(found[3]), self._clock())
        if record.levelno >= logging.WARNING:
            return True
        if not Path(record.pathname).is_relative_to(Path(prefect.__file__).parent):
            self._lines.append(message)
        return False

    def seconds_left(self) -> float:
        """Estimate by how long the steps took so far, against what they were expected to take."""
        names = list(self._expected)
        after = sum(self._expected[name] for name in names[names.index(self._step) + 1 :])
        return self._left_of_step() + self._pace() * after

    def render(self) -> Group:
        passed, left = self._clock() - self._start, self.seconds_left()
        at = f", epoch {min(self._epoch.number + 1, self._epoch.of)} of {self._epoch.of}" if self._epoch else ""
        minutes, seconds = divmod(round(left), 60)
        line = Table.grid(padding=(0, 1))
        line.add_row(
            Text(f"{self._step}{at}"),
            ProgressBar(total=passed + left, completed=passed, width=30),
            Text(f"{minutes}:{seconds:02d} left" if left else ""),
        )
        return Group(line, *(Text(f"  {one}", "dim") for one in self._lines))

    def _pace(self) -> float:
        """Return how many times slower than expected it is, by steps that had something to do, and one that is overdue.

        Not by the training, whose time is its recipe's.
        """
        took = {name: seconds for name, seconds in self._took.items() if seconds}
        if (passed := self._clock() - self._since) > self._expected[self._step] and self._step not in self._took:
            took[self._step] = passed
        took.pop("train", None)
        expected = sum(self._expected[name] for name in took)
        return sum(took.values()) / expected if expected else 1.0

    def _left_of_step(self) -> float:
        if self._took.get(self._step) == 0.0:
            return 0.0
        if epoch := self._epoch:
            return max(0.0, (epoch.of - epoch.number) * epoch.seconds - (self._clock() - epoch.ended))
        return max(0.0, self._pace() * self._expected[self._step] - (self._clock() - self._since))
