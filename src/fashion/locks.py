"""Lock files: one process holds a file at a time. The kernel releases it when the process ends, however it ends."""

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
    """A lock file that this process holds, and its content."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def read(self) -> dict[str, str]:
        """Return what was written last; empty if the last holder finished normally."""
        return _parse(os.pread(self._descriptor, 1 << 16, 0))

    def write(self, content: Mapping[str, str]) -> None:
        with writing_explained(self._path):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(dict(content)).encode() if content else b"", 0)


@contextmanager
def try_hold(path: Path) -> Iterator[Held | None]:
    """Hold the file for the duration of the block; None when another process holds it."""
    descriptor = _open(path)
    try:
        yield Held(path, descriptor) if _lock(descriptor) else None
    finally:
        os.close(descriptor)


@contextmanager
def hold(path: Path, on_wait: OnWait) -> Iterator[Held]:
    """Hold the file for the duration of the block, after waiting for its holder; `on_wait` is told who that is."""
    descriptor = _open(path)
    try:
        wait_until(lambda: _lock(descriptor), lambda: _describe(read_holder(path)), on_wait)
        yield Held(path, descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def one_at_a_time(project: Project, stage: str, by: str | None = None) -> Iterator[None]:
    """Run a stage one at a time in a project: the next one waits, and logs what it is waiting for.

    Args:
        by: what holds the lock, if it is not the stage itself.
    """
    with hold(project.state / f"{stage}.lock", log_wait) as lock:
        lock.write({"run": by or f"fashion {stage}", "process": str(os.getpid())})
        yield
        lock.write({})


@contextmanager
def between_trainings(project: Project, command: str) -> Iterator[None]:
    """Hold this project's training slot for the duration of the block: it waits for a training, and trainings for it.

    What a killed training left in the lock stays there for the next training, which cleans up after it in Prefect.
    """
    with hold(training_lock(project), log_wait) as lock:
        left = lock.read()
        lock.write(left | {"run": command, "process": str(os.getpid())})
        try:
            yield
        finally:
            lock.write(left)


def training_lock(project: Project) -> Path:
    """Return the lock file that a training holds, or a command that changes data/."""
    return project.state / "training.lock"


def forget_dead_users(project: Project) -> None:
    """Remove DVC's list of who uses which file if no live process can have written it.

    DVC itself forgets a process that is gone. But it trusts a process id that now belongs to another program, as after
    a power cut, and cannot handle a list that was half written when its writer was killed or the disk was full.
    """
    path = project.root / ".dvc" / "tmp" / "rwlock"
    if not path.exists():
        return
    with try_hold(path.with_name("rwlock.lock")) as lock:
        if lock and path.exists() and not any(_was_alive(user, path.stat().st_mtime) for user in _users(path)):
            path.unlink()


def _users(path: Path) -> set[int]:
    """Return the processes in DVC's list; none if it cannot be read."""
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
    """Return what the holder of a lock file wrote into it."""
    return _parse(path.read_bytes()) if path.exists() else {}


def wait_until(ready: Callable[[], bool], describe: Callable[[], str], on_wait: OnWait) -> None:
    """Poll every second; report at once and every half minute what is being waited for."""
    start = time.monotonic()
    next_notice = start
    while not ready():
        if time.monotonic() >= next_notice:
            on_wait(describe())
            next_notice += NOTICE_SECONDS
        time.sleep(POLL_SECONDS)


def log_wait(holder: str) -> None:
    """Log who is being waited for."""
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
    """Parse a lock file; empty, too, for one that is being written right now, or whose writer was killed."""
    try:
        parsed = json.loads(content)
    except ValueError:
        return {}
    return {str(name): str(value) for name, value in parsed.items()}


def _describe(holder: Mapping[str, str]) -> str:
    return f"{holder['run']} (process {holder['process']})" if holder else "a process that has just started"
