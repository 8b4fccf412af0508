"""The changes of the aliases champion and challenger, as the ledger keeps them."""

import getpass
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

LONGEST_ENTRY = 6000
"""Characters of a parameter's value that MLflow keeps."""


@dataclass(frozen=True)
class Aliases:
    """Which versions the aliases point to."""

    champion: str | None = None
    challenger: str | None = None

    def with_champion(self, number: str) -> "Aliases":
        """Return them with that version as champion, and the same challenger unless that is it."""
        return Aliases(number, None if self.challenger == number else self.challenger)

    def moves_to(self, after: "Aliases") -> tuple[tuple[str, str | None, str | None], ...]:
        """Return each alias that differs in `after`, with the versions before and after."""
        return tuple(
            (alias, number, now) for alias, number in vars(self).items() if (now := vars(after)[alias]) != number
        )


@dataclass(frozen=True)
class Decision:
    """Where the aliases shall point, because of which version and why."""

    action: str
    """register, propose, approve, refuse, lapse, promote, rollback, or outside: a move made in MLflow itself."""
    version: str | None
    after: Aliases
    reason: str
    forced: bool = False
    figures: Mapping[str, Any] = field(default_factory=dict)
    flow_run: str | None = None
    who: str | None = None
    """Whoever decided, if that is somebody else than this process's user."""
    via: str | None = None
    """How that was said, if it is somebody else: a command, or Prefect's page."""


@dataclass(frozen=True)
class Change:
    """An entry of the ledger: what was decided about `version`, by whom and why, and the aliases before and after."""

    number: int
    time: str
    """UTC, ISO 8601."""
    who: str
    """user@host, or what somebody who answered in Prefect's page gave as a name."""
    flow_run: str | None
    """The name of the Prefect run that did it, if one did."""
    action: str
    """As in `Decision`."""
    version: str | None
    before: Aliases
    after: Aliases
    reason: str
    forced: bool
    figures: Mapping[str, Any]
    key: str
    """Tells two equal changes apart."""
    via: str | None = None
    """As in `Decision`; the entries of earlier days have none."""
    model_created: int | None = None
    """When the registered model was, by MLflow, in milliseconds; the entries of earlier days do not say."""

    def is_of(self, created: int | None) -> bool:
        """Return whether it is about the registered model that was created then, not an earlier one of its name.

        Args:
            created: as `model_created`; None if there is no such model.
        """
        if created is None:
            return False
        if self.model_created is None:
            return datetime.fromisoformat(self.time).timestamp() >= created // 1000
        return self.model_created == created

    @property
    def moves(self) -> tuple[tuple[str, str | None, str | None], ...]:
        """Each alias that moved, with the versions from and to."""
        return self.before.moves_to(self.after)

    def explains(self, aliases: Aliases) -> bool:
        """Return whether each alias is where it was before the change, or where the change moves it."""
        before, after, now = asdict(self.before), asdict(self.after), asdict(aliases)
        return all(now[alias] in (before[alias], after[alias]) for alias in now)

    def __str__(self) -> str:
        moves = ", ".join(f"{alias} {old or 'none'} → {new or 'none'}" for alias, old, new in self.moves)
        return f"{moves or f'{self.action} version {self.version}'} by {self.who} ({self.reason})"


@dataclass(frozen=True)
class Ledger:
    """All changes, oldest first, which of them are carried out, and where the aliases point now."""

    entries: tuple[Change, ...]
    """Those of models of the same name that were deleted in MLflow, too."""
    done: frozenset[int]
    """The numbers of those that were carried out."""
    aliases: Aliases
    model_created: int | None
    """As that of `Change`; None if there is no such model."""

    @property
    def changes(self) -> tuple[Change, ...]:
        """Those of the model that there is: the versions of a deleted one had the same numbers."""
        return tuple(change for change in self.entries if change.is_of(self.model_created))

    @property
    def finished(self) -> bool:
        return all(change.number in self.done for change in self.changes[-1:])

    @property
    def expected(self) -> Aliases:
        return self.changes[-1].after if self.changes else Aliases()

    @property
    def in_order(self) -> bool:
        return self.finished and self.aliases == self.expected


def to_entry(change: Change) -> str:
    """Return the change as JSON; figures that do not fit are left out, the version's run has them."""
    entry = json.dumps(asdict(change), ensure_ascii=False)
    if len(entry) <= LONGEST_ENTRY:
        return entry
    return json.dumps(asdict(change) | {"figures": {"left_out": "too long"}}, ensure_ascii=False)


def from_entry(entry: str) -> Change:
    """Return the change of an entry of the ledger; what later code has added to it is left out."""
    content = json.loads(entry)
    aliases = {name: Aliases(**_known(Aliases, content[name])) for name in ("before", "after")}
    return Change(**_known(Change, content) | aliases)


def _known(kind: type[Aliases | Change], content: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {name: value for name, value in content.items() if name in names}


def author() -> str:
    """Return user@host; the number of a user without a name, as containers have them."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
