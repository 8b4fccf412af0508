"""What the registry holds: versions, the changes of their aliases, and how things stand."""

from dataclasses import asdict, dataclass
from typing import Any

from fashion.adapters import tracking
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.tracking.tags import DATA_VERSION, GATES
from fashion.params import Params
from fashion.paths import Project
from fashion.registry.absence import Absence, Cause, explain, explain_proposal, explain_without_version
from fashion.registry.loss import find_loss
from fashion.registry.proposal import awaits_approval
from fashion.settings import is_missing


@dataclass(frozen=True)
class Model:
    """A version, as `fashion models` shows it; what nobody recorded is None."""

    version: str
    aliases: tuple[str, ...]
    verdict: str | None
    gates: str | None
    accuracy: str | None
    accuracy_interval: str | None
    recipe: str | None
    network: str | None
    data_version: str | None
    created: str
    reason: str | None


@dataclass(frozen=True)
class Models:
    """All versions, the newest first, and whether the aliases are where the history says."""

    name: str
    models: tuple[Model, ...]
    in_order: bool


@dataclass(frozen=True)
class Standing:
    """Who is champion, since when and why, and what waits for a person."""

    models: Models
    champion: Model | None
    since: tracking.Change | None
    """By which it became champion."""
    challenger: str | None
    absence: Absence | None
    """Why there is no champion, and how to get one."""
    proposals: tuple[tuple[str, tuple[str, ...]], ...]
    """Of each version that awaits approval: that it does, and the ways to answer."""
    loss: Cause | None = None
    """Of the champion's files, if any are gone."""


def look_up_standing(project: Project, params: Params) -> Standing:
    """Return how things stand; nothing is written, not even the tables of a new database.

    Raises:
        ServiceError: MLflow is away or refused.
    """
    registry = registry_of(project, params)
    if is_missing(registry.uri):
        return Standing(Models(registry.name, (), True), None, None, None, explain_without_version(registry), ())
    tracking.check(registry.uri)
    ledger, versions = tracking.read_ledger(registry), tracking.list_versions(registry)
    aliases = ledger.aliases
    models = Models(registry.name, tuple(_model(version, aliases) for version in versions), ledger.in_order)
    absence = None
    if aliases.champion is None:
        absence = explain(registry, ledger, versions) if versions else explain_without_version(registry)
    awaiting = [version for version in versions if awaits_approval(ledger, version.number)]
    number = aliases.champion
    champion = next((version for version in versions if version.number == number), None)
    return Standing(
        models=models,
        champion=next((model for model in models.models if model.version == number), None),
        since=_since(ledger),
        challenger=aliases.challenger,
        absence=absence,
        proposals=tuple(explain_proposal(ledger, version) for version in awaiting),
        loss=find_loss(registry, champion, versions) if champion else None,
    )


def _since(ledger: tracking.Ledger) -> tracking.Change | None:
    """Return the change that made the champion what it is now; None if the history has none."""
    champion, found = ledger.aliases.champion, None
    for change in ledger.changes[::-1]:
        if champion is None or change.after.champion != champion:
            break
        found = change
    return found


def list_models(project: Project, params: Params) -> Models:
    """Return every version, the newest first. Raises ServiceError when MLflow is away."""
    registry = registry_of(project, params)
    tracking.check(registry.uri)
    ledger = tracking.read_ledger(registry)
    versions = tracking.list_versions(registry)
    return Models(registry.name, tuple(_model(version, ledger.aliases) for version in versions), ledger.in_order)


def list_changes(project: Project, params: Params) -> tuple[tracking.Change, ...]:
    """Return every change of an alias, the newest first, and those of models that were deleted in MLflow.

    Raises:
        ServiceError: MLflow is away.
    """
    registry = registry_of(project, params)
    tracking.check(registry.uri)
    return tracking.read_ledger(registry).entries[::-1]


def change_to_dict(change: tracking.Change) -> dict[str, Any]:
    """Return an entry of `fashion history --json`: each alias that moved with from and to."""
    content = asdict(change)
    del content["before"], content["after"]
    return content | {"aliases": {alias: {"from": old, "to": new} for alias, old, new in change.moves}}


def _model(version: tracking.Version, aliases: tracking.Aliases) -> Model:
    tags = version.tags
    return Model(
        version=version.number,
        aliases=tuple(alias for alias, number in asdict(aliases).items() if number == version.number),
        verdict=tags.get("verdict"),
        gates=tags.get(GATES),
        accuracy=tags.get("accuracy"),
        accuracy_interval=tags.get("accuracy_interval"),
        recipe=tags.get("recipe", tags.get("model")),  # One name for both in versions of earlier releases.
        network=tags.get("network", tags.get("model")),
        data_version=tags.get(DATA_VERSION),
        created=version.created,
        reason=tags.get("reason"),
    )
