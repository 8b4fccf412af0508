"""Tasks that write pages for people. They are called for their state: not even a bug in one costs a model."""

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Completed

from fashion.errors import FashionError
from fashion.locks import one_at_a_time
from fashion.params import Params
from fashion.paths import Project
from flows.artifacts import publish_exploration, publish_report
from flows.links import link_to_mlflow


@task(name="explore", task_run_name="explore", cache_policy=NO_CACHE)
def explore(project: Project, params: Params) -> State[None]:
    """Make the page about the data, if they have changed since the last one."""
    from fashion.pages.exploration_state import is_current

    try:
        if is_current(project, params):
            state: State[None] = Completed(name="UpToDate", message="The page about these data is there already")
        else:
            from fashion.pages.explore import explore as make

            with one_at_a_time(project, "explore"):
                state = Completed(message=f"Page: {make(project, params)}")
    except FashionError as error:
        get_run_logger().warning("No page about the data: %s", error)
        return Completed(name="NotMade", message=f"{error}\nTo try again: fashion explore")
    publish_exploration(project)
    return state


@task(name="report", task_run_name="report", cache_policy=NO_CACHE)
def report(project: Project, params: Params, version: str) -> State[None]:
    """Write the report of a version and keep it with the version, which needs none: nothing here fails the run."""
    from fashion.pages.report import keep_report, write_report

    try:
        written = write_report(project, params, version)
        page = keep_report(project, params, written)
    except FashionError as error:
        get_run_logger().warning("There is no report of version %s. %s", version, error)
        return Completed(name="NotReported", message=str(error).splitlines()[0])
    title = f"The report of {written.name} version {written.version.number}"
    publish_report(written, link_to_mlflow(project, title, page))
    return Completed(message=f"Report: {written.path}")
