"""What the registry holds: versions, and the changes of their aliases."""

from dataclasses import asdict, dataclass
from typing import Any

from fashion.adapters import tracking
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.tracking.tags import DATA_VERSION, GATES
from fashion.params import Params
from fashion.paths import Project


@dataclass(frozen=True)
class Model:
    """A version, as `fashion models` shows it; what nobody wrote down is none."""

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


def list_models(project: Project, params: Params) -> Models:
    """Raises ServiceError when MLflow is away."""
    registry = registry_of(project, params)
    tracking.check(registry.uri)
    ledger = tracking.read_ledger(registry)
    versions = tracking.list_versions(registry)
    return Models(registry.name, tuple(_model(version, ledger.aliases) for version in versions), ledger.in_order)


def list_changes(project: Project, params: Params) -> tuple[tracking.Change, ...]:
    """Return every change of an alias, the newest first. Raises ServiceError when MLflow is away."""
    registry = registry_of(project, params)
    tracking.check(registry.uri)
    return tracking.read_ledger(registry).changes[::-1]


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
