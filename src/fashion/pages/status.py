"""The state of everything: the champion, its last windows, the last runs, and what needs a person."""

import dataclasses
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fashion.adapters.documents import render
from fashion.adapters.orchestration import FlowRun, read_runs
from fashion.adapters.predictions import PredictionLog, Use, read_use
from fashion.loop.refused_labels import count_refused, refused_labels
from fashion.loop.wording import show_score
from fashion.pages import needs, trend
from fashion.pages.asking import Answer, Question
from fashion.pages.links import Link, find_links, find_windows
from fashion.pages.needs import Need
from fashion.params import Params
from fashion.paths import Project
from fashion.registry.overview import Standing, change_to_dict, look_up_standing
from fashion.settings import is_missing, load_settings, predictions_url
from fashion.text import shorten

SHOWN_WINDOWS, LISTED_WINDOWS, SHOWN_RUNS, SHOWN_VERSIONS = 50, 10, 8, 5
ROOM = "fashion.pages"


@dataclass(frozen=True)
class Files:
    """What lies in the project's folder."""

    links: tuple[Link, ...]
    windows: tuple[int, ...]
    """The numbers of those of which there is a page."""
    refused: int
    """Labels."""


@dataclass(frozen=True)
class Status:
    """How everything stood at one moment; a part that did not answer says so in its place."""

    time: datetime
    name: str
    """Of the registered model."""
    mlflow: Answer[Standing]
    log: Answer[Use]
    prefect: Answer[list[FlowRun] | None]
    """Its content is None, without trouble, where no server runs on this machine."""
    files: Answer[Files]
    needs: tuple[Need, ...]
    seconds: float
    """What the look took."""

    @property
    def troubles(self) -> dict[str, str]:
        """What did not answer, and why."""
        parts: dict[str, Answer[Any]] = {"MLflow": self.mlflow, "the prediction log": self.log}
        parts |= {"Prefect": self.prefect, "the project's folder": self.files}
        return {name: part.trouble for name, part in parts.items() if part.trouble}

    def to_dict(self) -> dict[str, Any]:
        """Return it as `fashion status --json` prints it; times are ISO 8601."""
        content: dict[str, Any] = _plain(dataclasses.asdict(self))
        standing, use = self.mlflow.content, self.log.content
        if standing:
            content["mlflow"]["content"]["models"]["models"] = [
                *map(dataclasses.asdict, standing.models.models[:SHOWN_VERSIONS])
            ]
            content["mlflow"]["content"]["since"] = change_to_dict(standing.since) if standing.since else None
            content["mlflow"]["content"]["absence"] = str(standing.absence) if standing.absence else None
        if use:
            for window, row in zip(use.windows, content["log"]["content"]["windows"], strict=True):
                live = window.accuracy
                row["live_accuracy"] = _plain(dataclasses.asdict(live)) if live else None
        return content


class Board:
    """Looks at everything again and again. Use it from one thread at a time.

    Args:
        log: the prediction log of a process that has one open.
    """

    def __init__(self, project: Project, params: Params, log: PredictionLog | None = None) -> None:
        self._project, self._params, self._log = project, params, log
        self._mlflow = Question(partial(look_up_standing, project, params))
        self._use = Question(self._read_use)
        self._prefect = Question(_read_runs)
        self._files = Question(self._read_files)

    @property
    def project(self) -> Project:
        return self._project

    def look(self, patience: float) -> Status:
        """Return the state of everything after at most `patience` seconds, whoever has not answered by then."""
        start = time.monotonic()
        for question in (self._mlflow, self._use, self._prefect, self._files):
            question.begin()
        deadline = start + patience
        mlflow, log = self._mlflow.answer(deadline), self._use.answer(deadline)
        prefect, files = self._prefect.answer(deadline), self._files.answer(deadline)
        found = tuple(self._needs(mlflow.content, log.content, prefect.content, files.content))
        name, seconds = self._params.register_.name, time.monotonic() - start
        return Status(datetime.now(UTC), name, mlflow, log, prefect, files, found, seconds)

    def _needs(
        self, standing: Standing | None, use: Use | None, runs: list[FlowRun] | None, files: Files | None
    ) -> Iterator[Need]:
        if standing:
            yield from needs.of_registry(standing)
        if use:
            champion = standing.champion.version if standing and standing.champion else None
            yield from needs.of_log(use, self._params, files.windows if files else (), champion)
        if runs:
            yield from needs.of_runs(runs, load_settings().prefect_api_url.removesuffix("/api"))
        if files:
            yield from needs.of_refused(files.refused, str(refused_labels(self._project)))

    def _read_use(self) -> Use:
        name, url = self._params.register_.name, predictions_url(self._project)
        if self._log:
            return read_use(self._log, name, SHOWN_WINDOWS)
        if is_missing(url):
            return Use(0, None, 0, 0, 0, ())
        with closing(PredictionLog(url)) as log:
            return read_use(log, name, SHOWN_WINDOWS)

    def _read_files(self) -> Files:
        links = find_links(self._project, self._params)
        return Files(links, find_windows(self._project), count_refused(self._project, self._params))


def _read_runs() -> list[FlowRun] | None:
    return read_runs(load_settings().prefect_api_url, SHOWN_RUNS)


def write_status(status: Status, **serving: Any) -> str:
    """Return the page about it, for the service.

    Args:
        serving: what the service says of itself: `service`, as /readyz.
    """
    use = status.log.content
    windows = use.windows if use else ()
    return render(
        ROOM,
        "status.html",
        title=f"{status.name}: status",
        status=status,
        drift=trend.draw_drift(windows) if windows else None,
        accuracy=trend.draw_accuracy(windows) if windows else None,
        listed=windows[: -LISTED_WINDOWS - 1 : -1],
        versions=status.mlflow.content.models.models[:SHOWN_VERSIONS] if status.mlflow.content else (),
        width=trend.WIDTH,
        height=trend.HEIGHT,
        left=trend.LEFT,
        right=trend.WIDTH - trend.RIGHT,
        pages=status.files.content.windows if status.files.content else (),
        shorten=shorten,
        show_score=show_score,
        **serving,
    )


def _plain(content: Any) -> Any:
    """Return the value as JSON can express it: times as text, tuples as lists."""
    if isinstance(content, dict):
        return {name: _plain(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return content.isoformat() if isinstance(content, datetime) else content
