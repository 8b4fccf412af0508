"""Bringing stages up to date, and pushing.

DVC runs as a command, not as a library: its process group can be ended as a whole, its locks are its own, and what a
stage prints is seen as it comes.
"""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fashion.errors import DiskError, ServiceError, StageError
from fashion.locks import forget_dead_users
from fashion.paths import Project

BUSY = re.compile(r"is busy, it is being blocked by|Unable to acquire lock")
BLOCKER = re.compile(r"\(PID (\d+)\): (.*)")
RUNNING = re.compile(r"Running stage '")
HINT = re.compile(r"To track the changes with git|To enable auto staging|Use `dvc push`|\s+(git add|dvc config) ")
"""What DVC advises after every stage; nobody here types it."""
STAGE_ERROR = "error: "
DVC_ERROR = "ERROR: "
TAIL = 20
"""Lines of output quoted when a failing stage has not said `error:`."""
RETRY_SECONDS = 3.0
NOTICE_SECONDS = 30.0
GRACE_SECONDS = 10.0

OnLine = Callable[[str], None]


def reproduce(project: Project, stage: str, on_line: OnLine, patience_seconds: float = 6 * 3600) -> bool:
    """Bring the outputs of one stage of dvc.yaml up to date; True if it ran, False if there was nothing to do.

    Args:
        stage: its name; the stages before it are not looked at.
        on_line: is given each line that DVC and the stage print, as it comes.
        patience_seconds: how long to wait while another DVC process holds the stage's files.

    Raises:
        DiskError: there is no room for the outputs in DVC's cache.
        StageError: the stage failed.
        ServiceError: the files were still held by another process when the patience was over.
    """
    start = time.monotonic()
    noticed = -NOTICE_SECONDS
    while True:
        forget_dead_users(project)
        code, lines = _run(project, ["repro", "--single-item", stage], os.environ, on_line)
        if _cache_is_full(lines) or (code and not _is_busy(lines)):
            raise _failure(f"Stage {stage}", lines)
        if code == 0:
            return any(RUNNING.match(line) for line in lines)
        waited = time.monotonic() - start
        if waited > patience_seconds:
            raise ServiceError(_busy(project, stage, lines, waited))
        if waited - noticed >= NOTICE_SECONDS:
            on_line(f"Waiting for DVC: the files of stage {stage} are in use by {_blockers(project, lines)}")
            noticed = waited
        time.sleep(RETRY_SECONDS)


def remake(project: Project, environment: Mapping[str, str], on_line: OnLine) -> None:
    """Run every stage, whatever is in DVC's caches, and put nothing into them.

    Args:
        environment: all that the stages shall have; they find this interpreter's commands first.
        on_line: as in `reproduce`.

    Raises:
        StageError: a stage failed.
    """
    code, lines = _run(project, ["repro", "--force", "--no-run-cache", "--no-commit"], environment, on_line)
    if code:
        raise _failure("A stage", lines)


def push(project: Project, on_line: OnLine, *targets: str) -> None:
    """Bring the data and the artifacts of dvc.lock to the default remote, as far as it lacks them.

    Args:
        targets: bring only these, such as data.dvc.

    Raises:
        ServiceError: the remote cannot be reached, or refused.
    """
    code, lines = _run(project, ["push", *targets], os.environ, on_line)
    if code:
        raise ServiceError(f"Not pushed; once the remote can be reached, type: dvc push\n{_explain('dvc push', lines)}")


def _run(
    project: Project, arguments: Sequence[str], environment: Mapping[str, str], on_line: OnLine
) -> tuple[int, list[str]]:
    """Run one DVC command; return exit status and output. Whatever ends this function ends the process group too."""
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=project.root,
        env=_environment(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            return _follow(process, on_line)
        finally:
            _end(process)


def _follow(process: subprocess.Popen[str], on_line: OnLine) -> tuple[int, list[str]]:
    """Show lines as they come, except two that the caller reports itself: that DVC is busy, and an error."""
    lines: list[str] = []
    held_back: list[str] = []
    for line in process.stdout or ():
        if not line.strip() or HINT.match(line):
            continue
        lines.append(line.rstrip())
        # A stage that has begun to tell its error says nothing else after it.
        if held_back or _is_busy(lines[-1:]) or line.startswith(STAGE_ERROR):
            held_back.append(lines[-1])
        else:
            on_line(lines[-1])
    code = process.wait()
    if code == 0:
        for line in held_back:
            on_line(line)
    return code, lines


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the commands beside this interpreter found first, and output not buffered."""
    folder = str(Path(sys.executable).parent)
    path = os.pathsep.join([folder, given.get("PATH", os.defpath)])
    return {**given, "PATH": path, "PYTHONUNBUFFERED": "1"}


def _end(process: subprocess.Popen[str]) -> None:
    """End what is left of the process group: ask first, insist after a while.

    The end of its output is the end of the group, since every process of the group holds that pipe.
    """
    if process.poll() is not None:
        return
    insist = threading.Timer(GRACE_SECONDS, _signal_group, (process, signal.SIGKILL))
    insist.start()
    try:
        _signal_group(process, signal.SIGTERM)
        if process.stdout:
            process.stdout.read()
    finally:
        insist.cancel()
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[str], signal_number: int) -> None:
    try:
        os.killpg(process.pid, signal_number)
    except ProcessLookupError:
        return  # It ended by itself meanwhile.


def _is_busy(lines: list[str]) -> bool:
    return any(line.startswith(DVC_ERROR) and BUSY.search(line) for line in lines)


def _blockers(project: Project, lines: list[str]) -> str:
    """Return who holds the files, as DVC says; or who holds its lock, as the lock says."""
    found = {blocker for line in lines for blocker in BLOCKER.findall(line)}
    if found:
        return ", ".join(f"process {number} ({command})" for number, command in sorted(found))
    holder = project.root / ".dvc" / "tmp" / "lock"
    return f"process {holder.read_text(encoding='utf-8').strip()}" if holder.exists() else "another DVC process"


def _busy(project: Project, stage: str, lines: list[str], waited: float) -> str:
    return (
        f"Stage {stage} waited {waited:.0f} s for {_blockers(project, lines)}, which still holds its files. "
        f"End that process, then try again; if there is none: rm .dvc/tmp/rwlock"
    )


def _cache_is_full(lines: list[str]) -> bool:
    """Return whether DVC could not keep an output; of a folder it says so, and still exits with 0."""
    return any(line.startswith(DVC_ERROR) and os.strerror(errno.ENOSPC) in line for line in lines)


def _failure(what: str, lines: list[str]) -> StageError | DiskError:
    dvc = _words_of_dvc(lines)
    if _cache_is_full(lines):
        return DiskError(
            f"{what}: the disk is full, DVC could not keep its outputs ({dvc.splitlines()[0]}). Free some space "
            "(dvc gc --workspace removes old versions), then type the same command again."
        )
    return StageError(_explain(what, lines))


def _explain(what: str, lines: list[str]) -> str:
    """Return the stage's own error, if it gave one; DVC's, if no stage ran; else that and the end of the output."""
    own = [line for line in lines if not line.startswith(DVC_ERROR)]
    starts = [number for number, line in enumerate(own) if line.startswith(STAGE_ERROR)]
    if starts:
        return "\n".join(own[starts[-1] :]).removeprefix(STAGE_ERROR)
    if not any(RUNNING.match(line) for line in lines):
        return _words_of_dvc(lines)
    return "\n".join([f"{what} failed: {_words_of_dvc(lines)}", "The end of what it printed:", *own[-TAIL:]])


def _words_of_dvc(lines: list[str]) -> str:
    return "\n".join(line for line in lines if line.startswith(DVC_ERROR)).removeprefix(DVC_ERROR)
