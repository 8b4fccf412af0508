"""Where a version comes from, and what has become of it since."""

from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fashion.adapters import tracking
from fashion.adapters.tracking.address import registry_of
from fashion.adapters.tracking.tags import ARTIFACTS_DIGEST
from fashion.errors import LineageError
from fashion.params import Params
from fashion.paths import Project
from fashion.registry.absence import explain_absence
from fashion.registry.origin import Origin, read_origin
from fashion.registry.overview import change_to_dict

ANOTHER = "For a version that has one, train another model: change train.seed in params.yaml, then: make run"


@dataclass(frozen=True)
class Lineage:
    """A version, what was recorded when it was registered, and what has become of it since."""

    name: str
    version: tracking.Version
    origin: Origin
    history: tuple[tracking.Change, ...]
    """The changes of aliases that it had a part in, oldest first."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            **asdict(self.version),
            **asdict(self.origin),
            "history": [change_to_dict(change) for change in self.history],
        }


def look_up_lineage(project: Project, params: Params, which: str) -> Lineage:
    """Return the lineage of a version, named by its number or by an alias.

    Raises:
        LineageError: there is no such version, or its lineage is damaged, gone, or was never written down.
        ServiceError: MLflow is away.
    """
    with TemporaryDirectory() as folder:
        return fetch_lineage(project, params, which, Path(folder))


def fetch_lineage(project: Project, params: Params, which: str, folder: Path) -> Lineage:
    """Return the lineage as `look_up_lineage` does, with the files of `write_origin` in the existing `folder`."""
    registry = registry_of(project, params)
    tracking.check(registry.uri)
    version = find_version(registry, which)
    name = f"origin/{version.tags.get(ARTIFACTS_DIGEST)}"
    tracking.fetch_folder(registry, version, name, folder)
    try:
        origin = read_origin(folder)
    except FileNotFoundError as error:
        raise LineageError(
            f"Version {version.number} of {registry.name} was registered before versions carried their lineage, or its "
            f"files are gone from {registry.uri}. {ANOTHER}"
        ) from error
    except ValueError as error:
        raise LineageError(
            f"The lineage of version {version.number} of {registry.name} is damaged in {registry.uri} ({error}). "
            f"{ANOTHER}"
        ) from error
    changes = tracking.read_ledger(registry).changes
    history = tuple(change for change in changes if _takes_part(version.number, change))
    return Lineage(registry.name, version, origin, history)


def find_version(registry: tracking.Registry, which: str) -> tracking.Version:
    """Return a version, named by its number or by an alias.

    Raises:
        LineageError: there is no such version.
    """
    if which in (tracking.CHAMPION, tracking.CHALLENGER):
        version = tracking.version_with_alias(registry, which)
    else:
        version = tracking.get_version(registry, which)
    if version is None and which == tracking.CHAMPION:
        raise LineageError(explain_absence(registry))
    if version is None:
        known = ", ".join(one.number for one in tracking.list_versions(registry)) or "none"
        raise LineageError(
            f"{registry.name} has no version {which} in {registry.uri}; it has: {known}. See: fashion models"
        )
    return version


def _takes_part(number: str, change: tracking.Change) -> bool:
    return number == change.version or any(number in (old, new) for _, old, new in change.moves)
