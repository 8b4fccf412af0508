"""Temporary names for files being written, and the leftovers of writers that were killed.

A name says which process made it, and where: a process id is meaningful only on its host, until that restarts, and in
its container. Elsewhere a running writer can be told from a killed one only by the file's age.
"""

import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from glob import escape
from hashlib import sha256
from pathlib import Path
from platform import node
from uuid import uuid4

OLDEST_SECONDS = 24 * 3600.0
"""Nothing takes this long to write."""
NAME = re.compile(r"\.((?P<place>[0-9a-f]{12})-)?(?P<process>[0-9]+)\.[0-9a-f]{8}\.")
"""How a temporary name begins; earlier releases did not say where."""


def temporary_name(path: Path) -> Path:
    """Return a name beside `path` that nobody else uses."""
    return path.with_name(f".{place()}-{os.getpid()}.{uuid4().hex[:8]}.{path.name}")


def remove_leftovers(path: Path) -> None:
    """Remove the leftovers of killed writers beside `path`, as far as this user may."""
    for left in path.parent.glob(f".*.*.{escape(path.name)}"):
        # Others may remove it at the same time.
        with suppress(OSError):
            if _is_abandoned(left):
                shutil.rmtree(left) if left.is_dir() else left.unlink()


@cache
def place() -> str:
    """Return a name for the scope of process ids: this host since its last boot, and this container."""
    known = node(), _read(lambda: Path("/proc/sys/kernel/random/boot_id").read_text()), _read(_process_namespace)
    return sha256("\n".join(known).encode()).hexdigest()[:12]


def _process_namespace() -> str:
    return str(Path("/proc/self/ns/pid").stat().st_ino)


def _read(source: Callable[[], str]) -> str:
    try:
        return source()
    except OSError:
        return ""  # Only Linux has it.


def _is_abandoned(left: Path) -> bool:
    made = NAME.match(left.name)
    if made is None:
        return False
    dead = made["place"] == place() and not _is_alive(int(made["process"]))
    return dead or time.time() - left.stat().st_mtime > OLDEST_SECONDS


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # Another user's.
    return True
