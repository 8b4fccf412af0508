"""Who may ask the service for what: named keys with rights, in a file that holds only their digests."""

import hmac
import logging
import re
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

from fashion.errors import ArtifactError, ParamsError
from fashion.locks import hold, log_wait
from fashion.paths import Project
from fashion.reading import load_json
from fashion.settings import DEFAULT_KEY
from fashion.storage import write_json

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,22}")
"""A key's name: together with the source that a caller gives it fits into 64 characters of the log."""
LARGEST_BYTES = 1 << 20
"""Bytes of the file."""

logger = logging.getLogger(__name__)


class Right(StrEnum):
    """The rights that a key may have."""

    PREDICT = "predict"
    FEEDBACK = "feedback"
    OPERATE = "operate"
    """/metrics, /model/refresh, and why /readyz says that something is down."""


@dataclass(frozen=True)
class Key:
    """A caller's name and rights, without the key itself."""

    name: str
    may: frozenset[Right]
    digest: str
    """SHA-256 of the key, in hexadecimal. 256 random bits need no slower hash."""


ANYBODY = Key(DEFAULT_KEY, frozenset(Right), "")


class Keys:
    """The keys of one service; the file of keys is read again when it changes.

    Args:
        path: the file, which need not exist.
        default: the key with every right.

    Raises:
        ArtifactError: the file is damaged.
    """

    def __init__(self, path: Path | None = None, default: str | None = None) -> None:
        self._path = path
        self._default = [Key(DEFAULT_KEY, frozenset(Right), _digest(default.encode()))] if default else []
        self._seen = self._look()
        self._named = read_keys(path) if path else []
        self.needed = bool(self._default or self._named)
        """Once a key is needed, it stays needed: removing the last key does not open a running service."""

    def find(self, given: bytes) -> Key | None:
        """Return the key with this value in the header; None if there is none."""
        self._refresh()
        if not self.needed:
            return ANYBODY
        digest = _digest(given)
        # All are compared, so that the time taken does not reveal which one matched.
        found = [key for key in (*self._default, *self._named) if hmac.compare_digest(key.digest, digest)]
        return found[0] if found else None

    def _refresh(self) -> None:
        seen = self._look()
        if self._path is None or seen == self._seen:
            return
        self._seen = seen
        try:
            self._named = read_keys(self._path)
        except ArtifactError as error:
            logger.warning("The keys stay as they were: %s", error)
            self.needed = True  # A damaged file lets nobody in.
        self.needed = self.needed or bool(self._named)

    def _look(self) -> tuple[int, int, int] | None:
        """Return a value that changes whenever the file is replaced."""
        try:
            status = self._path.stat() if self._path else None
        except OSError:
            return None
        return (status.st_ino, status.st_mtime_ns, status.st_size) if status else None


def keys_file(project: Project) -> Path:
    return project.state / "keys.json"


def read_keys(path: Path) -> list[Key]:
    """Return the keys in a file; none if there is no file.

    Raises:
        ArtifactError: it is damaged.
    """
    try:
        return [_to_key(name, content) for name, content in load_json(path, LARGEST_BYTES).items()]
    except FileNotFoundError:
        return []
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{path} is damaged ({error}). Remove it, then make new keys with: fashion key add NAME --may predict"
        ) from error


def add_key(project: Project, name: str, may: Collection[Right]) -> str:
    """Make a key with these rights, and return it; it is not stored anywhere.

    Raises:
        ParamsError: the name is invalid or already in use.
        ArtifactError: the file of keys is damaged.
    """
    if name == DEFAULT_KEY or not NAME.fullmatch(name):
        raise ParamsError(
            f"{name!r} cannot be a key's name: expected up to 23 lower-case letters, digits and hyphens, not "
            f"{DEFAULT_KEY!r}, which is the key in FASHION_SERVE_KEY"
        )
    key = secrets.token_urlsafe(32)
    with hold(project.state / "keys.lock", log_wait):
        known = read_keys(keys_file(project))
        if name in {one.name for one in known}:
            raise ParamsError(f"There is a key {name!r} already; to replace it, first type: fashion key remove {name}")
        _write(project, [*known, Key(name, frozenset(may), _digest(key.encode()))])
    return key


def remove_key(project: Project, name: str) -> None:
    """Remove a key; a running service refuses it from the next request on.

    Raises:
        ParamsError: there is no key of this name.
        ArtifactError: the file of keys is damaged.
    """
    with hold(project.state / "keys.lock", log_wait):
        known = read_keys(keys_file(project))
        if name not in {one.name for one in known}:
            raise ParamsError(f"There is no key {name!r}; see which there are with: fashion key list")
        _write(project, [one for one in known if one.name != name])


def _write(project: Project, keys: Iterable[Key]) -> None:
    content = {key.name: {"may": sorted(key.may), "sha256": key.digest} for key in keys}
    write_json(keys_file(project), content)


def _to_key(name: str, content: Any) -> Key:
    digest = content["sha256"]
    if not (NAME.fullmatch(name) and re.fullmatch(r"[0-9a-f]{64}", digest)):
        raise ValueError(f"expected a name and the SHA-256 of a key, found {name!r}")
    return Key(name, frozenset(map(Right, content["may"])), digest)


def _digest(key: bytes) -> str:
    return sha256(key).hexdigest()
