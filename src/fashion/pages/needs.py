"""What of the state of everything needs a person, and what that person can do."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from shlex import quote

from fashion.adapters.orchestration import FlowRun
from fashion.adapters.predictions import Use
from fashion.params import Params
from fashion.registry.overview import Standing


@dataclass(frozen=True)
class Need:
    """Something that waits for a person."""

    what: str
    ways: tuple[str, ...] = ()
    """What can be done about it, with the command to type."""
    address: str | None = None
    """The page of the service where it is done or seen, if there is one."""


def of_registry(standing: Standing) -> Iterator[Need]:
    """Yield what keeps the registry without a champion that can answer, and each version that awaits approval."""
    if standing.absence is not None:
        yield Need(f"{standing.absence.why} {standing.absence.so}", standing.absence.remedies)
        return
    if standing.loss:
        yield Need(standing.loss.why, standing.loss.remedies)
    for why, ways in standing.proposals:
        yield Need(f"{why[:1].upper()}{why[1:]}.", ways)


def of_log(use: Use, params: Params, pages: Collection[int] = (), champion: str | None = None) -> Iterator[Need]:
    """Yield an alarm that is not over, labels that nobody gave yet, and labels that nothing has learned from.

    Args:
        pages: the numbers of the windows of which there is a page; another clone may have judged some.
        champion: the version that is champion, if that is known: an alarm about a former one is over.
    """
    version = use.windows[-1].model_version if use.windows else None
    mine = [window for window in use.windows if window.model_version == version]
    newest = mine[::-1][: max(1, params.monitor.alarm.cool_down)]
    alarm = next((window for window in newest if window.alarm), None)
    if alarm and champion in (None, version):
        way = "see what happened next, with the labels that have arrived since: fashion monitor --history"
        where = f"/status/windows/{alarm.number}/index.html" if alarm.number in pages else None
        yield Need(f"Window {alarm.number} of version {version} raised an alarm: {alarm.because}.", (way,), where)
    if use.wanted:
        yield Need(
            f"{use.wanted:,} labels were requested at random and have not arrived; without them nobody knows the live "
            "accuracy.",
            ("give them on the service's page, under “Help label pictures”",),
            "/",
        )
    if use.uncollected >= params.collect.at_least:
        yield Need(
            f"{use.uncollected:,} predictions have a label that no training has seen yet.",
            ("make a batch of them to train on: fashion collect",),
        )


def of_runs(runs: Sequence[FlowRun], address: str) -> Iterator[Need]:
    """Yield each flow whose last run failed."""
    last: dict[str, FlowRun] = {}
    for run in runs:
        if not run.about:
            last.setdefault(run.flow, run)
    for run in last.values():
        if run.failed:
            said = f": {run.message}" if run.message else ""
            yield Need(f"The last run of {run.flow} failed{said}", (f"its log is in the Prefect UI at {address}",))


def of_refused(count: int, path: str) -> Iterator[Need]:
    """Yield the refused labels, if there are any; `path` is the list of them."""
    if count:
        yield Need(
            f"{count:,} labels made the data unfit to learn from, and were refused; .state/refused shows them.",
            (f"correct them; or to try them again as they are: rm {quote(path)}",),
        )
