"""Flow `scoring`: the champion's answers for a folder of pictures, into Parquet shards, as `fashion predict --output`.

A run that was stopped goes on where it was, if it is started again with the same parameters.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed

from fashion.errors import ParamsError
from fashion.params import Params
from fashion.paths import Project
from fashion.settings import predictions_url
from flows.announcement import announce_failure
from flows.pipeline import RETRIED, dated, open_project, unless_stopped

if TYPE_CHECKING:
    from fashion.batch.answer import Answered, Wanted

NOTICE_SECONDS = 30.0
"""Between two lines in the log that say how far it is."""


@task(name="answer", task_run_name="answer", **RETRIED)
def answer(project: Project, params: Params, wanted: "Wanted") -> "Answered":
    """Answer what is not answered yet, and show what came of it."""
    from fashion.batch.answer import answer as answer_all
    from fashion.batch.wording import summary_of

    answered = answer_all(project, params, wanted, _log_progress(get_run_logger().info))
    create_markdown_artifact(summary_of(answered, wanted.output), key="answers", description=answered.in_words)
    return answered


def name_of_run() -> str:
    return dated(f"scoring, {Path(flow_run.parameters['source']).name}")


@flow(name="scoring", flow_run_name=name_of_run, on_failure=[announce_failure], on_crashed=[announce_failure])
def scoring(source: str, output: str, pictures_a_shard: int = 1024, log: bool = False) -> State[Any]:
    """Answer all pictures of a source with the champion.

    Args:
        source: a folder, which is searched below, a zip archive, an IDX file or a Parquet shard of pictures.
        output: the folder of the answers. Both are paths on the worker's machine, relative to the project.
        pictures_a_shard: what a kill costs at most, 1 to 100,000.
        log: whether the answers go into the prediction log, too.
    """
    return unless_stopped(lambda: _score(source, output, pictures_a_shard, log))


def _score(source: str, output: str, pictures_a_shard: int, log: bool) -> State[Any]:
    from fashion.batch.answer import Wanted

    project, params = open_project()
    if not 1 <= pictures_a_shard <= 100_000:
        raise ParamsError(f"pictures_a_shard is {pictures_a_shard}; expected 1 to 100,000")
    url = predictions_url(project) if log else None
    wanted = Wanted(project.root / source, project.root / output, pictures_a_shard, url)
    return Completed(message=answer(project, params, wanted).in_words)


def _log_progress(say: Callable[..., None]) -> Callable[[int, int], None]:
    """Return what says every half minute how far it is."""
    next_notice = time.monotonic() + NOTICE_SECONDS

    def show(done: int, total: int) -> None:
        nonlocal next_notice
        if time.monotonic() >= next_notice:
            say("%s of %s pictures", f"{done:,}", f"{total:,}")
            next_notice = time.monotonic() + NOTICE_SECONDS

    return show
