"""A file that one process holds at a time. The kernel lets go of it when the process ends, however it ends."""

import fcntl
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from fashion.paths import Project
from fashion.storage import writing_explained

POLL_SECONDS = 1.0
NOTICE_SECONDS = 30.0

OnWait = Callable[[str], None]

logger = logging.getLogger(__name__)


class Held:
    """A lock file that this process holds, and what stands in it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self) -> dict[str, str]:
        """What was written last; empty when the last holder left in good order."""
        return _parse(os.pread(self._descriptor, 1 << 16, 0))

    def write(self, content: Mapping[str, str]) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(dict(content)).encode() if content else b"", 0)


@contextmanager
def try_hold(path: Path) -> Iterator[Held | None]:
    """Hold the file for the duration of the block; None when another process holds it."""
    descriptor = _open(path)
    try:
        yield Held(descriptor) if _lock(descriptor) else None
    finally:
        os.close(descriptor)


@contextmanager
def hold(path: Path, on_wait: OnWait) -> Iterator[Held]:
    """Hold the file for the duration of the block, after waiting for whoever holds it; `on_wait` is told for whom."""
    descriptor = _open(path)
    try:
        wait_until(lambda: _lock(descriptor), lambda: _describe(read_holder(path)), on_wait)
        yield Held(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def one_at_a_time(project: Project, stage: str, by: str | None = None) -> Iterator[None]:
    """Run a stage once at a time in a project: the next one waits, and says in the log for whom.

    Args:
        by: who keeps the stage from running, if it is not the stage itself.
    """
    with hold(project.state / f"{stage}.lock", _say_for_whom) as lock:
        lock.write({"run": by or f"fashion {stage}", "process": str(os.getpid())})
        yield
        lock.write({})


@contextmanager
def between_trainings(project: Project, command: str) -> Iterator[None]:
    """Hold this project's training slot for the duration of the block: a training waits for it, and it for a training.

    What a killed training has left in the lock stays there for the next training, which clears it away in Prefect.
    """
    with hold(training_lock(project), _say_for_whom) as lock:
        left = lock.read()
        lock.write(left | {"run": command, "process": str(os.getpid())})
        try:
            yield
        finally:
            lock.write(left)


def training_lock(project: Project) -> Path:
    """The file that a training holds, and a command that changes data/."""
    return project.state / "training.lock"


def forget_dead_users(project: Project) -> None:
    """Remove DVC's list of who uses which file if nobody who is alive can have written it.

    DVC itself forgets a process that is gone. It believes in one whose number belongs to another program by now, as
    after a power cut, and does not get past a list that was half written when its writer was killed or the disk full.
    """
    path = project.root / ".dvc" / "tmp" / "rwlock"
    if not path.exists():
        return
    with try_hold(path.with_name("rwlock.lock")) as lock:
        if lock and path.exists() and not any(_was_alive(user, path.stat().st_mtime) for user in _users(path)):
            path.unlink()


def _users(path: Path) -> set[int]:
    """The processes in DVC's list; none if it cannot be read."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        json.loads(text)
    except ValueError:
        return set()
    return {int(number) for number in re.findall(r'"pid": (\d+)', text)}


def _was_alive(process: int, time_of_writing: float) -> bool:
    try:
        found = psutil.Process(process)
        return bool(found.status() != psutil.STATUS_ZOMBIE and found.create_time() < time_of_writing)
    except psutil.Error:
        return False


def read_holder(path: Path) -> dict[str, str]:
    """What the holder of a lock file wrote into it."""
    return _parse(path.read_bytes()) if path.exists() else {}


def wait_until(ready: Callable[[], bool], describe: Callable[[], str], on_wait: OnWait) -> None:
    """Ask every second; say at first and every half minute what is being waited for."""
    start = time.monotonic()
    next_notice = start
    while not ready():
        if time.monotonic() >= next_notice:
            on_wait(describe())
            next_notice += NOTICE_SECONDS
        time.sleep(POLL_SECONDS)


def _say_for_whom(holder: str) -> None:
    logger.info("Waiting for %s", holder)


def _open(path: Path) -> int:
    with writing_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _parse(content: bytes) -> dict[str, str]:
    """Empty, too, for a file that was being written at this moment or when its writer was killed."""
    try:
        parsed = json.loads(content)
    except ValueError:
        return {}
    return {str(name): str(value) for name, value in parsed.items()}


def _describe(holder: Mapping[str, str]) -> str:
    return f"{holder['run']} (process {holder['process']})" if holder else "one that has just started"
