"""The ledger: every decision about the aliases champion and challenger, with time, author, reason and figures.

It lives in MLflow, in an experiment `<model>-history` with one run, whose parameter `change-000007` is the seventh
change. MLflow writes a parameter once (the database's primary key refuses a second value), so of two processes that
decide at once one gets the number and the other is told. docs/decisions/0011 says what follows from that.
"""

import logging
import time
from datetime import UTC, datetime
from uuid import uuid4

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException

from fashion.adapters.tracking.address import Registry, explained
from fashion.adapters.tracking.changes import Aliases, Change, Decision, Ledger, author, from_entry, to_entry
from fashion.adapters.tracking.descriptions import KIND, NOTE, TRAINING_KIND, add_tags
from fashion.adapters.tracking.place import check_kept
from fashion.adapters.tracking.versions import CHALLENGER, CHAMPION
from fashion.errors import ServiceError

CHANGE, DONE, RUN = "change-", "done-", "ledger_run"
GRACE = 2.0
"""Seconds in which another process may finish its change before we do it for it."""

logger = logging.getLogger(__name__)


def read_ledger(registry: Registry) -> Ledger:
    """Read the ledger as it is; nothing is written.

    Raises:
        ServiceError: MLflow refused, or somebody deleted the ledger.
    """
    with explained(registry):
        client = MlflowClient(registry.uri)
        run_id = _find(client, registry)
        params = _read(client, registry, run_id) if run_id else {}
        aliases, created = _aliases(client, registry)
    entries = tuple(from_entry(params[key]) for key in sorted(params) if key.startswith(CHANGE))
    done = frozenset(change.number for change in entries if _done(change) in params)
    return Ledger(entries, done, aliases, created)


def _read(client: MlflowClient, registry: Registry, run_id: str) -> dict[str, str]:
    run = client.get_run(run_id)
    if run.info.lifecycle_stage == LifecycleStage.DELETED:
        raise ServiceError(
            f"The history of {registry.name} was deleted in {registry.uri}; bring it back with: "
            f"mlflow runs restore --run-id {run_id}"
        )
    return dict(run.data.params)


def settle(registry: Registry) -> Ledger:
    """Put the ledger in order: carry out an interrupted change, enter a move that was made past the ledger.

    An interrupted change after which somebody moved an alias in MLflow is only marked as done: the move stays.

    Raises:
        ServiceError: as `read_ledger`.
    """
    ledger = _patiently(registry)
    if not ledger.finished:
        with explained(registry):
            _finish(registry, ledger.changes[-1], ledger.aliases)
        ledger = read_ledger(registry)
    if ledger.aliases != ledger.expected:
        reason = "found like this: moved in MLflow, or before there was a history"
        record(registry, ledger, Decision("outside", ledger.aliases.champion, ledger.aliases, reason))
        ledger = read_ledger(registry)
    return ledger


def record(registry: Registry, seen: Ledger, decision: Decision) -> Change:
    """Enter a decision and carry it out: first the entry, then the aliases, then a mark that it is done.

    Args:
        seen: the ledger on which the decision rests.

    Raises:
        ServiceError: another change came first, or the aliases were moved past the ledger, or MLflow refused.
    """
    _check_unmoved(registry, seen)
    change = Change(
        number=len(seen.entries) + 1,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        before=seen.expected,
        key=uuid4().hex,
        model_created=seen.model_created,
        **vars(decision) | {"who": decision.who or author()},
    )
    with explained(registry):
        _claim(registry, change)
        _carry_out(registry, change)
    return change


def _check_unmoved(registry: Registry, seen: Ledger) -> None:
    """Check that nobody has moved an alias in MLflow since; for changes of the ledger, `_claim` does so."""
    now = read_ledger(registry)
    if len(now.entries) == len(seen.entries) and now.aliases != seen.aliases:
        moves = "; ".join(
            f"{alias} is {f'version {number}' if number else 'none'}, was {former or 'none'}"
            for alias, former, number in seen.aliases.moves_to(now.aliases)
        )
        raise ServiceError(
            f"The aliases of {registry.name} were moved in MLflow meanwhile: {moves}. "
            "Nothing was changed; look at it with `fashion history`, then try again."
        )


def _patiently(registry: Registry) -> Ledger:
    """Read the ledger once it is in order, or has been in disorder for longer than a process at work needs."""
    deadline = time.monotonic() + GRACE
    ledger = read_ledger(registry)
    while ledger.changes and not ledger.in_order and time.monotonic() < deadline:
        time.sleep(0.1)
        ledger = read_ledger(registry)
    return ledger


def _claim(registry: Registry, change: Change) -> None:
    """Write the entry under its number, unless another process did."""
    client = MlflowClient(registry.uri)
    run_id = _find(client, registry) or _make(client, registry)
    try:
        client.log_param(run_id, f"{CHANGE}{change.number:06}", to_entry(change))
    except MlflowException:
        first = next((one for one in read_ledger(registry).entries if one.number == change.number), None)
        if first is None:
            raise
        if first.key != change.key:
            raise ServiceError(
                f"Another change of {registry.name} came first: {first}. "
                "Nothing was changed; look at it with `fashion history`, then try again."
            ) from None


def _finish(registry: Registry, change: Change, aliases: Aliases) -> None:
    if change.explains(aliases):
        logger.warning("Change %d of the aliases was interrupted: carrying it out", change.number)
        _carry_out(registry, change)
        return
    logger.warning("Change %d was interrupted, and the aliases were moved in MLflow since: they stay", change.number)
    client = MlflowClient(registry.uri)
    client.log_param(_find(client, registry), _done(change), "yes")


def _carry_out(registry: Registry, change: Change) -> None:
    """Point the aliases where the ledger's last change says.

    Whoever has written an alias reads the ledger again: a process that slept in between puts right what it undid.
    """
    client = MlflowClient(registry.uri)
    run_id = _find(client, registry)
    while True:
        _point(client, registry, CHAMPION, change.after.champion)
        _point(client, registry, CHALLENGER, change.after.challenger)
        client.log_param(run_id, _done(change), "yes")
        latest = read_ledger(registry).entries[-1]
        if latest.number == change.number:
            return
        change = latest


def _point(client: MlflowClient, registry: Registry, alias: str, number: str | None) -> None:
    if number is None:
        client.delete_registered_model_alias(registry.name, alias)
        return
    try:
        client.set_registered_model_alias(registry.name, alias, number)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        # Deleted after the decision: the next `settle` enters that the alias points elsewhere.
        logger.warning("Version %s of %s is gone: %s stays where it is", number, registry.name, alias)


def _aliases(client: MlflowClient, registry: Registry) -> tuple[Aliases, int | None]:
    """Return where the aliases point, and when the registered model was created; None if there is none."""
    try:
        found = client.get_registered_model(registry.name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return Aliases(), None
        raise
    numbers = {alias: str(found.aliases[alias]) for alias in (CHAMPION, CHALLENGER) if alias in found.aliases}
    return Aliases(**numbers), int(found.creation_timestamp)


def _find(client: MlflowClient, registry: Registry) -> str | None:
    """Return the run that holds the ledger, if there is one."""
    experiment = client.get_experiment_by_name(_experiment(registry))
    if experiment is None:
        return None
    check_kept(registry, experiment)
    return str(experiment.tags[RUN])


def _make(client: MlflowClient, registry: Registry) -> str:
    """Make an empty ledger under another name, then rename it. Names are unique, so of two processes one wins."""
    name = _experiment(registry)
    made = client.create_experiment(f"{name}.{uuid4().hex}", artifact_location=registry.artifact_location)
    run = client.create_run(made, run_name=f"every change of the aliases of {registry.name}")
    client.set_terminated(run.info.run_id)
    words = (
        f"Every change of the aliases of {registry.name}, in the parameters of one run. To read it: `fashion history`"
    )
    add_tags(client, client.get_experiment(made), {RUN: run.info.run_id, KIND: TRAINING_KIND, NOTE: words})
    try:
        client.rename_experiment(made, name)
    except MlflowException:
        client.delete_experiment(made)
    found = _find(client, registry)
    if found is None:
        raise ServiceError(f"MLflow at {registry.uri} did not make the experiment {name}; try again")
    return found


def _experiment(registry: Registry) -> str:
    return f"{registry.name}-history"


def _done(change: Change) -> str:
    return f"{DONE}{change.number:06}"
